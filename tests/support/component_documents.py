"""Components of a small accelerator with the levels of `examples.accelerator`, for tests."""

from __future__ import annotations

PE = """\
sparsim: 1
components:
- name: DRAM
  class: dram
  attributes: {type: LPDDR4, width_bits: 64}
- name: GLB
  class: sram
  node_nm: 65
  attributes: {width_bits: 16, depth_words: 1024}
- name: spad
  class: compound
  node_nm: 65
  parts:
  - {name: storage, class: regfile, attributes: {width_bits: 16, depth_words: 64}}
  - {name: address, class: adder, count: 2, attributes: {width_bits: 6}}
  actions:
    read: {storage.read: 1, address.add: 1}
    write: {storage.write: 1, address.add: 0.5}
    idle: {}
- name: MAC
  class: mac
  node_nm: 65
  attributes: {operand_bits: 8, accumulator_bits: 20}
- name: wires
  class: wire
  attributes: {width_bits: 16, length_mm: 2}
"""
