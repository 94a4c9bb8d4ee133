"""Timeloop documents of a small accelerator and a sparse matrix product, for tests to take and to spoil."""

from __future__ import annotations

from pathlib import Path

from sparsim.files.documents import Documents
from sparsim.records.record import Record

ARCH = """\
architecture:
  version: 0.3
  subtree:
  - name: system
    attributes: {}
    local:
    - name: DRAM
      class: DRAM
      attributes:
        width: 64
        block-size: 4
        word-bits: 16
        metadata_storage_width: 64
        metadata_datawidth: 8
    subtree:
    - name: chip
      local:
      - name: GLB
        class: SRAM
        attributes:
          depth: 1024
          width: 16
          block-size: 1
          word-bits: 16
          read_bandwidth: 4
          write_bandwidth: 4
          metadata_storage_depth: 1024
          metadata_storage_width: 16
          metadata_datawidth: 8
      subtree:
      - name: PE[0..3]
        local:
        - name: spad
          class: regfile
          attributes:
            depth: 64
            width: 16
            block-size: 1
            word-bits: 16
            metadata_storage_depth: 64
            metadata_storage_width: 8
            metadata_datawidth: 8
            meshX: 4
        - name: MAC
          class: intmac
          attributes: {datawidth: 16, meshX: 4}
"""

PROBLEM = """\
problem:
  shape:
    name: matmul
    dimensions: [M, N, K]
    data-spaces:
    - name: A
      projection: [[[M]], [[K]]]
    - name: B
      projection: [[[K]], [[N]]]
    - name: Z
      projection: [[[M]], [[N]]]
      read-write: true
  instance:
    M: 8
    N: 4
    K: 8
    densities:
      A: {distribution: fixed-structured, density: 0.375}
      B: 0.5
"""

MAPPING = """\
mapping:
- {target: DRAM, type: temporal, factors: M1 N1 K2, permutation: KMN}
- {target: GLB, type: temporal, factors: M8 N1 K1, permutation: MNK}
- {target: GLB, type: spatial, factors: M1 N4 K1, permutation: NMK, split: 3}
- {target: spad, type: temporal, factors: M1 N1 K4, permutation: KMN}
- {target: spad, type: bypass, keep: [A, B, Z], bypass: []}
"""

SPARSE = """\
sparse_optimizations:
  targets:
  - name: DRAM
    representation-format:
      data-spaces:
      - name: A
        ranks:
        - {format: UOP}
        - {format: UOP}
        - {format: CP}
  - name: GLB
    representation-format:
      data-spaces:
      - name: A
        ranks:
        - {format: UOP}
        - {format: CP}
  - name: spad
    representation-format:
      data-spaces:
      - name: A
        ranks:
        - {format: CP, metadata-word-bits: 4}
    action-optimization:
    - {type: skipping, target: B, condition-on: [A]}
  - name: MAC
    compute-optimization:
    - {type: gating}
"""

ERT = """\
ERT:
  version: 0.3
  tables:
  - name: system.DRAM
    actions:
    - {name: read, arguments: null, energy: 400}
    - {name: write, arguments: null, energy: 400}
    - {name: idle, arguments: null, energy: 0}
  - name: system.chip.GLB
    actions:
    - {name: read, arguments: null, energy: 6}
    - {name: write, arguments: null, energy: 8}
    - {name: metadata_read, arguments: null, energy: 3}
    - {name: metadata_write, arguments: null, energy: 4}
    - {name: idle, arguments: null, energy: 0}
  - name: system.chip.PE[0..3].spad
    actions:
    - {name: read, arguments: null, energy: 1}
    - {name: write, arguments: null, energy: 1.5}
    - {name: gated_read, arguments: null, energy: 0.05}
    - {name: metadata_read, arguments: null, energy: 0.2}
    - {name: metadata_write, arguments: null, energy: 0.3}
    - {name: idle, arguments: null, energy: 0}
  - name: system.chip.PE[0..3].MAC
    actions:
    - {name: mac_random, arguments: null, energy: 2}
    - {name: mac_gated, arguments: null, energy: 0.1}
"""

ART = """\
ART:
  version: 0.3
  tables:
  - {name: system.chip.GLB, area: 1000.1}
  - {name: 'system.chip.PE[0..3].spad[0..0]', area: 10}
  - {name: 'system.chip.PE[0..3].MAC', area: 5}
"""

DOCUMENTS = {
    "arch.yaml": ARCH,
    "problem.yaml": PROBLEM,
    "mapping.yaml": MAPPING,
    "sparse.yaml": SPARSE,
    "ert.yaml": ERT,
    "art.yaml": ART,
}


def write_documents(folder: Path, documents: dict[str, str]) -> list[Path]:
    """The documents as files of `folder`, in order."""
    paths = []
    for name, text in documents.items():
        path = folder / name
        path.write_text(text)
        paths.append(path)
    return paths


def shared_cases() -> list[Path]:
    """The reference case folders beside the repository; none where they are absent."""
    import os

    root = Path(os.environ.get("SPARSIM_SHARED", Path(__file__).parents[3] / "shared"))
    return sorted(path.parent for path in root.glob("reference/*/*/stats.txt"))


def records_of(documents: Documents) -> list[Record]:
    """What `dump` takes: the records that documents hold."""
    parts = (
        documents.architecture, *documents.layers, documents.policy, documents.energy, *documents.components,
        documents.mapping, documents.mapspace,
    )  # fmt: skip
    return [part for part in parts if part is not None]
