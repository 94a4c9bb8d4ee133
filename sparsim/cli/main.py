"""The program `sparsim`; each of its commands is in a module of its own."""

import gc

import click

from sparsim import __version__
from sparsim.cli.check_command import check
from sparsim.cli.chip_command import chip
from sparsim.cli.convert_command import convert
from sparsim.cli.estimate_command import estimate
from sparsim.cli.explain_command import explain
from sparsim.cli.mapper_command import mapper
from sparsim.cli.model_command import model
from sparsim.cli.show_command import show
from sparsim.cli.sweep_command import sweep
from sparsim.cli.trace_command import trace
from sparsim.report.console import run

_ALLOCATIONS = 500_000  # new objects between two searches for cycles; Python's 700 add 10 % to a batch


@click.group(commands=[model, explain, show, chip, estimate, mapper, sweep, check, convert, trace])
@click.version_option(__version__, message="%(prog)s %(version)s")
def cli() -> None:
    """Energy and cycles of dense and compressed-sparse DNN accelerators, with Timeloop 3.0.3's numbers."""


def main() -> None:
    gc.set_threshold(_ALLOCATIONS)
    run(cli, "sparsim")
