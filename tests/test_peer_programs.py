"""Other mappers beside ours: their mappings keep their value, and no tool is left out silently.

The mappings and values are those that AccelForge 1.0.467 and FactorFlow (November 2024) printed for the
products. Stubs take the place of the tools themselves.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sparsim.errors import MappingError
from sparsim.files.timeloop.write_documents import mapping_text
from sparsim.files.timeloop_files import read_documents
from sparsim.mapper.search import search
from sparsim.model.evaluate import evaluate

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))
import peer_programs  # noqa: E402
from peer_problems import TENSORS, UntranslatableError, evaluated, is_uneven, product, translated  # noqa: E402

EVEN = [
    ("keep", "DRAM", TENSORS), ("time", "K", 2), ("time", "M", 4), ("keep", "GLB", ["Weights"]),
    ("time", "N", 32), ("keep", "GLB", ["Outputs", "Inputs"]), ("Y", "N", 4), ("Y", "M", 2), ("X", "M", 4),
    ("keep", "RF", ["Outputs"]), ("time", "K", 256), ("keep", "RF", ["Inputs"]), ("time", "M", 16),
    ("keep", "RF", ["Weights"]), ("time", "N", 16),
]  # fmt: skip
UNEVEN = [
    ("keep", "DRAM", TENSORS), ("time", "M", 8), ("keep", "GLB", ["Outputs"]), ("time", "K", 4),
    ("keep", "GLB", ["Weights"]), ("time", "N", 2), ("keep", "GLB", ["Inputs"]), ("Y", "M", 8), ("X", "N", 8),
    ("keep", "RF", ["Outputs"]), ("time", "K", 128), ("keep", "RF", ["Inputs"]), ("time", "M", 16),
    ("keep", "RF", ["Weights"]), ("time", "N", 16),
]  # fmt: skip
REDUCED = [
    ("keep", "DRAM", TENSORS), ("time", "N", 16), ("time", "M", 2), ("time", "K", 8),
    ("keep", "GLB", TENSORS), ("time", "N", 32), ("time", "K", 1), ("time", "M", 1),
    ("X", "M", 8), ("Y", "K", 8),
    ("keep", "RF", TENSORS), ("time", "N", 4), ("time", "K", 8), ("time", "M", 32),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "steps", "energy_uj", "with_drains"),
    [
        ("gemm", EVEN, 4399.30, 4413.98),
        ("pn9", UNEVEN, 1088.42, 1091.04),
        ("gemm", REDUCED, 4393.53, 4466.93),
    ],
)
def test_values_of_other_tools_are_reproduced(
    name: str, steps: list[Any], energy_uj: float, with_drains: float
) -> None:
    found = [evaluated(product(name), steps, accounting) for accounting in peer_programs.ACCOUNTINGS]
    assert [round(one.energy_pj / 1e6, 2) for one in found] == [energy_uj, with_drains]


def test_a_dim_may_lie_on_both_axes_and_twice_in_time() -> None:
    steps = [
        ("keep", "DRAM", TENSORS), ("time", "M", 2), ("time", "K", 512), ("time", "M", 2),
        ("time", "N", 8), ("keep", "GLB", TENSORS), ("X", "N", 8), ("X", "M", 1), ("Y", "N", 8),
        ("time", "M", 128), ("keep", "RF", TENSORS), ("time", "N", 4),
    ]  # fmt: skip
    accelerator, mapping = translated(steps)
    kept = [level for level in mapping.levels if set(level.bypass) != set(TENSORS)]
    assert [level.level for level in kept] == ["DRAM", "GLB", "RF"]
    assert len(mapping.levels) == 6
    assert accelerator.architecture.storage[-1].mesh == (1, 1)
    result = evaluated(product("gemm"), steps, "timeloop-3")
    assert result.cycles == 512 * 512 * 2048 / 64


@pytest.mark.parametrize(
    ("steps", "error"),
    [
        ([("keep", "DRAM", TENSORS), ("keep", "RF", ["Weights"]), ("X", "M", 8), ("keep", "GLB", ["Inputs"])],
         UntranslatableError),
        ([("keep", "DRAM", TENSORS), ("keep", "RF", TENSORS), ("X", "M", 8)], UntranslatableError),
        ([*REDUCED[:4], ("keep", "GLB", TENSORS), ("keep", "RF", TENSORS), *(("time", d, 32) for d in "KN"),
          ("time", "K", 2), ("time", "N", 4), ("time", "M", 256)], MappingError),
        ([*EVEN[:10], ("time", "K", 16), ("keep", "RF", ["Inputs", "Weights"]), ("time", "K", 16),
          ("time", "M", 16), ("time", "N", 16)], UntranslatableError),
    ],
)  # fmt: skip
def test_what_cannot_be_said_here_is_refused(steps: list[Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        evaluated(product("gemm"), steps, "timeloop-3")


# ---- stubs of the tools

FACTORFLOW = {
    "settings": "class Settings:\n    MULTITHREADED = VERBOSE = True\n",
    "factors": "class Shape:\n    def __init__(self, *bounds):\n        self.bounds = bounds\n",
    "levels": """
