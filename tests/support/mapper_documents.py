"""The small documents with constraints that leave a mapspace of a few thousand mappings, for the mapper."""

from __future__ import annotations

from support.documents import DOCUMENTS

CONSTRAINTS = """\
architecture_constraints:
  targets:
  - {target: DRAM, type: temporal, factors: N=1 K<=2}
  - {target: GLB, type: spatial, factors: N=4 M=1 K=1, permutation: NMK, split: 3}
  - {target: GLB, type: temporal, permutation: KMN}
  - {target: GLB, type: bypass, keep: [A], bypass: [Z]}
  - {target: spad, type: bypass, keep: [A, B, Z]}
"""
MAPPER = "mapper: {algorithm: random-pruned, optimization-metrics: [delay, energy], num-threads: 2}\n"

SEARCH = {name: text for name, text in DOCUMENTS.items() if name != "mapping.yaml"} | {
    "constraints.yaml": CONSTRAINTS,
    "mapper.yaml": MAPPER,
}
