"""Networks of many kinds, traced, pruned, resumed, and costed on a chip and an accelerator.

    python benchmarks/network_table.py --rows build/networks.jsonl --document docs/results/networks.md

MACs are compared with those that `torch.utils.flop_counter` counts without fast kernels. Each network is
pruned to one half, trained for two steps, and resumed from a checkpoint after the first; then it is planned
on Eyeriss v2 and on the accelerator `eyeriss_like_gating` with the original study's mapspace, with empty
caches, and measured by a monitor. Rows are written to a file at once, so an interrupted run can be continued.
"""

import copy
import json
import signal
import tempfile
import time
import warnings
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import torch
from benchmark import Found, Step, benchmark
from msgspec.structs import replace
from network_zoo import NETWORKS, load_torchvision
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

import gmp
from gmp.energy import EnergyMonitor
from gmp.tracing.trace import Trace, trace
from gmp.tracing.traced_workload import workload_of
from pointnet.original.published_runs import study_mapspace
from sparsim import load_accelerator, macs
from sparsim.cli.common_options import FILE
from sparsim.hardware import Hardware, load_hardware
from sparsim.records import Workload
from sparsim.report.tables import Table

UPDATES = 40  # updates over which a time is averaged
LIMIT_S = 300  # CPU seconds of one step of one network
FULL = 0.99995  # share of the MACs that is shown as 100.0 %
TOLERANCE = 1e-6
Row = dict[str, Any]


class OutOfTimeError(Exception):
    """A step took longer than `LIMIT_S`."""


@contextmanager
def limited() -> Any:
    def stop(*_: Any) -> None:
        raise OutOfTimeError(f"more than {LIMIT_S} CPU s")

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, LIMIT_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def attempted(row: Row, what: str, work: Callable[[], Any]) -> Any:
    """Return the result of `work`; None if it fails, which is recorded in the row."""
    try:
        with limited():
            return work()
    except Exception as error:
        row.setdefault("failures", {})[what] = f"{type(error).__name__}: {str(error).splitlines()[0][:300]}"
        return None


