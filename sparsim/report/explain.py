"""`explain`: where the energy and the cycles of an evaluation come from, for a terminal."""

import io

from rich.console import Console, Group, RenderableType
from rich.text import Text

from sparsim.model.result import Bandwidth, Evaluation, StorageResult, TensorTraffic
from sparsim.records.loop_notation import loop_text
from sparsim.report.tables import Table

# Columns of the energy table, and the actions of a storage level that each sums up; `codec` is compression
# and decompression.
_ENERGY_COLUMNS = {
    "reads": ("random_read",),
    "fills": ("random_fill",),
    "updates": ("random_update",),
    "metadata": ("random_metadata_read", "random_metadata_fill", "random_metadata_update"),
    "gated, skipped": tuple(
        f"{outcome}_{kind}"
        for outcome in ("gated", "skipped")
        for kind in (
            "read", "fill", "update", "metadata_read", "metadata_fill", "metadata_update",
        )
    ),
    "codec": ("decompression_count", "compression_count"),
}  # fmt: skip


def explain(evaluation: Evaluation) -> str:
    """Say where the energy and the cycles of an evaluation come from.

    Parameters
    ----------
    evaluation : Evaluation
        What `evaluate` returned.

    Returns
    -------
    str
        What `sparsim explain` prints, without colours, in lines of at most 100 characters.
    """
    console = Console(width=100, file=io.StringIO(), color_system=None)
    with console.capture() as captured:
        console.print(*explanation(evaluation), sep="\n")
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


def explanation(evaluation: Evaluation) -> list[RenderableType]:
    """Explain loop nest, energy, cycles and, for sparse designs, savings, for a terminal.

    Every number is taken from the evaluation, or is a sum, share or quotient of its numbers. The text fits
    into 100 columns.
    """
    parts = [_head(evaluation), _loop_nest(evaluation), _energy(evaluation), _cycles(evaluation)]
    if evaluation.sparse_report:
        parts.append(_savings(evaluation))
    return parts


def _head(evaluation: Evaluation) -> RenderableType:
    text = Text()
    text.append(f"{evaluation.layer} on {evaluation.architecture}\n", style="bold")
    unit, size = _unit(evaluation.energy_pj)
    text.append(
        f"{evaluation.cycles} cycles, {evaluation.energy_pj / size:.3f} {unit}, "
        f"utilization {evaluation.utilization:.1%}, {evaluation.actual_computes} computes "
        f"of {evaluation.algorithmic_computes}, {evaluation.area_um2 / 1e6:.3f} mm^2, "
        f"accounting {evaluation.accounting}\n"
    )
    text.append(f"energies: {evaluation.energy_sources}\n")
    for cover in evaluation.covers:
        text.append(f"{cover}\n")
    if evaluation.useful_computes < evaluation.algorithmic_computes:
        text.append(f"computes count padding, {evaluation.useful_computes} of them are the layer's\n")
    for warning in evaluation.warnings:
        text.append(f"warning: {warning}\n", style="yellow")
    return text


def _unit(picojoule: float) -> tuple[str, float]:
    """Return the unit in which an energy has one to three digits before the point, and its size in pJ."""
    units = (("mJ", 1e9), ("uJ", 1e6), ("nJ", 1e3))
    return next((unit for unit in units if picojoule >= unit[1]), ("pJ", 1.0))


def _loop_nest(evaluation: Evaluation) -> RenderableType:
    """Return the levels, outermost first, with their loops as in `Mapping.parse` and the kept tiles, in
    words.
    """
    text = Text("Loop nest", style="bold")
    for level in reversed(evaluation.storage):
        tiles = ", ".join(f"{t.dataspace} {t.tile_words or t.utilized_words}" for t in level.tensors)
        loops = [
            loop_text(x.dim, x.bound) + ("" if x.kind == "temporal" else x.kind[-1].upper())
            for x in level.loops
        ]
        text.append(f"\n{level.name}:", style="bold cyan")
        text.append(f" {' '.join(loops)}".rstrip(), style="default not bold")
        text.append(f"\n  keeps {tiles or 'nothing'}", style="default not bold")
    compute = evaluation.compute
    text.append(f"\n{compute.name}:", style="bold cyan")
    text.append(f" {compute.instances_max} of {compute.instances} in use\n", style="default not bold")
    return text


