"""Commands that prune a stored network without training it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from pointnet.command_options import (
    clouds_option,
    hardware_option,
    ignore_option,
    pattern_option,
    stored_data_option,
)
from sparsim.cli.common_options import AT_LEAST_1, Decorator, file_option, folder_option, seed_option
from sparsim.cli.json_output import json_option, print_json, print_json_file
from sparsim.errors import require
from sparsim.report.console import echo, messages, results
from sparsim.report.tables import Table

COSTS = ("weights", "macs", "energy", "cycles")


def cost_option(default: str) -> Decorator:
    """--cost."""
    return click.option(
        "--cost", type=click.Choice(COSTS), default=default, show_default=True, help="What is saved."
    )


@click.command()
@click.argument("checkpoint")
@folder_option(required=True)
@stored_data_option
@clouds_option(400)
@hardware_option
@pattern_option()
@click.option("--stop", type=float, help="End the scan of a layer at this increase of the loss.")
@click.option("--saved", type=float, help="Also write sparsities that save this fraction to ratios.json.")
@cost_option("weights")
@click.option("--method", type=click.Choice(["table", "threshold"]), default="table", show_default=True,
              help="Least sum of losses, or the same loss in every layer.")  # fmt: skip
@seed_option
@json_option
def sensitivity(
    checkpoint: str, output: Path, data: str | None, count: int, saved: float | None, cost: str, method: str,
    as_json: bool, **options: Any,
) -> None:  # fmt: skip
    """Prune each layer alone, and measure what that costs; call it again to go on after a stop.

    Batch norms are recalibrated on as many other clouds as the losses are measured on.

    Writes DIR/sensitivity.csv and sensitivity.svg, and with --saved ratios.json for `train --scope`.
    """
    require("matplotlib", "python -m pointnet sensitivity", "plot")
    from gmp.number_checks import fraction
    from pointnet.stored_networks import stored_network
    from pointnet.training.layer_pruning import Ratios, pointnet_of, sensitivity_of
    from sparsim.fileio.json_and_csv import write_json

    if saved is not None:
        fraction(saved, "--saved")
        if cost != "weights" and options["hardware"] is None:
            raise click.UsageError(f"--cost {cost} is given without --hardware")
    stored, found_data = stored_network(checkpoint, data)
    model = pointnet_of(stored.model)
    output.mkdir(parents=True, exist_ok=True)
    table = sensitivity_of(model, found_data.train, count=count, path=output / "points.jsonl", **options)
    table.to_csv(output / "sensitivity.csv")
    table.plot(output / "sensitivity.svg")
    if as_json:
        print_json(
            {"samples": table.samples, "loss": table.loss, "accuracy": table.accuracy, "rows": table.rows()}
        )
    else:
        results().print(table.table())
    if saved is not None:
        found = table.ratios(saved, cost=cost, method=method)
        write_json(output / "ratios.json", Ratios(found.sparsity, found.scope))
        echo(f"sparsity {found.sparsity:.4f} saves {saved:g} of the {cost}", err=as_json)
    echo(f"wrote {output}", err=as_json)


@click.command("one-shot")
@click.argument("checkpoint")
@file_option()
@stored_data_option
@clouds_option(256)
@click.option("--sparsity", type=float, help="Prune at once to this fraction of zeros.")
@click.option("--scope", metavar="FILE", help="Sparsities of the layers, from the command sensitivity.")
@pattern_option()
@click.option("--method", default="least-squares", show_default=True, metavar="NAME",
              help="least-squares, wanda, wanda-rows, obs or sparsegpt.")  # fmt: skip
@ignore_option
@seed_option
@json_option
def one_shot(
    checkpoint: str, output: Path, data: str | None, sparsity: float | None, scope: str | None, as_json: bool,
    **options: Any,
) -> None:  # fmt: skip
    """Prune a network at once with calibration clouds, without training.

    All layers get the same sparsity, or those of --scope; the pattern is 1x1 or n:m.

    The file can be evaluated, traced, and trained on with `train --start`, which keeps its zeros.
    """
    from pointnet.stored_networks import stored_network
    from pointnet.training.accuracy import score
    from pointnet.training.layer_pruning import pointnet_of, pruned_with_data, read_ratios, store_pruned

    if sparsity is not None and scope is not None:
        raise click.UsageError("--sparsity and --scope are given; give one of them")
    wanted = sparsity if scope is None else read_ratios(Path(scope)).scope
    stored, data_set = stored_network(checkpoint, data)
    model = pointnet_of(stored.model)
    report = pruned_with_data(model, data_set.train, sparsity=wanted, **options)
    store_pruned(Path(checkpoint), model, output)
    found = score(model, data_set.test, model.config.points)
    if as_json:
        print_json({"sparsity": report.sparsity, "accuracy": found.accuracy, "interval_95": found.interval()})
    else:
        results().print(report.table())
        echo(f"accuracy {found}")
    echo(f"wrote {output}", err=as_json)


@click.command()
@click.argument("checkpoint")
@folder_option(required=True)
@stored_data_option
@click.option("--method", default="netadapt", show_default=True, metavar="NAME",
              help="netadapt, uniform, table, greedy, random or amc.")  # fmt: skip
@click.option("--saved", type=float, required=True, help="Fraction of the cost that the channels must save.")
@cost_option("weights")
@hardware_option
@clouds_option(200)
@click.option("--multiple", type=AT_LEAST_1, default=8, show_default=True,
              help="Numbers of channels that are tried are multiples of this.")  # fmt: skip
@click.option("--episodes", type=AT_LEAST_1, default=100, show_default=True,
              help="Number of networks that amc, and the random search, try.")  # fmt: skip
@seed_option
@json_option
def channels(
    checkpoint: str, output: Path, data: str | None, count: int, as_json: bool, **options: Any
) -> None:
    """Search how many channels each layer keeps within a budget; call it again to go on after a stop.

    NetAdapt trains its candidates for a few steps and keeps its series of networks in DIR/series. The other
    methods do not train; amc also runs all of them and shows them beside it.

    Writes DIR/search.json and the network without the channels, DIR/checkpoint.pt, which the commands eval
    and trace and the option --start of train read.
    """
    from pointnet.stored_networks import stored_network
    from pointnet.training.channel_search import RECORD, ChannelSearch, search_channels

    _, data_set = stored_network(checkpoint, data)
    search = ChannelSearch(clouds=count, **options)
    status = messages().status("searching channels")
    with status:
        found = search_channels(Path(checkpoint), data_set.train, output, search, status.update)
    if as_json:
        print_json_file(output / RECORD)
    else:
        results().print(found.table())
    echo(f"wrote {output}", err=as_json)


@click.command()
@click.argument("checkpoint")
@file_option()
@pattern_option("2:4")
@json_option
def permute(checkpoint: str, output: Path, pattern: str, as_json: bool) -> None:
    """Permute channels so that an n:m pattern keeps more of the absolute weights.

    The network computes the same. Prune the file with the command one-shot, or with train --start.
    """
    from gmp.channels import permute_channels
    from pointnet.training.layer_pruning import store_pruned
    from pointnet.training.pruning_options import channel_groups_of
    from pointnet.training.stored_weights import load_model

    model = load_model(Path(checkpoint)).model
    found = permute_channels(model, channel_groups_of(model), pattern)
    store_pruned(Path(checkpoint), model, output)
    if as_json:
        print_json({"groups": [{**each._asdict(), "efficacy": each.efficacy} for each in found]})
    else:
        rows = [(each.group, *(f"{share:.1%}" for share in (*each[1:], each.efficacy))) for each in found]
        head = ["group", "kept before", "kept after", "kept by single weights", "part of the gap closed"]
        results().print(Table(head, rows, text=(0,)))
    echo(f"wrote {output}", err=as_json)