def counted_macs(model: nn.Module, x: Tensor) -> float:
    """Return the MACs of a sample by torch's counter, with kernels that do not hide products."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with (
            torch.no_grad(), torch.backends.mkldnn.flags(enabled=False),
            torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH),
            FlopCounterMode(display=False) as counter,
        ):  # fmt: skip
            copy.deepcopy(model).eval()(x)
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
    return counter.get_total_flops() / 2 / len(x)


def pruner_of(model: nn.Module, *optimizer: torch.optim.Optimizer) -> gmp.Pruner:
    """Return a pruner with the targets of the network, or with all matrices by name."""
    try:
        return gmp.Pruner(model, *optimizer)
    except gmp.PruningError:
        names = [name for name, parameter in model.named_parameters() if parameter.dim() > 1]
        return gmp.Pruner(model, *optimizer, targets=names)


def resumes_exactly(model: nn.Module, x: Tensor) -> bool:
    """Return whether a run that is resumed after a step ends with the same bits."""

    def set_up() -> tuple[nn.Module, torch.optim.Optimizer, gmp.Pruner]:
        one = copy.deepcopy(model).train()
        optimizer = torch.optim.SGD(one.parameters(), 1e-3, momentum=0.9)
        return one, optimizer, pruner_of(one, optimizer)

    def step(one: nn.Module, optimizer: torch.optim.Optimizer, pruner: gmp.Pruner, seed: int) -> None:
        torch.manual_seed(seed)
        optimizer.zero_grad()
        one(x).float().pow(2).mean().backward()
        optimizer.step()
        pruner.apply()

    run = set_up()
    run[2].prune(0.5)
    step(*run, 1)
    state = [copy.deepcopy(part.state_dict()) for part in run]
    step(*run, 2)
    again = set_up()
    for part, saved in zip(again, state, strict=True):
        part.load_state_dict(saved)
    step(*again, 2)
    pairs = zip(run[0].state_dict().values(), again[0].state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs) and run[2].sparsity > 0.45


def timeloop_design() -> Hardware:
    return load_hardware(replace(load_accelerator("eyeriss_like_gating"), mapspace=study_mapspace()))


def measure(name: str) -> Row:
    torch.manual_seed(0)
    row: Row = {"network": name}
    made = attempted(row, "made", NETWORKS[name])
    if made is None:
        return row
    model, x = made[0].eval(), made[1]
    row["parameters"] = sum(p.numel() for p in model.parameters())
    row["counted_macs"] = attempted(row, "counted", lambda: counted_macs(model, x))
    row["resumes"] = attempted(row, "prune and resume", lambda: resumes_exactly(model, x))
    found: Trace | None = attempted(row, "trace", lambda: trace(model, [x]))
    if found is None or found.coverage is None:
        return row
    row |= {"macs": found.macs, "layers": len(found.layers)}
    row["covered_parameters"] = 1 - found.coverage.uncovered_parameter_share
    row["covered_macs"] = 1 - (found.coverage.uncovered_mac_share or 0.0)
    workload: Workload | None = attempted(row, "workload", lambda: workload_of(found, name=name, batch=1))
    if workload is None:
        return row
    row["workload_macs"] = sum(map(macs, workload.layers))
    for key, hardware in (("eyeriss_v2", load_hardware("eyeriss_v2")), ("timeloop", timeloop_design())):
        attempted(row, key, lambda key=key, hardware=hardware: cost(row, key, hardware, workload, model, x))  # type: ignore[misc]
    return row


def cost(row: Row, key: str, hardware: Hardware, workload: Workload, model: nn.Module, x: Tensor) -> None:
    with tempfile.TemporaryDirectory() as folder:
        start = time.process_time()
        plan = hardware.plan(workload.layers, folder=Path(folder))
        row[f"{key}_plan_s"] = time.process_time() - start
    row[f"{key}_lowered"] = len(plan.notes)
    row[f"{key}_uj"] = float(plan(plan.densities).energy_pj.sum()) / 1e6
    pruned = copy.deepcopy(model)
    for parameter in pruned.parameters():
        if not parameter.any():  # training would change it
            nn.init.normal_(parameter, std=0.02)
    pruner = pruner_of(pruned)
    monitor = EnergyMonitor(pruned, plan, x, pruner=pruner)
    monitor.update()
    row[f"{key}_update_ms"] = mean_ms(monitor.update, lambda: pruner.prune(pruner.sparsity + 0.8 / UPDATES))
    row[f"{key}_again_ms"] = mean_ms(monitor.update)


def mean_ms(work: Callable[[], object], before: Callable[[], object] = lambda: None) -> float:
    """Return the mean CPU time, also for coarse clocks; `before` runs before each call and is not counted."""
    spent = 0.0
    for _ in range(UPDATES):
        before()
        start = time.process_time()
        work()
        spent += time.process_time() - start
    return 1e3 * spent / UPDATES


def table(rows: list[Row]) -> Table:
    def show(row: Row, key: str, form: str, factor: float = 1) -> str:
        return "-" if row.get(key) is None else form.format(row[key] * factor)

    cells = []
    for row in rows:
        ratio = row.get("macs") and row.get("counted_macs") and row["macs"] / row["counted_macs"]
        cells.append((
            row["network"], show(row, "parameters", "{:.3f}", 1e-6), show(row, "macs", "{:.2f}", 1e-6),
            show(row, "layers", "{}"), show(row, "covered_parameters", "{:.1%}"),
            show(row, "covered_macs", "{:.1%}"), f"{ratio:.1%}" if ratio else "-",
            {True: "yes", False: "no"}.get(row.get("resumes"), "-"), show(row, "eyeriss_v2_uj", "{:,.1f}"),
            show(row, "eyeriss_v2_lowered", "{}"), show(row, "timeloop_uj", "{:,.1f}"),
            show(row, "eyeriss_v2_plan_s", "{:.1f}"), show(row, "timeloop_plan_s", "{:.1f}"),
            show(row, "eyeriss_v2_update_ms", "{:.2f}"), show(row, "eyeriss_v2_again_ms", "{:.2f}"),
        ))  # fmt: skip
    head = (
        "network|10^6 parameters|10^6 MACs|layers|parameters covered|MACs covered|MACs of torch's counter|"
        "resumes bit for bit|Eyeriss v2 uJ|lowered layers|accelerator uJ|first plan, chip CPU s|"
        "first plan, accelerator CPU s|update, masks changed ms|update ms"
    )
    return Table(head.split("|"), cells)


def failures(rows: list[Row]) -> list[str]:
    found = [
        f"{row['network']}, {what}: {text}" for row in rows for what, text in row.get("failures", {}).items()
    ]
    return found or ["none"]


def summary(rows: list[Row]) -> list[str]:
    def number(good: Callable[[Row], Any]) -> str:
        return f"{sum(bool(good(row)) for row in rows)} of {len(rows)}"

    def alike(row: Row) -> bool:
        counted = row.get("counted_macs")
        return bool(row.get("macs") and counted) and abs(row["macs"] / counted - 1) < TOLERANCE

    return [
        f"{number(lambda row: row.get('covered_macs', 0) >= FULL)} have all MACs covered by layers.",
        f"{number(alike)} have exactly the MACs that torch's counter counts.",
        f"{number(lambda row: row.get('resumes'))} end with the same bits when they are pruned and resumed.",
        f"{number(lambda row: row.get('eyeriss_v2_uj'))} are costed on Eyeriss v2, "
        f"{number(lambda row: row.get('timeloop_uj'))} on the accelerator.",
    ]


@benchmark(document=True)
@click.option(
    "--rows",
    "rows_path",
    type=FILE,
    metavar="FILE",
    required=True,
    help="Rows of earlier runs, which are kept.",
)
@click.option("--only", multiple=True, metavar="NAME", help="Measure this network again; may be repeated.")
def main(step: Step, rows_path: Path, only: tuple[str, ...]) -> Found:
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    load_torchvision()
    known: dict[str, Row] = {}
    if rows_path.exists():
        known = {row["network"]: row for row in map(json.loads, rows_path.read_text().splitlines())}
    rows_path.parent.mkdir(parents=True, exist_ok=True)
    for name in only or [name for name in NETWORKS if name not in known]:
        step(name)
        known[name] = measure(name)
        with rows_path.open("a") as file:
            file.write(json.dumps(known[name]) + "\n")
    rows = [known[name] for name in NETWORKS if name in known]
    blocks = {"summary": summary(rows), "networks": table(rows), "failures": failures(rows)}
    return Found({"rows": rows}, blocks)


if __name__ == "__main__":
    main()