class Level:
    def __init__(self, name, **fields):
        self.name, self.fields, self.dataflow, self.factors = name, fields, [], self
    def dimProduct(self, dim):
        return self.loops[dim]
class MemLevel(Level): pass
class FanoutLevel(Level): pass
class ComputeLevel(Level): pass
""",
    "arch": "class Arch(list):\n    def fitConstraintsToComp(self, shape, enforce): pass\n",
    "engine": """
import json, sys
def run_engine(arch, shape, bias_read):
    print("INFO: wait")
    steps, level = json.loads(STEPS), -1
    assert shape.bounds == (512, 512, 2048) and not bias_read
    assert [level.fields["mesh"] for level in arch[2:4]] == [14, 12]
    for level in arch:
        level.dataflow, level.loops = [], {}
    at = {"X": arch[2], "Y": arch[3]}
    for kind, name, what in steps:
        if kind == "keep":
            at["time"] = next(level for level in arch if level.name == name)
        else:
            at[kind].dataflow.append(name)
            at[kind].loops[name] = what
    return 0.0, 0.0, 4466.93376, 8388608, 1.0, 0.0, arch
""",
}
ACCELFORGE = {
    "accelforge/__init__": """
import enum, yaml
Metrics = enum.Enum("Metrics", "ENERGY LATENCY ENERGY_DELAY_PRODUCT")
def set_n_parallel_jobs(n): pass
class Loader(yaml.SafeLoader): pass
Loader.add_multi_constructor("!", lambda loader, tag, node: (tag, loader.construct_mapping(node, deep=True)))
class Spec:
    @classmethod
    def from_yaml(cls, *paths):
        spec = cls()
        spec.documents = [yaml.load(open(path), Loader) for path in paths]
        spec.mapper = type("Mapper", (), {})()
        return spec
""",
    "accelforge/mapper/__init__": "",
    "accelforge/mapper/FFM/__init__": "",
    "accelforge/mapper/FFM/main": """
import json
from types import SimpleNamespace
class Storage(SimpleNamespace): pass
class Temporal(SimpleNamespace): pass
class Spatial(SimpleNamespace): pass
class Compute(SimpleNamespace): pass
def map_workload_to_arch(spec, print_progress, eval_in_detail):
    arch, workload = spec.documents
    kinds = [(tag, fields["name"]) for tag, fields in arch["arch"]["nodes"]]
    assert [name for _, name in kinds] == ["DRAM", "GLB", "PE", "RF", "MAC"]
    assert [tag for tag, _ in kinds] == ["Memory", "Memory", "Container", "Memory", "Compute"]
    left = {"M": 512, "K": 512, "N": 2048}
    assert {dim: f"0 <= {dim.lower()} < {n}" for dim, n in left.items()} == {
        dim.upper(): text for dim, text in workload["workload"]["iteration_space_shape"].items()
    }
    nodes = []
    for kind, name, what in json.loads(STEPS):
        if kind == "keep":
            nodes.append(Storage(component=name, tensors=what))
            continue
        left[name] //= what
        loop = {"rank_variable": name.lower(), "tile_shape": left[name]}
        nodes.append(Temporal(**loop) if kind == "time" else Spatial(name=kind, **loop))
    row = {"Total<SEP>mapping": lambda: SimpleNamespace(nodes=[*nodes, Compute()]),
           f"Total<SEP>{spec.mapper.metrics.name.lower()}": 4413.98e6}
    return SimpleNamespace(data=SimpleNamespace(iloc=[row]))
