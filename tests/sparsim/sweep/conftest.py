"""A sweep that the tests of what shows results share."""

from __future__ import annotations

from pathlib import Path

import pytest

from sparsim.sweep import run_sweep

STUDY = """
sweep:
  name: small
  base: [eyeriss_like_onchip]
  constant_energies: true
  workloads:
    net: {source: pointnet2_study_sparse, layers: [fc3, fc2], attributes: {accuracy: 0.9}}
    half: {source: pointnet2_study_sparse, layers: [fc3], attributes: {accuracy: 0.8}}
  axes:
    dram: {path: energy.actions.DRAM.read, values: [100.0, 512.0]}
    rows: {path: ifmap_spad.mesh_y, values: [6, 12]}
    mesh: {path: architecture.DummyBuffer.mesh, values: [[7, 1], [14, 1]]}
    bandwidth: {path: shared_glb.read_bandwidth, values: [2.0, 16.0], when: "rows > 6"}
  objectives: {energy: min, cycles: min, accuracy: max}
  limits: ["cycles < 67000"]
  filters: ["not (dram > 200 and rows == 6)"]
  search: {method: random, evaluations: 20}
  skip_dominated: false
"""


@pytest.fixture(scope="session")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the results of a small sweep."""
    folder = tmp_path_factory.mktemp("sweep")
    (folder / "study_in.yaml").write_text(STUDY, encoding="utf-8")
    run_sweep.run(folder / "study_in.yaml", folder, jobs=1)
    return folder
