"""The study's networks: trained, pruned, and traced on test clouds and on noise."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec
from rich.console import Console

from gmp.tracing.trace import Trace
from pointnet.data import Dataset
from pointnet.study import pruning_comparison
from pointnet.study.stage_cache import Stages
from pointnet.trace_clouds import write_trace
from pointnet.training import checkpoint
from pointnet.training.run_training import run_training
from pointnet.training.settings import Settings
from pointnet.training.stored_weights import load_model
from pointnet.training.train import Training
from sparsim.cache import digest_of
from sparsim.files.sparsim_yaml import load_text
from sparsim.records import Layer

NOISE = "noise"  # the pruned network's trace on normally distributed points
LEVELS = (0.5, 0.8, 0.9)
BATCH = 1  # clouds that the hardware processes at a time


class Network(NamedTuple):
    """A trained network. `interval` is the 95 % interval of `accuracy`."""

    name: str
    epochs: int
    sparsity: float
    accuracy: float
    interval: tuple[float, float]
    class_accuracy: float
    clouds: int
    weights_sha256: str


class Traced(NamedTuple):
    """The trace of a network: a row per layer (`LayerTrace.row`), and the layers as a workload document.

    `clouds`: the densities of the inputs and of the outputs of each layer, cloud by cloud.
    """

    rows: list[dict[str, Any]]
    document: str
    clouds: list[list[tuple[float, float]]]

    def layers(self) -> tuple[Layer, ...]:
        workload = load_text(self.document, "workload").workload
        assert workload is not None
        return workload.layers


class Plan(NamedTuple):
    """`epochs` of the dense network, then `more` for each of the others; `samples` clouds are traced.

    `hardware`: what one network is pruned by; None: all are pruned by magnitude.
    """

    settings: Settings
    more: int = 15
    lr_again: float = 1e-3
    levels: tuple[float, ...] = LEVELS
    samples: int = 256
    hardware: str | None = None

    @property
    def comparison(self) -> pruning_comparison.Plan:
        again = msgspec.structs.replace(self.settings, epochs=self.more, lr=self.lr_again)
        return pruning_comparison.Plan(
            self.settings, again, self.levels, one_shot=False, two_four=False, hardware=self.hardware
        )

    @property
    def pruned(self) -> str:
        """Return the name of the network that represents the pruned ones: the one nearest to 90 %."""
        return pruning_comparison.pruned(self.comparison)

    @property
    def by_energy(self) -> str | None:
        """Return the name of the network that was pruned by energy, to the sparsity of `pruned`."""
        return None if self.hardware is None else pruning_comparison.by_energy(self.comparison)

    @property
    def names_of_pruned(self) -> list[str]:
        return pruning_comparison.names_of_pruned(self.comparison)

    def facts(self) -> dict[str, Any]:
        facts: dict[str, Any] = msgspec.to_builtins(self._asdict())
        return facts


def train(plan: Plan, data: Dataset, stages: Stages, console: Console) -> dict[str, Network]:
    """Train all networks; the result is by name, dense first. A stopped training continues from its
    checkpoint.
    """
    folder = training_folder(plan, data, stages)

    def trained(settings: Settings, run_folder: Path) -> Training:
        return run_training(settings, data, run_folder, resume=True, console=console)

    def rows() -> list[dict[str, Any]]:
        return [
            _network(row, folder)
            for row in pruning_comparison.compare(plan.comparison, data, folder, trained)
        ]

    found = stages.run("training", [plan.facts(), data.digest()], rows)
    return {row["name"]: Network(**{**row, "interval": tuple(row["interval"])}) for row in found}


def training_folder(plan: Plan, data: Dataset, stages: Stages) -> Path:
    """Return the folder of a training, which depends on the plan, the data and the format of checkpoints, so
    that no checkpoint of another run or of an older version is found in it.
    """
    said = [msgspec.to_builtins(plan.comparison), data.digest(), checkpoint.FORMAT]
    return stages.folder / f"training-{digest_of(said)[:12]}"


def _network(row: pruning_comparison.Row, folder: Path) -> dict[str, Any]:
    weights = load_model(folder / row.variant).digest
    score = row.score
    return Network(
        row.variant, row.epochs, row.sparsity, score.accuracy, score.interval(), score.class_accuracy,
        sum(score.total), weights,
    )._asdict()  # fmt: skip


def trace_all(
    plan: Plan, data: Dataset, networks: dict[str, Network], stages: Stages, output: Path
) -> dict[str, Traced]:
    """The control and all pruned networks on test clouds, and the pruned one on noise, with their workloads
    below `output`.
    """
    folder = training_folder(plan, data, stages)
    found = {}
    for name, network, inputs in _traces(plan, networks):
        place = output / name

        def traced(
            network: str = network, inputs: Literal["clouds", "randn"] = inputs, place: Path = place
        ) -> dict[str, Any]:
            stored = load_model(folder / network, plan.settings.device)
            trace = write_trace(
                stored.model, data.test, place, samples=min(plan.samples, len(data.test)), batch=BATCH,
                inputs=inputs, seed=plan.settings.seed, delayed=False,
                provenance={"network": network, "weights_sha256": stored.digest},
            )  # fmt: skip
            document = (place / "workload.yaml").read_text(encoding="utf-8")
            return Traced([layer.row() for layer in trace.layers], document, _by_cloud(trace))._asdict()

        said = [networks[network].weights_sha256, inputs, data.digest(), plan.samples, plan.settings.seed]
        found[name] = Traced(**stages.run(f"trace-{name}", said, traced, [place / "workload.yaml"]))
    return found


def _traces(
    plan: Plan, networks: dict[str, Network]
) -> Iterator[tuple[str, str, Literal["clouds", "randn"]]]:
    """Yield (name of the trace, name of its network, inputs)."""
    for name in networks:
        if name != "dense":
            yield name, name, "clouds"
    yield NOISE, plan.pruned, "randn"


def _by_cloud(trace: Trace) -> list[list[tuple[float, float]]]:
    by_layer = (zip(layer.input_densities, layer.output_densities, strict=True) for layer in trace.layers)
    return [list(layers) for layers in zip(*by_layer, strict=True)]
