"""The option --compare of `sparsim chip`: a network on several chips, layer by layer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparsim.cli.json_output import print_json
from sparsim.errors import MissingLibraryError, SpecError, near, require
from sparsim.fileio.json_and_csv import write_csv, write_json
from sparsim.report.console import echo, named_values, results

if TYPE_CHECKING:
    from sparsim.report.chip_comparison import ComparedChip


def others_of(compared: Sequence[str], chip: str, workload: str) -> list[tuple[str, str, str]]:
    """Return (label, chip, workload) of the chip itself and of each CHIP[=WORKLOAD]; labels are different."""
    from sparsim.records.number_limits import repeated

    pairs = [(chip, workload)]
    for text in compared:
        name, _, other = text.partition("=")
        pairs.append((name, other or workload))
    twice = repeated(pairs)
    if twice is not None:
        raise SpecError(f"chip '{twice[0]}' is listed twice", path="--compare")
    names = [name for name, _ in pairs]
    labels = (name if names.count(name) == 1 else f"{name}={other}" for name, other in pairs)
    return [(label, *pair) for label, pair in zip(labels, pairs, strict=True)]


def check_same_layers(chips: Sequence[tuple[str, Sequence[str]]]) -> None:
    """Check that networks have layers of the same names; `chips` are pairs (label, names)."""
    first, names = chips[0]
    for label, other in chips[1:]:
        if list(other) == list(names):
            continue
        missing = next((name for name in names if name not in other), None)
        if missing is None:
            raise SpecError(
                f"the layers of {label} must be those of {first}, in this order", path="--compare"
            )
        raise SpecError(
            f"layer '{missing}' of {first} is missing on {label}", path="--compare", hint=near(missing, other)
        )


def show_comparison(chips: Sequence[ComparedChip], output: Path | None, *, as_json: bool) -> None:
    """Print the comparison, and write it with its figures."""
    from sparsim.report.chip_comparison import (
        comparison_document,
        comparison_lines,
        comparison_rows,
        comparison_tables,
    )

    found = comparison_document(chips)
    if as_json:
        print_json(found)
    else:
        echo("; ".join(f"{label}: {chip['workload']}" for label, chip in found["chips"].items()))
        for table in comparison_tables(chips):
            echo("")
            results().print(table)
        echo("\n" + named_values(comparison_lines(chips)))
    if output is not None:
        output.mkdir(parents=True, exist_ok=True)
        write_csv(output / "chip.comparison.csv", comparison_rows(chips))
        write_json(output / "chip.comparison.json", found)
        echo(f"wrote chip.comparison.csv and .json to {output}", err=as_json)
        echo(_draw(chips, output), err=as_json)


def _draw(chips: Sequence[ComparedChip], folder: Path) -> str:
    try:
        require("matplotlib", "drawing figures", "plot")
    except MissingLibraryError as error:
        return f"no figures: {error}"
    from sparsim.report.chip_comparison_figures import draw_comparison, draw_energy_shares
    from sparsim.report.figure_style import write_figure

    figures: dict[str, Any] = {
        "chip.comparison.png": draw_comparison(chips), "chip.energy-shares.png": draw_energy_shares(chips),
    }  # fmt: skip
    for name, figure in figures.items():
        write_figure(figure, folder / name)
    return f"drew {', '.join(figures)}"