def _energy(evaluation: Evaluation) -> RenderableType:
    """Return the energy table without columns in which all energies are 0."""
    unit, size = _unit(evaluation.energy_pj)
    names = [*_ENERGY_COLUMNS, "other"]
    blanks = [0.0] * len(names)
    rows: list[tuple[str, str, list[float], float]] = []
    for level in reversed(evaluation.storage):
        for i, tensor in enumerate(level.tensors):
            parts = _energy_parts(tensor)
            total_pj = tensor.energy_pj + tensor.reduction_energy_pj + tensor.addr_gen_energy_pj
            rows.append((level.name if i == 0 else "", tensor.dataspace, parts, total_pj))
        if level.leakage_pj:
            rows.append(("" if level.tensors else level.name, "leakage", blanks, level.leakage_pj))
    rows.append((evaluation.compute.name, "", blanks, evaluation.compute.energy_pj))
    rows += [(n.name, "", blanks, n.energy_pj) for n in reversed(evaluation.networks) if n.energy_pj]
    rows.append(("total", "", blanks, evaluation.energy_pj))

    used = [i for i in range(len(names)) if any(parts[i] for _, _, parts, _ in rows)]
    columns = ("level", "dataspace", *(names[i] for i in used), "total", "share")
    lines = []
    for name, dataspace, parts, total_pj in rows:
        cells = [f"{parts[i] / size:.3f}" if parts[i] else "" for i in used]
        share = total_pj / evaluation.energy_pj if evaluation.energy_pj else 0.0
        lines.append((name, dataspace, *cells, f"{total_pj / size:.3f}", f"{share:.1%}"))
    return Group(Table(columns, lines, f"Energy, {unit}", text=(0, 1)), "")


def _energy_parts(tensor: TensorTraffic) -> list[float]:
    """Return pJ per column, then the rest: reductions and address generation."""
    parts = [
        sum(tensor.energy_by_action_pj.get(action, 0.0) for action in actions)
        for actions in _ENERGY_COLUMNS.values()
    ]
    return [*parts, tensor.reduction_energy_pj + tensor.addr_gen_energy_pj]


def _cycles(evaluation: Evaluation) -> RenderableType:
    compute = evaluation.compute
    slowest = max([compute.cycles, *(level.cycles for level in evaluation.storage)])
    rows: list[tuple[object, ...]] = []
    for level in reversed(evaluation.storage):
        demands, limit = _demands(level)
        rows.append((level.name, level.cycles, f"{level.throttling:.3f}", *demands, limit))
    rows.append((compute.name, compute.cycles, *[""] * 5))
    if latency := evaluation.cycles - slowest:
        rows.append(("network latencies", latency, *[""] * 5))
    head = ("level", "cycles", "throttling", "read", "write", "shared", "limited by")
    table = Table(head, rows, "Cycles", total=("total", evaluation.cycles, *[""] * 5))
    slow = [level.name for level in evaluation.storage if level.cycles == slowest]
    verdict = f"bandwidth of {', '.join(slow)}" if slowest > compute.cycles else f"computes at {compute.name}"
    return Group(
        table, f"The time is set by the {verdict}. Bandwidths: demand / limit, words/cycle/instance.", ""
    )


def _demands(level: StorageResult) -> tuple[list[str], str]:
    """Return `demand / limit` of the three ports before throttling, and the name of the one that
    throttles.
    """
    storage = level.storage
    ports: dict[str, tuple[float, float | None]] = {
        "read": (_demand(level, [t.read for t in level.tensors]), storage.read_bandwidth),
        "write": (_demand(level, [t.write for t in level.tensors]), storage.write_bandwidth),
        "shared": (_demand(level, [t.shared for t in level.tensors]), storage.shared_bandwidth),
    }
    cells = [f"{demand:.2f} / {'-' if limit is None else f'{limit:g}'}" for demand, limit in ports.values()]
    slack = {name: limit / demand for name, (demand, limit) in ports.items() if limit is not None and demand}
    tightest = min(slack, key=lambda name: slack[name], default="")
    return cells, tightest if level.throttling < 1 else ""


def _demand(level: StorageResult, bandwidths: list[Bandwidth]) -> float:
    """Return the bandwidth demand. The report has throttled bandwidths, which are divided by the
    throttling.
    """
    return sum(b.per_instance for b in bandwidths) / level.throttling if level.throttling else 0.0


def _savings(evaluation: Evaluation) -> RenderableType:
    """Return, for the accesses of the dense algorithm, how many are left and the outcome of the others."""
    head = ("level", "dataspace", "access", "algorithmic", "actual", "gated", "skipped", "never made")
    lines = []
    compute = evaluation.compute
    rows = [
        (level.name, tensor.dataspace, kind, access.algorithmic, access.actual, access.gated, access.skipped)
        for level in reversed(evaluation.storage)
        for tensor in level.tensors
        for kind, access in (("read", tensor.reads), ("fill", tensor.fills), ("update", tensor.updates))
    ]
    rows.append(
        (compute.name, "", "compute", compute.algorithmic, compute.actual, compute.gated, compute.skipped)
    )
    last: tuple[str, str] = ("", "")
    for name, dataspace, kind, algorithmic, actual, gated, skipped in rows:
        if actual == algorithmic:
            continue
        gone = algorithmic - actual - gated - skipped
        shown = (name if name != last[0] else "", dataspace if (name, dataspace) != last else "")
        last = (name, dataspace)
        shares = [f"{count / algorithmic:.1%}" if count else "" for count in (actual, gated, skipped, gone)]
        lines.append((*shown, kind, algorithmic, *shares))
    if not lines:
        return Text("Savings: none. Every access of the dense algorithm takes place.")
    note = (
        "Never made: zeros that a format does not store, and what outer levels or operands already removed."
    )
    return Group(Table(head, lines, "Savings, accesses per instance", text=(0, 1, 2)), note)
