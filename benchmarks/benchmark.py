"""Common parts of the benchmarks: options, progress, CPU time, the machine, and output of results."""

import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click
import numba
import numpy as np

from sparsim.cli.common_options import FILE, document_option
from sparsim.fileio.json_and_csv import write_json
from sparsim.report.console import messages, results
from sparsim.report.tables import Block, Table, write_blocks

Step = Callable[[str], object]
"""Shows what is being measured."""


class Found(NamedTuple):
    """What a benchmark has measured.

    Attributes
    ----------
    numbers : what --json writes, beside the machine.
    blocks : tables and lines for the marked places of the document.
    printed : names of the blocks that a terminal shows; None: all.
    """

    numbers: Mapping[str, Any]
    blocks: Mapping[str, Block]
    printed: Sequence[str] | None = None


def benchmark(quick: str | None = None, *, document: bool = False) -> Callable[..., click.Command]:
    """Make a command of a function that measures: `measure(step, **options) -> Found`.

    Parameters
    ----------
    quick : what the option --quick leaves out, for --help; None: there is no such option.
    document : whether there is an option --document, whose marked places are renewed.
    """

    def decorate(measure: Callable[..., Found]) -> click.Command:
        def main(json_path: Path | None, document: Path | None = None, **options: Any) -> None:
            if options.get("quick") and document:
                raise click.UsageError("--document needs everything, leave out --quick")
            status = messages().status("")

            def step(what: str) -> None:
                status.update(what)
                status.start()

            try:
                found = measure(step, **options)
            finally:
                status.stop()
            console = results(width=180)
            for name in found.blocks if found.printed is None else found.printed:
                block = found.blocks[name]
                console.print(*([block] if isinstance(block, Table) else block), sep="\n")
            if json_path:
                json_path.parent.mkdir(parents=True, exist_ok=True)
                write_json(json_path, {"machine": machine(), "quick": False, **options, **found.numbers})
            if document:
                write_blocks(document, found.blocks)

        if document:
            main = document_option(main)
        if quick is not None:
            main = click.option("--quick", is_flag=True, help=quick)(main)
        help_text = "Also write the numbers to this file."
        main = click.option("--json", "json_path", type=FILE, metavar="FILE", help=help_text)(main)
        main.__click_params__ += getattr(measure, "__click_params__", [])  # type: ignore[attr-defined]
        return click.command(help=sys.modules[measure.__module__].__doc__)(main)

    return decorate


def cpu_seconds(
    *calls: Callable[[], object], repeats: int, before: Callable[[], object] = lambda: None
) -> list[float]:
    """The median CPU seconds of each call; they run in turn, and each has run once before.

    `before` runs before each call and does not count.
    """
    samples: list[list[float]] = [[] for _ in calls]
    for repeat in range(repeats + 1):
        for call, seconds in zip(calls, samples, strict=True):
            before()
            start = time.process_time()
            call()
            if repeat:
                seconds.append(time.process_time() - start)
    return [statistics.median(seconds) for seconds in samples]


class Process(NamedTuple):
    cpu_s: float
    wall_s: float
    output: str


def run_process(command: list[str], env: Mapping[str, str] | None = None) -> Process:
    """Run a command to its end. Raises RuntimeError if it fails."""

    def spent() -> float:
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime

    cpu_s, wall_s = spent(), time.perf_counter()
    done = subprocess.run(
        command, env={**os.environ, **(env or {})}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, errors="replace", check=False,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed: {done.stdout}")
    return Process(spent() - cpu_s, time.perf_counter() - wall_s, done.stdout)


def machine() -> str:
    """Processor, system and the versions of what computes."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text().splitlines()
        model = next((x.partition(":")[2].strip() for x in lines if "model name" in x), model)
    text = f"{model}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}"
    text += f", numba {numba.__version__}, numpy {np.__version__}"
    return text + (f", torch {sys.modules['torch'].__version__}" if "torch" in sys.modules else "")


def met(value: float, target: float | None, *, larger: bool = True) -> tuple[str, str]:
    """A target, and whether it is met, for a table."""
    if target is None:
        return "", ""
    return f"{'>=' if larger else '<='} {target:,}", "met" if (value >= target) == larger else "missed"
