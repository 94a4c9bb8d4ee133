"""Train, prune and measure point-cloud classifiers."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pointnet.command_options import (
    augmentation_option,
    classes_option,
    data_option,
    device_option,
    epochs_option,
    hardware_option,
    ignore_option,
    lr_option,
    normals_option,
    pattern_option,
    points_option,
    pool_option,
    preset_option,
    pruned_series,
    samples_option,
    stored_data_option,
    training_batch_option,
)
from pointnet.pruning_commands import channels, one_shot, permute, sensitivity
from sparsim.cli.common_options import (
    batch_option,
    document_option,
    file_option,
    folder_option,
    masks_option,
    seed_option,
    threads_option,
)
from sparsim.cli.json_output import json_option, print_json, print_json_file
from sparsim.errors import near, require
from sparsim.fileio.writing import write_text
from sparsim.report.console import INTERRUPTED, echo, messages, results, run

# torch is imported where it is used: --help must not wait for it.
if TYPE_CHECKING:
    from pointnet.training.settings import Settings
    from pointnet.training.train import Training


@click.group(help=__doc__)
def cli() -> None:
    require("torch", "python -m pointnet", "train")


@cli.command()
@data_option
@folder_option(required=True)
@preset_option("small")
@points_option()
@pool_option
@classes_option
@normals_option
@click.option(
    "--delayed/--plain", default=True, show_default=True, help="Transform features before grouping."
)
@epochs_option(15)
@training_batch_option
@click.option("--optimizer", default="adam", show_default=True, metavar="NAME", help="adam or sgd.")
@lr_option
@click.option("--weight-decay", type=float, default=1e-4, show_default=True, help="Weight decay.")
@click.option(
    "--schedule",
    default="one-cycle",
    show_default=True,
    metavar="NAME",
    help="one-cycle, cosine or constant.",
)
@click.option(
    "--label-smoothing", type=float, default=0.1, show_default=True, help="Label smoothing of the loss."
)
@augmentation_option
@click.option(
    "--start", metavar="CHECKPOINT", help="Start from the weights of this checkpoint; their zeros stay zero."
)
@click.option("--recipe", metavar="FILE", help="Prune and set learning rates as a recipe file says.")
@click.option("--sparsity", type=float, help="Prune gradually to this fraction of zeros.")
@click.option(
    "--initial-sparsity", type=float, default=0.05, show_default=True,
    help="Fraction of zeros after the first pruning step.",
)  # fmt: skip
@click.option(
    "--prune-begin", type=float, default=0.0, show_default=True, help="Epoch at which pruning begins."
)
@click.option("--prune-end", type=float, show_default="0.6 of the run", help="Epoch at which pruning ends.")
@click.option(
    "--prune-every", type=float, default=0.5, show_default=True, help="Epochs between pruning steps."
)
@click.option(
    "--scope",
    default="global",
    show_default=True,
    metavar="NAME|FILE",
    help="Rank weights in one pool (global) or by layer; or a file with a sparsity for each layer, from the "
    "command sensitivity, which takes the place of --sparsity.",
)
@pattern_option()
@click.option(
    "--score", default="magnitude", show_default=True, metavar="NAME", help="What ranks the weights."
)
@ignore_option
@click.option(
    "--min-density",
    type=float,
    default=0.0,
    show_default=True,
    help="Smallest fraction of nonzeros in every layer.",
)
@hardware_option
@click.option(
    "--alpha",
    type=float,
    default=0.0,
    show_default=True,
    help="Divide scores by what a weight costs on --hardware, to this power; with --score lamp.",
)
@click.option(
    "--penalty",
    type=float,
    default=0.0,
    show_default=True,
    help="Drive scales of batch norms to zero with this strength; with --pattern channels --score norm.",
)
@click.option("--target-energy-uj", type=float, help="Prune no further than to this energy of one cloud.")
@click.option("--target-cycles", type=float, help="Prune no further than to these cycles of one cloud.")
@seed_option
@click.option(
    "--data-seed",
    type=int,
    default=0,
    show_default=True,
    help="Seed of generated shapes, sampled surfaces and splits.",
)
@threads_option(1)
@device_option
@click.option("--resume", is_flag=True, help="Continue the run in the folder.")
@click.option("--tensorboard", is_flag=True, help="Also log for TensorBoard (needs the extra 'tensorboard').")
@json_option
def train(output: Path, resume: bool, tensorboard: bool, as_json: bool, **options: Any) -> None:
    """Train a classifier, either dense or pruned during training.

    Writes DIR/checkpoint.pt, metrics.csv and result.json, with --hardware also energy and cycles of one
    cloud. Small networks are fastest with one thread.
    """
    from pointnet.training.run_training import data_of, run_training, summary
    from pointnet.training.train import check_free
    from sparsim.hardware import load_hardware

    settings = _settings(options)
    if not resume:
        check_free(output)  # before minutes of reading
    if settings.hardware is not None:
        load_hardware(settings.hardware)  # check this before reading data, too
    data = data_of(settings, messages())
    training = run_training(settings, data, output, resume=resume, tensorboard=tensorboard)
    if training.step < training.steps:
        echo(f"stopped after step {training.step} of {training.steps}; --resume continues", err=True)
        sys.exit(INTERRUPTED)
    if as_json:
        print_json(summary(training))
    else:
        echo(f"accuracy {training.score}")


@cli.command("eval")
@click.argument("checkpoint")
@stored_data_option
@click.option(
    "--split", type=click.Choice(["test", "train"]), default="test", show_default=True,
    help="The part of the data set to classify.",
)  # fmt: skip
@threads_option(1)
@device_option
@json_option
def evaluate(checkpoint: str, data: str | None, split: str, threads: int, device: str, as_json: bool) -> None:
    """Accuracy of a stored network, class by class."""
    import torch

    from pointnet.stored_networks import stored_network
    from pointnet.training.accuracy import score

    torch.set_num_threads(threads)
    stored, found_data = stored_network(checkpoint, data, device)
    clouds = getattr(found_data, split)
    found = score(stored.model, clouds, stored.model.config.points)
    if as_json:
        print_json(found.plain(stored.classes))
    else:
        results().print(found.table(stored.classes))
        echo(f"accuracy {found}")


@cli.command()
@click.argument("checkpoint")
@folder_option(required=True)
@stored_data_option
@samples_option()
@batch_option(2)
@click.option("--inputs", type=click.Choice(["clouds", "randn"]), default="clouds", show_default=True,
              help="randn: noise in place of clouds, as the original study measured.")  # fmt: skip
@masks_option
@click.option("--delayed", is_flag=True, help="Trace the network with delayed aggregation.")
@seed_option
@device_option
@json_option
def trace(
    checkpoint: str, output: Path, data: str | None, samples: int | None, batch: int, inputs: Any,
    masks: Path | None, delayed: bool, seed: int, device: str, as_json: bool,
) -> None:  # fmt: skip
    """Measure shapes, operations and densities of every layer, and write them as a workload for sparsim.

    Writes DIR/workload.yaml, trace.csv and trace.json.
    """
    from gmp.tracing.traced_workload import table
    from pointnet.stored_networks import stored_network
    from pointnet.trace_clouds import write_trace

    stored, clouds = stored_network(checkpoint, data, device)
    traced = write_trace(
        stored.model, clouds.test, output, samples=samples, batch=batch, inputs=inputs, seed=seed,
        masks=masks, delayed=delayed,
        provenance={"checkpoint": checkpoint, "weights_sha256": stored.digest},
    )  # fmt: skip
    if as_json:
        print_json_file(output / "trace.json")
    else:
        results().print(table(traced))
    echo(f"wrote {output}/workload.yaml, trace.csv and trace.json", err=as_json)


@cli.command()
@click.argument("checkpoint")
@folder_option(required=True)
@json_option
def narrow(checkpoint: str, output: Path, as_json: bool) -> None:
    """Remove the channels without weights from a stored network.

    Writes DIR/checkpoint.pt, which the commands eval and trace and the option --start read. Prune channels
    with train --pattern channels.
    """
    from pointnet.training.narrowed_checkpoint import write_narrowed

    found = write_narrowed(Path(checkpoint), output)
    if as_json:
        print_json(found.plain())
    else:
        results().print(found.table())
    echo(f"wrote {output}/checkpoint.pt", err=as_json)


@cli.command()
@click.argument("source")
@file_option()
@points_option(1024)
@normals_option
@classes_option
@seed_option
def pack(source: str, output: Path, points: int, normals: bool, classes: int | None, seed: int) -> None:
    """Read thousands of files once and write one file of clouds, FILE.npz, that loads in a second."""
    from pointnet.data.cloud_packs import check_pack_path, write_pack
    from pointnet.training.run_training import read_data

    check_pack_path(output)  # before minutes of reading
    console = messages()
    data = read_data(source, console, points=points, normals=normals, classes=classes, seed=seed)
    write_pack(data, output)
    echo(f"wrote {output}: {len(data.train)} training and {len(data.test)} test clouds")


@cli.command()
@data_option
@folder_option(required=True)
@preset_option("half")
@pool_option
@pruned_series(20, 20, ".5 .8 .9 .95 .98")
@click.option(
    "--method", "methods", multiple=True, metavar="NAME",
    help="Another method to compare, with the level nearest to .9: sensitivity, table, least-squares, "
    "channels, slimming, netadapt, amc or iterative; may be repeated.",
)  # fmt: skip
@hardware_option
@seed_option
@device_option
@document_option
@json_option
def compare(
    output: Path, epochs: int, more: int, lr: float, lr_again: float, levels: tuple[float, ...],
    methods: tuple[str, ...], hardware: str | None, document: Path | None, as_json: bool, **options: Any,
) -> None:  # fmt: skip
    """Dense, one-shot and gradually pruned networks side by side; call it again to go on after a stop.

    With --hardware one more network is pruned by its energy.
    """
    require("matplotlib", "python -m pointnet compare", "study")
    from pointnet.study import accuracy_report as report
    from pointnet.study import pruning_comparison as comparison
    from pointnet.training.run_training import data_of, run_training
    from pointnet.training.settings import Settings
    from sparsim.hardware import load_hardware
    from sparsim.report.tables import write_blocks

    dense = Settings(epochs=epochs, lr=lr, **options)
    again = Settings(epochs=more, lr=lr_again, **options)
    plan = comparison.Plan(
        dense, again, tuple(sorted(levels)) or comparison.LEVELS, hardware=hardware,
        methods=tuple(dict.fromkeys(methods)),
    )  # fmt: skip
    comparison.check(plan)  # before minutes of reading
    if hardware is not None:
        load_hardware(hardware)
    data = data_of(dense, messages())

    def train(settings: Settings, run_folder: Path) -> Training:
        return run_training(settings, data, run_folder, resume=True)

    rows = comparison.compare(plan, data, output, train)
    traced = report.traces(output, (comparison.CONTROL, comparison.pruned(plan)), data, dense.device)
    blocks = {"accuracy": report.accuracy_table(rows), "densities": report.density_table(traced)}
    if as_json:
        print_json(report.plain(rows, traced))
    else:
        results().print(*blocks.values())
    facts = {"data": data.test.source, "network preset": dense.preset, "seed": str(dense.seed)}
    page = report.report_page(rows, blocks["densities"], facts, comparison.pruned(plan))
    write_text(output / "compare.html", page)
    echo(f"wrote {output / 'compare.html'}", err=as_json)
    if document is not None:
        write_blocks(document, blocks)
        echo(f"renewed {document}", err=as_json)


@cli.command()
@data_option
@folder_option("build/study")
@preset_option("small")
@pool_option
@points_option()
@classes_option
@pruned_series(15, 15, ".5 .8 .9")
@samples_option(256)
@click.option(
    "--design", "designs", multiple=True, metavar="NAME", show_default="all",
    help="gating, onchip or eyeriss_v2; may be repeated.",
)  # fmt: skip
@seed_option
@device_option
@json_option
def study(
    output: Path, epochs: int, more: int, lr: float, lr_again: float, levels: tuple[float, ...], samples: int,
    designs: tuple[str, ...], as_json: bool, **options: Any,
) -> None:  # fmt: skip
    """Train, prune, map and cost PointNet++, and write the report; call it again to go on after a stop."""
    for library in ("matplotlib", "pyarrow"):
        require(library, "python -m pointnet study", "study")
    from pointnet.study.design_costs import CHIPS
    from pointnet.study.design_costs import designs as known
    from pointnet.study.run_study import run_study
    from pointnet.study.study_networks import LEVELS, Plan
    from pointnet.training.settings import Settings

    chosen = tuple(dict.fromkeys(designs)) or known()
    chip = next((CHIPS[design] for design in chosen if design in CHIPS), None)
    wanted = tuple(sorted(set(levels))) or LEVELS
    plan = Plan(Settings(epochs=epochs, lr=lr, **options), more, lr_again, wanted, samples, chip)
    try:
        found = run_study(plan, output, chosen, messages())
    except KeyboardInterrupt:
        echo("stopped; run the same command again to continue", err=True)
        raise
    if as_json:
        print_json(found)
    else:
        for design, variants in found["designs"].items():
            for variant, result in variants.items():
                echo(f"{design} {variant}: {result['energy_uj']:.2f} uJ in {result['cycles']} cycles")
        echo(f"{found['reproduced']} of 48 published runs reproduced")
    echo(f"wrote {output}/report.html, results.json, results.csv and results.parquet", err=as_json)


def _settings(options: dict[str, Any]) -> Settings:
    """Return the settings of the train command; a sparsity, or a recipe's epochs, change them."""
    from pointnet.training.settings import Pruning, Settings

    names = {
        "initial_sparsity": "initial",
        "prune_begin": "begin",
        "prune_end": "end",
        "prune_every": "every",
    }
    plan = {name: options.pop(name) for name in _PRUNING}
    if plan["scope"] not in ("global", "layer"):
        _use_ratios(plan)
    source = click.get_current_context().get_parameter_source
    for name in _PRUNING:
        if plan["sparsity"] is None and source(name) is click.core.ParameterSource.COMMANDLINE:
            raise click.UsageError(f"--{name.replace('_', '-')} needs --sparsity")
    pruning = None
    if options["recipe"] is not None:
        import gmp

        options["epochs"] = math.ceil(gmp.load_recipe(options["recipe"]).epochs)
    if plan["sparsity"] is not None:
        if plan["prune_end"] is None:
            plan["prune_end"] = 0.6 * options["epochs"]
        pruning = Pruning(**{names.get(name, name): value for name, value in plan.items()})
    return Settings(pruning=pruning, **options)


def _use_ratios(plan: dict[str, Any]) -> None:
    """Read the sparsities of layers from the file that is given as the scope."""
    from pointnet.errors import ConfigError
    from pointnet.training.layer_pruning import read_ratios

    if not Path(plan["scope"]).exists():
        raise ConfigError(
            f"unknown scope '{plan['scope']}': it is global, layer, or a file of the command sensitivity",
            hint=near(plan["scope"], ("global", "layer")),
        )
    if plan["sparsity"] is not None:
        raise click.UsageError("--scope names a file with sparsities; leave out --sparsity")
    found = read_ratios(Path(plan["scope"]))
    plan["scope"], plan["sparsity"] = found.scope, found.sparsity


_PRUNING = (
    "sparsity", "initial_sparsity", "prune_begin", "prune_end", "prune_every", "scope", "pattern", "score",
    "ignore", "min_density", "alpha", "target_energy_uj", "target_cycles", "penalty",
)  # fmt: skip


for command in (sensitivity, one_shot, channels, permute):
    cli.add_command(command)


def main() -> None:
    run(cli, "python -m pointnet")
