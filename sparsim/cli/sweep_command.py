"""The command `sparsim sweep`: evaluate the points of a study, and put the results of shards together."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sparsim.cli.common_options import AT_LEAST_1, cache_option, folder_option, set_option
from sparsim.cli.input_files import template_data
from sparsim.cli.json_output import json_option, print_json
from sparsim.cli.sweep_views_command import COMMANDS
from sparsim.errors import SpecError
from sparsim.report.console import echo, messages, named_values

# Everything else is imported where it is used: --help must not wait for a compiler.
if TYPE_CHECKING:
    from sparsim.sweep.results import SweepResult
    from sparsim.sweep.run_options import Progress
    from sparsim.sweep.study import Study

LINE_S = 10.0  # seconds between lines of progress without a terminal
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "": 1.0}


class _StudyGroup(click.Group):
    """A command group whose first argument may also be a study instead of a command."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in (*self.commands, "--help"):
            args = ["run", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_StudyGroup, commands=list(COMMANDS))
def sweep() -> None:
    """Evaluate many designs on many networks.

    `sparsim sweep STUDY -o DIR` evaluates the points of a study; the commands show and compare what it found.
    """


@sweep.command("run")
@click.argument("study", metavar="STUDY")
@folder_option(required=True)
@click.option("--jobs", type=AT_LEAST_1, show_default="number of cores", help="Number of worker processes.")
@click.option(
    "--shard", metavar="I/N", help="Evaluate only the I-th of N parts of the points, from 1/N to N/N."
)
@click.option(
    "--scheduler", metavar="ADDRESS", help="Run on the Dask cluster whose scheduler has this address."
)
@cache_option("DIR/rows")
@click.option("--retry", type=click.Choice(["failed"]), help="Evaluate points that failed again.")
@click.option("--limit", metavar="TIME", help="Stop after this time, such as 90s, 30m or 1h.")
@set_option
@click.option(
    "--dry-run", is_flag=True, help="Print the number of points and the expected time, and evaluate nothing."
)
@json_option
def run(
    study: str, output: Path, jobs: int | None, shard: str | None, scheduler: str | None,
    cache_folder: Path | None, retry: str | None, limit: str | None, settings: tuple[str, ...], dry_run: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """Evaluate the points of a study.

    STUDY is a YAML file, or a study that comes with the package. Writes DIR/results.parquet, DIR/sweep.json
    and DIR/study.yaml. Every finished point is kept at once: the same command goes on where another stopped.
    Several studies can share a --cache.
    """
    from sparsim.sweep import run_sweep

    chosen = _with_settings(study, settings)
    options: dict[str, Any] = {
        "jobs": jobs, "shard": _shard(shard), "cache": cache_folder,
        "retry_failed": retry == "failed", "limit_s": _seconds(limit),
    }  # fmt: skip
    if dry_run:
        from sparsim.sweep.dry_run import describe

        found = describe(chosen, output, **options)
        if as_json:
            print_json(found._asdict())
        else:
            echo(named_values(found.lines()))
        return
    if scheduler is not None:
        from sparsim.sweep.dask_workers import connect

        options["client"] = connect(scheduler)
    try:
        with _live() as show:
            result = run_sweep.run(chosen, output, on_progress=show, **options)
    except KeyboardInterrupt:
        echo("sparsim: interrupted; finished points are kept, and the same command continues", err=True)
        raise
    if result is None:
        echo(
            f"wrote the rows of shard {shard}; `sparsim sweep merge DIR... -o DIR` joins the shards",
            err=as_json,
        )
        if as_json:
            print_json({"shard": shard})
    else:
        _print(result, as_json=as_json)


def _print(result: SweepResult, *, as_json: bool) -> None:
    if as_json:
        print_json(result.summary)
    else:
        echo(summary(result))


def _with_settings(study: str, settings: tuple[str, ...]) -> Study:
    """Return the study with further values for templates."""
    from msgspec.structs import replace

    from sparsim.sweep.study_files import load_study

    found = load_study(study)
    return replace(found, template_data=found.template_data | template_data(settings))


@sweep.command()
@click.argument("folders", nargs=-1, required=True, metavar="DIR...")
@folder_option(required=True)
@json_option
def merge(folders: tuple[str, ...], output: Path, as_json: bool) -> None:
    """Put the results of several folders, such as those of shards, together."""
    from sparsim.sweep import run_sweep

    _print(run_sweep.merge(folders, output), as_json=as_json)


def summary(result: SweepResult) -> str:
    """What a sweep found, in a few lines."""
    found = result.summary
    counts = [f"{number:,} {name}" for name, number in found["counts"].items() if number]
    lines = [
        ("points", f"{found['points']:,}: {', '.join(counts)}"),
        ("front", f"{found['on_front']:,} points, {found['certificate']['statement']}"),
        ("saved", f"{found['evaluations_saved']:,} evaluations, by proof"),
    ]
    for name, best in found["best"].items():
        axes = ", ".join(f"{axis}={value}" for axis, value in best["axes"].items() if value is not None)
        lines.append((f"best {name}", f"{best['value']:,.6g}  point {best['point']}: {axes}"))
    width = max(len(name) for name, _ in lines)
    return "\n".join([*(f"{name:<{width}}  {text}" for name, text in lines), f"wrote {result.path}"])


def _shard(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    if not (match := re.fullmatch(r"(\d{1,6})/(\d{1,6})", text)):
        raise SpecError(f"shard must be a part such as 1/4, got '{text}'", path="--shard")
    return int(match[1]), int(match[2])


def _seconds(text: str | None) -> float | None:
    if text is None:
        return None
    if not (match := re.fullmatch(r"(\d+(?:\.\d+)?)([smhd]?)", text.strip())):
        raise SpecError(f"time must be a duration such as 90s, 30m or 1h, got '{text}'", path="--limit")
    return float(match[1]) * _UNITS[match[2]]


@contextmanager
def _live() -> Iterator[Callable[[Progress], None]]:
    """Show progress on stderr: an updated line on a terminal, otherwise a line at intervals."""
    from rich.markup import escape

    console = messages()
    if not console.is_terminal:
        last = 0.0

        def say(progress: Progress) -> None:
            nonlocal last
            if progress.seconds - last >= LINE_S:
                last = progress.seconds
                echo(_progress(progress), err=True)

        yield say
        return
    with console.status("sweep") as status:
        shown = -1.0

        def show(progress: Progress) -> None:
            nonlocal shown
            if progress.seconds - shown >= 0.2:
                shown = progress.seconds
                status.update(escape(_progress(progress)))

        yield show


def _progress(progress: Progress) -> str:
    """Return one line that describes the progress of a sweep."""
    seconds = max(progress.seconds, 1e-9)
    if progress.phase == "bounds":
        rate = progress.bounded / seconds
        return f"bounds of {progress.bounded:,} of {progress.points:,} points, {rate:,.3g}/s"
    done = progress.evaluated + progress.cached + progress.skipped + progress.refused
    of = f" of {progress.expected:,}" if progress.expected else ""
    parts = [
        f"{done:,}{of} points", f"{progress.cached:,} cached", f"{progress.skipped:,} skipped by proof",
        f"{progress.failed:,} failed", f"front {len(progress.best.values):,}",
        f"{progress.evaluated / seconds:,.3g}/s",
    ]  # fmt: skip
    if progress.left_s is not None:
        parts.append(f"{progress.left_s:,.0f} s left")
    return ", ".join(parts)
