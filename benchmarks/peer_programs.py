"""Other mappers on the problems of `peer_problems`, where they are installed: quality against CPU seconds.

* `timeloop-mapper` is taken from PATH;
* AccelForge from the Python that runs the benchmark, or else from `python` on PATH;
* FactorFlow, which is no package, from a clone that FACTORFLOW names or that is on PYTHONPATH or PATH.

The best mapping of each is evaluated by `sparsim.evaluate` under the accounting of Timeloop and under the one
with drains, which AccelForge and FactorFlow have. Where its tiles are uneven, a search of ours for such tiles
follows.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from benchmark import Step, run_process
from peer_problems import (
    BOUNDS,
    FANOUT,
    PJ,
    WORDS,
    UntranslatableError,
    common_hierarchy,
    evaluated,
    is_uneven,
    product,
)
from timeloop_programs import MAPPER, constraints_of

from sparsim.errors import MappingError
from sparsim.files.timeloop.write_documents import write_documents
from sparsim.files.timeloop_files import read_documents
from sparsim.mapper.search import search
from sparsim.mapper.uneven_tiles import with_uneven_tiles
from sparsim.model.evaluate import evaluate
from sparsim.model.result import Evaluation
from sparsim.records import Layer
from sparsim.records.accounting import Accounting
from sparsim.report.tables import Table

FOLDER = Path(__file__).parent
ACCOUNTINGS: tuple[Accounting, ...] = ("timeloop-3", "count-drains")
OBJECTIVES = ("energy", "delay", "edp")
QUICK_PRODUCTS, QUICK_OBJECTIVES = ("pn9",), ("edp",)
FACTORFLOW_FILES = ("engine.py", "levels.py", "factors.py", "settings.py")
AXES = (
    "M K",
    "K N",
    "M N",
    "MKN MKN",
)  # dims on the axes of FactorFlow's array, one configuration after the other
EVALUATIONS, QUICK_EVALUATIONS = 4000, 300
HIERARCHY = json.dumps({"words": WORDS, "pj": PJ, "fanout": FANOUT})


class Answer(NamedTuple):
    """The best mapping of a tool: its evaluations here, or why there are none; its own value; time; whether
    its tiles are uneven.
    """

    here: dict[Accounting, Evaluation] | str
    own: float | None
    cpu_s: float
    claim: str = ""
    is_uneven: bool = False


Tool = Callable[[Layer, str], Answer | None]
"""Searches for an objective; None: the tool does not have the objective."""


def find_tools() -> dict[str, Tool | str]:
    """Return what runs each tool, or the reason why it is missing."""
    tools: dict[str, Tool | str] = {
        "timeloop-mapper": _timeloop
        if shutil.which("timeloop-mapper")
        else "`timeloop-mapper` is not on PATH"
    }
    python = _python_with_accelforge()
    tools["AccelForge"] = (
        (lambda layer, objective: _accelforge(python, layer, objective))
        if python
        else "AccelForge is not installed for the Python that runs the benchmark, nor for `python` on PATH"
    )
    clone = _clone_of_factorflow()
    tools["FactorFlow"] = (
        (lambda layer, objective: _factorflow(clone, layer, objective))
        if clone
        else "no clone of FactorFlow is in the folder FACTORFLOW, on PYTHONPATH or on PATH"
    )
    return tools


def _python_with_accelforge() -> str | None:
    test = "import importlib.util as util, sys; sys.exit(util.find_spec('accelforge') is None)"
    for python in filter(None, (sys.executable, shutil.which("python"), shutil.which("python3"))):
        if subprocess.run([python, "-c", test], check=False).returncode == 0:
            return python
    return None


def _clone_of_factorflow() -> str | None:
    python_path = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    folders = [os.environ.get("FACTORFLOW", ""), *python_path, *os.get_exec_path()]
    return next((f for f in folders if f and all(Path(f, name).is_file() for name in FACTORFLOW_FILES)), None)


# ---- one run of each


def _ours(
    layer: Layer, objective: str, accounting: Accounting, evaluations: int, *, uneven: bool = False
) -> Answer:
    accelerator = common_hierarchy()
    if uneven:
        accelerator = with_uneven_tiles(accelerator, layer.shape)
    start = time.process_time()
    found = search(accelerator, layer, objective=objective, accounting=accounting, evaluations=evaluations)
    cpu_s = time.process_time() - start
    proof = found.certificate
    here = {name: evaluate(accelerator, layer, found.best, accounting=name) for name in ACCOUNTINGS}
    claim = proof.kind if proof.kind == "optimal" else f"gap {proof.gap:.2%}"
    return Answer(here, proof.value, cpu_s, claim)


def _timeloop(layer: Layer, objective: str) -> Answer:
    accelerator = common_hierarchy()
    start = search(accelerator, layer, objective=objective, method="random", evaluations=1).best
    with tempfile.TemporaryDirectory() as folder:
        paths = write_documents(Path(folder), accelerator, layer, start)
        documents = [str(path) for path in paths if path.stem != "mapping"]
        settings = Path(folder, "search.yaml")
        assert accelerator.mapspace is not None
        mapper = MAPPER | {"optimization-metrics": [objective], "num-threads": 1}
        keys = {"mapper": mapper, "mapspace_constraints": constraints_of(accelerator.mapspace)}
        settings.write_text(yaml.safe_dump(keys), encoding="utf-8")
        cpu_s = run_process(["timeloop-mapper", *documents, str(settings), "-o", folder]).cpu_s
        read = read_documents([*documents, str(Path(folder, "timeloop-mapper.map.yaml"))])
    here = {name: evaluate(accelerator, layer, read.mapping, accounting=name) for name in ACCOUNTINGS}
    return Answer(here, None, cpu_s)


def _accelforge(python: str, layer: Layer, objective: str) -> Answer:
    return _translate(layer, _printed([python, "accelforge_run.py", objective], layer, {}), "optimal")


def _factorflow(clone: str, layer: Layer, objective: str) -> Answer | None:
    if objective != "edp":
        return None
    path = os.pathsep.join(filter(None, (clone, os.environ.get("PYTHONPATH"))))
    found = [
        _printed([sys.executable, "factorflow_run.py", *axes.split()], layer, {"PYTHONPATH": path})
        for axes in AXES
    ]
    best = min(found, key=lambda one: one["own"])
    return _translate(layer, best | {"cpu_s": sum(one["cpu_s"] for one in found)}, "")


def _printed(command: list[str], layer: Layer, env: dict[str, str]) -> dict[str, Any]:
    """Return what a program of this folder prints in its last line."""
    python, script, *arguments = command
    bounds = [str(layer.bounds[dim]) for dim in layer.shape.dims]
    done = subprocess.run(
        [python, str(FOLDER / script), *arguments, *bounds], env={**os.environ, **env}, input=HIERARCHY,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed: {done.stderr}")
    printed: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return printed


def _translate(layer: Layer, printed: dict[str, Any], claim: str) -> Answer:
    steps = [(kind, name, what) for kind, name, what in printed["steps"]]
    try:
        here: dict[Accounting, Evaluation] | str = {
            name: evaluated(layer, steps, name) for name in ACCOUNTINGS
        }
    except (UntranslatableError, MappingError) as error:
        here = str(error)
    return Answer(here, printed["own"], printed["cpu_s"], claim, is_uneven(steps))


# ---- the comparison


def compare(step: Step, *, quick: bool) -> tuple[list[dict[str, Any]], list[str]]:
    """Return a row for each product, objective and tool, and a line for each tool that is missing."""
    tools = find_tools()
    missing = [f"{reason}, so it was not run." for reason in tools.values() if isinstance(reason, str)]
    evaluations = QUICK_EVALUATIONS if quick else EVALUATIONS
    rows = []
    for name in QUICK_PRODUCTS if quick else BOUNDS:
        layer = product(name)
        for objective in QUICK_OBJECTIVES if quick else OBJECTIVES:
            for accounting in ACCOUNTINGS:
                step(f"sparsim: {name}, {objective}, {accounting}")
                answer = _ours(layer, objective, accounting, evaluations)
                rows.append(_row(name, objective, f"sparsim, {accounting}", answer))
            for tool, run in tools.items():
                if isinstance(run, str):
                    continue
                step(f"{tool}: {name}, {objective}")
                found = run(layer, objective)
                if found is not None:
                    rows.append(_row(name, objective, tool, found))
                for accounting in ACCOUNTINGS if found is not None and found.is_uneven else ():
                    step(f"sparsim with uneven tiles: {name}, {objective}, {accounting}")
                    answer = _ours(layer, objective, accounting, evaluations, uneven=True)
                    rows.append(_row(name, objective, f"sparsim uneven, {accounting}", answer))
    return rows, missing


def _row(layer: str, objective: str, tool: str, answer: Answer) -> dict[str, Any]:
    row: dict[str, Any] = {
        "layer": layer, "objective": objective, "tool": tool, "own": answer.own, "cpu_s": answer.cpu_s,
        "claim": answer.claim,
    }  # fmt: skip
    if isinstance(answer.here, str):
        return row | {"untranslated": answer.here}
    return row | {name: _value(objective, result) for name, result in answer.here.items()}


def _value(objective: str, result: Evaluation) -> float:
    pj, cycles = result.energy_pj, result.cycles
    return {"energy": pj, "delay": float(cycles), "edp": pj * cycles}[objective]


def peer_table(rows: list[dict[str, Any]]) -> Table:
    """Return the rows as a table: energies in uJ, delays in cycles, products in uJ x cycles."""
    head = ["layer", "objective", "tool", "its own value", *ACCOUNTINGS, "CPU s", "claim"]
    cells = [
        (
            row["layer"], row["objective"], row["tool"], _shown(row, row["own"]),
            *(_shown(row, row.get(name)) for name in ACCOUNTINGS), f"{row['cpu_s']:.1f}",
            row.get("untranslated", row["claim"]),
        )
        for row in rows
    ]  # fmt: skip
    return Table(head, cells, "peers")


def _shown(row: dict[str, Any], value: float | None) -> str:
    if value is None:
        return ""
    if row["objective"] == "delay":
        return f"{value:,.0f}"
    return f"{value / 1e6:.2f}" if row["objective"] == "energy" else f"{value / 1e6:.4e}"
