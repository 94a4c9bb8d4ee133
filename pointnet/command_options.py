"""Options that several commands of `python -m pointnet` share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from sparsim.cli.common_options import AT_LEAST_1, Decorator, shown_default

LAYOUTS = "'shapes', the procedural set, or a file or folder of clouds (layouts: docs/how-to/pointnet.md)."


def _checked_device(context: click.Context, parameter: click.Parameter, name: str) -> str:
    """Check the device before data are read, which may take minutes."""
    from pointnet.device_names import device_called

    device_called(name)
    return name


data_option = click.option("--data", default="shapes", show_default=True, metavar="SOURCE", help=LAYOUTS)
stored_data_option = click.option(
    "--data", metavar="SOURCE", show_default="the one that the network was trained on", help=LAYOUTS
)
device_option = click.option(
    "--device", default="cpu", show_default=True, metavar="NAME", callback=_checked_device,
    help="cpu, cuda, cuda:N or mps.",
)  # fmt: skip
pool_option = click.option(
    "--pool", type=int, show_default="as many as the network takes",
    help="Points kept of each cloud, from which every step draws those that the network takes.",
)  # fmt: skip
classes_option = click.option(
    "--classes", type=int, help="The class list to use of a ModelNet folder: 10 or 40."
)
normals_option = click.option("--normals", is_flag=True, help="Use normals beside coordinates.")
lr_option = click.option(
    "--lr", type=float, default=2e-3, show_default=True, help="Highest learning rate of the first training."
)
augmentation_option = click.option(
    "--augmentation", default="strong", show_default=True, metavar="NAME",
    help="How training clouds are varied: none, rotation, light, study or strong.",
)  # fmt: skip
hardware_option = click.option(
    "--hardware", metavar="NAME", help="A preset or document on which energy and cycles are counted."
)
ignore_option = click.option(
    "--ignore", multiple=True, metavar="NAME", help="Layer to leave dense; 're:...' matches several."
)
training_batch_option = click.option(
    "--batch", type=int, default=32, show_default=True, help="Clouds per training step."
)


def pattern_option(default: str = "1x1") -> Decorator:
    """--pattern."""
    return click.option(
        "--pattern", default=default, show_default=True, metavar="PATTERN",
        help="What is pruned together: 1x1, 2:4, block(4,1), channel, ...",
    )  # fmt: skip


def points_option(default: int | None = None) -> Decorator:
    """--points."""
    return click.option(
        "--points", type=int, help="Points per cloud.", **shown_default(default, "the network's")
    )  # fmt: skip


def clouds_option(default: int) -> Decorator:
    """--clouds."""
    return click.option(
        "--clouds", "count", type=AT_LEAST_1, default=default, show_default=True,
        help="Number of training clouds to measure with.",
    )  # fmt: skip


def preset_option(default: str) -> Decorator:
    """--preset."""
    return click.option(
        "--preset", default=default, show_default=True, metavar="NAME",
        help="Network: small, half, study, msg or sparse.",
    )  # fmt: skip


def epochs_option(default: int) -> Decorator:
    """--epochs."""
    return click.option(
        "--epochs", type=int, default=default, show_default=True, help="Epochs of the first training."
    )


def samples_option(default: int | None = None) -> Decorator:
    """--samples."""
    return click.option(
        "--samples", type=AT_LEAST_1, help="Number of test clouds to trace, drawn at random.",
        **shown_default(default, "all"),
    )  # fmt: skip


def pruned_series(epochs: int, more: int, levels: str) -> Callable[..., Any]:
    """Add the options of a dense training and of the pruned ones that start from it."""
    options = (
        epochs_option(epochs),
        click.option("--more", type=int, default=more, show_default=True,
                     help="Epochs of every training after it."),
        training_batch_option,
        lr_option,
        click.option(
            "--lr-again", type=float, default=1e-3, show_default=True,
            help="Highest learning rate of every training after it.",
        ),
        augmentation_option,
        click.option("--level", "levels", type=float, multiple=True, show_default=levels,
                     help="A sparsity; may be repeated."),
    )  # fmt: skip

    def add(command: Any) -> Any:
        for option in reversed(options):
            command = option(command)
        return command

    return add