""",
}


def install(folder: Path, modules: dict[str, str], steps: list[Any]) -> None:
    for name, text in modules.items():
        path = folder / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"STEPS = {json.dumps(json.dumps(steps))}\n{text}", encoding="utf-8")


@pytest.fixture
def no_tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is alone on both paths, for stubs."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.delenv("FACTORFLOW", raising=False)
    monkeypatch.setattr(peer_programs, "QUICK_PRODUCTS", ("gemm",))
    monkeypatch.setattr(peer_programs, "QUICK_OBJECTIVES", ("edp",))
    monkeypatch.setattr(peer_programs, "QUICK_EVALUATIONS", 20)
    return tmp_path


def test_tools_that_are_installed_are_compared(no_tools: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peer_programs, "QUICK_OBJECTIVES", ("energy", "edp"))
    install(no_tools, FACTORFLOW, REDUCED)
    install(no_tools, ACCELFORGE, EVEN)
    monkeypatch.setattr(
        peer_programs, "with_uneven_tiles", lambda accelerator, _: accelerator
    )  # to save time
    steps: list[str] = []
    rows, missing = peer_programs.compare(steps.append, quick=True)
    (line,) = missing
    assert "timeloop-mapper" in line
    charged = [row["count-drains"] for row in rows if row["objective"] == "energy"]
    assert charged[2] == pytest.approx(4413.98e6, rel=1e-5)
    by_tool = {row["tool"]: row for row in rows if row["objective"] == "edp"}
    assert list(by_tool) == [
        "sparsim, timeloop-3", "sparsim, count-drains", "AccelForge", "sparsim uneven, timeloop-3",
        "sparsim uneven, count-drains", "FactorFlow",
    ]  # fmt: skip
    assert is_uneven(UNEVEN)
    assert not is_uneven(REDUCED)
    factorflow, accelforge = by_tool["FactorFlow"], by_tool["AccelForge"]
    assert factorflow["own"] == pytest.approx(factorflow["count-drains"], rel=1e-12)
    assert accelforge["own"] == 4413.98e6
    assert accelforge["objective"] == "edp"
    assert all(row["cpu_s"] > 0 for row in rows)
    table = peer_programs.peer_table(rows).to_markdown()
    assert "3.7471e+10" in table


def test_a_mapping_that_is_not_translated_is_shown(no_tools: Path) -> None:
    install(no_tools, ACCELFORGE, [*EVEN[:3], ("keep", "RF", TENSORS), *EVEN[4:5], ("X", "K", 8)])
    rows, missing = peer_programs.compare(lambda _: None, quick=True)
    assert len(missing) == 2
    (row,) = (row for row in rows if row["tool"] == "AccelForge")
    assert "register file" in row["untranslated"]
    assert "register file" in peer_programs.peer_table(rows).to_markdown()


def test_timeloops_mapping_is_read_back(no_tools: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In place of the program: ours, from the documents that it would get."""

    def program(command: list[str]) -> SimpleNamespace:
        read = read_documents(command[1:-2], for_search=True)
        assert read.mapper.metrics == ("edp",)
        layer = read.layer()
        found = search(read.accelerator, layer, objective="edp", method="random", evaluations=20)
        text = mapping_text(read.accelerator.architecture, layer, found.best)
        Path(command[-1], "timeloop-mapper.map.yaml").write_text(text, encoding="utf-8")
        best.append(evaluate(read.accelerator, layer, found.best))
        return SimpleNamespace(cpu_s=1.5)

    best: list[Any] = []
    monkeypatch.setattr(peer_programs, "run_process", program)
    monkeypatch.setattr(peer_programs.shutil, "which", lambda name: name if "timeloop" in name else None)
    rows, missing = peer_programs.compare(lambda _: None, quick=True)
    assert len(missing) == 2
    (row,) = (row for row in rows if row["tool"] == "timeloop-mapper")
    assert (row["timeloop-3"], row["cpu_s"]) == (best[0].energy_pj * best[0].cycles, 1.5)
    assert row["timeloop-3"] < row["count-drains"]
