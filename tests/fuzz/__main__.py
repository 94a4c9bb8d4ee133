"""Feeds spoiled documents, options, files and records to the programs, in this process.

    python -m tests.fuzz --tries 20000 --seed 1 -o build/fuzz

Each try has a number, and nothing but seed and number decides what it does: `--first 1234 --tries 1` repeats
one. Inputs of tries that went wrong stay in the output folder.
"""

from __future__ import annotations

import resource
import shutil
import sys
import time
from pathlib import Path

import click

sys.path.insert(0, str(Path(__file__).parents[1]))  # as pytest does

MEMORY = 8 * 2**30  # bytes of address space; Numba's compiler reserves a lot


@click.command()
@click.option("--tries", type=click.IntRange(min=1), default=20_000, show_default=True)
@click.option("--first", type=click.IntRange(min=0), default=0, show_default=True, help="Its number.")
@click.option("--seed", type=int, default=1, show_default=True)
@click.option("--kind", help="Only inputs of this kind.")
@click.option("-o", "out", type=click.Path(path_type=Path), default=Path("build/fuzz"), show_default=True)
def main(tries: int, first: int, seed: int, kind: str | None, out: Path) -> None:
    """Fuzz the programs of this repository; exit code 1 if anything went wrong."""
    from tests.fuzz.tries import Tally, one_try

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    shutil.rmtree(out, ignore_errors=True)
    tally, start, cpu = Tally(), time.monotonic(), time.process_time()
    for number in range(first, first + tries):
        found = one_try(seed, number, out, kind)
        tally.add(found)
        if found.outcome.fault:
            print(f"{number} {found.kind}: {found.outcome.fault}", flush=True)
        if (number + 1 - first) % 500 == 0:
            click.echo(f"{number + 1 - first} tries, {tally.faults} faults", err=True)
    click.echo(tally.table())
    spent = time.process_time() - cpu
    click.echo(f"{tries} tries, {tally.faults} faults, {spent:.0f} CPU s, {time.monotonic() - start:.0f} s")
    sys.exit(1 if tally.faults else 0)


if __name__ == "__main__":
    main()
