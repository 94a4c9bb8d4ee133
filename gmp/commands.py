"""Measure and compress networks of PyTorch."""

import click

from gmp.share_weights_command import share
from gmp.trace_network_command import trace
from sparsim.errors import require
from sparsim.report.console import run


@click.group(help=__doc__)
def cli() -> None:
    require("torch", "python -m gmp", "train")


cli.add_command(trace)
cli.add_command(share)


def main() -> None:
    run(cli, "python -m gmp")
