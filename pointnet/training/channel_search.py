"""Search for the channels of a stored network that meet a budget, kept in a folder that it can go on from."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from msgspec.structs import replace
from torch import nn
from torch.nn import functional as F

import gmp
from gmp.channels import (
    AdaptedNetwork,
    ChannelCandidates,
    ChannelChoice,
    ChannelGroups,
    amc,
    mac_cost,
    netadapt_channels,
    parameter_cost,
)
from gmp.channels.channel_costs import ChannelCost
from gmp.channels.channel_searches import BudgetWall, greedy_search, random_search, table_search, uniform
from gmp.energy import hardware_cost
from gmp.number_checks import fraction
from pointnet.data import Clouds
from pointnet.errors import ConfigError
from pointnet.model import PointNet2
from pointnet.training import checkpoint
from pointnet.training.batches import Batches, seed_of
from pointnet.training.layer_pruning import batches_with_groupings
from pointnet.training.narrowed_checkpoint import save_narrowed
from pointnet.training.pruning_options import channel_groups_of
from pointnet.training.settings import AUGMENTATIONS, Settings
from pointnet.training.stored_weights import load_model
from pointnet.training.train import check_free
from sparsim.fileio.json_and_csv import write_json
from sparsim.fileio.reading import read_text
from sparsim.report.tables import Table

METHODS = ("netadapt", "uniform", "table", "greedy", "random", "amc")
SEARCHES = {"uniform": uniform, "table": table_search, "greedy": greedy_search}
RECORD = "search.json"
FIRST, DECAY = 0.15, 0.95  # of the savings of NetAdapt's iterations
TUNE_STEPS, TUNE_LR = 8, 1e-3  # training of a candidate of NetAdapt
_TUNING = 3  # a stream of random numbers in addition to those of the training


class ChannelSearch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of a search. `weights` is the digest of the network that it starts from."""

    method: str
    saved: float
    cost: str = "weights"
    hardware: str | None = None
    clouds: int = 200
    multiple: int = 8
    episodes: int = 100
    seed: int = 0
    weights: str = ""


class Found(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A network that the search has found: after an iteration of NetAdapt, or by one of the methods."""

    name: str
    channels: dict[str, int]
    cost: float
    loss: float
    step: float = 0.0  # what NetAdapt's next iteration tries to save


class Record(msgspec.Struct, forbid_unknown_fields=True):
    """What the file of a search holds. `cost` is that of the whole network."""

    search: ChannelSearch
    cost: float
    budget: float
    found: list[Found] = []

    def table(self) -> Table:
        """Return the networks as a table for a terminal."""
        rows = [
            (each.name, f"{each.cost / self.cost:.1%}", f"{each.loss:.4g}",
             " ".join(map(str, each.channels.values())))
            for each in self.found
        ]  # fmt: skip
        return Table(["found by", "cost", "loss", "channels"], rows, text=(0, 3))


def search_channels(
    path: Path, clouds: Clouds, folder: Path, search: ChannelSearch,
    progress: Callable[[str], object] = lambda text: None,
) -> Record:  # fmt: skip
    """Search channels of the network in `path` with training clouds, and write the narrowed checkpoint.

    Writes DIR/checkpoint.pt and DIR/search.json, and DIR/series/01 and so on with the networks of NetAdapt.
    An interrupted search is continued. Raises ConfigError for options that do not fit, CheckpointError if
    the folder holds a training, and what the searches raise.
    """
    _check(search, len(clouds))
    if not (folder / RECORD).exists():
        check_free(folder)
    state, stored = checkpoint.load(path), load_model(path)
    run = _Run(search, state, stored.model, stored.settings, clouds)
    search = replace(search, weights=checkpoint.digest(state["model"]))
    record = Record(search, run.cost({}), (1 - search.saved) * run.cost({}))
    earlier = _earlier(folder, search)
    folder.mkdir(parents=True, exist_ok=True)
    if search.method == "netadapt":
        _netadapt(run, record, earlier, folder, progress)
    else:
        _searched(run, record, folder, progress)
    write_json(folder / RECORD, record)
    return record


def _check(search: ChannelSearch, clouds: int) -> None:
    if search.method not in METHODS:
        raise ConfigError(f"unknown method '{search.method}': it is {', '.join(METHODS)}")
    if not 0 < fraction(search.saved, "the fraction to save") < 1:
        raise ConfigError(f"the fraction to save must be between 0 and 1, got {search.saved:g}")
    if search.cost in ("energy", "cycles") and search.hardware is None:
        raise ConfigError(f"the cost {search.cost} needs hardware")
    if 2 * search.clouds > clouds:
        raise ConfigError(
            f"{2 * search.clouds} clouds are needed to measure losses and to recalibrate, and {clouds} are "
            "there"
        )


def _earlier(folder: Path, search: ChannelSearch) -> list[Found]:
    """Return what the search in the folder has found so far. Raises ConfigError if it is another search."""
    path = folder / RECORD
    if not path.exists():
        return []
    text = read_text(path, what="a search for channels", error=ConfigError)
    try:
        record = msgspec.json.decode(text, type=Record)
    except msgspec.DecodeError as error:
        raise ConfigError(f"{path}: is not the record of a search for channels: {error}") from None
    for field in ChannelSearch.__struct_fields__:
        ours, theirs = getattr(search, field), getattr(record.search, field)
        if ours != theirs:
            raise ConfigError(f"{path}: the search in it has {field} {theirs}, given is {ours}")
    return record.found


class _Run:
    """The network of a search with its groups, cost and loss."""

    def __init__(
        self, search: ChannelSearch, state: dict[str, Any], model: Any, settings: Settings, clouds: Clouds
    ) -> None:
        self.search, self.state, self.settings, self.clouds = search, state, settings, clouds
        found = channel_groups_of(model)
        assert isinstance(model, PointNet2)
        self.model: PointNet2 = model
        order = np.random.default_rng(search.seed).permutation(len(clouds))
        count = search.clouds
        self._seen = list(batches_with_groupings(model, clouds, order[:count]))
        self._others = [x for x, _ in batches_with_groupings(model, clouds, order[count : 2 * count])]
        self.groups: ChannelGroups = dataclasses.replace(found, example=self._seen[0][0]["clouds"])
        self.cost = self._cost()

    def _cost(self) -> ChannelCost:
        if self.search.cost in ("energy", "cycles"):
            quantity: Any = {"energy": "energy_pj", "cycles": "cycles"}[self.search.cost]
            return hardware_cost(self.model, self.groups, self.search.hardware, quantity)
        costs = {"weights": parameter_cost, "macs": mac_cost}
        return costs[self.search.cost](self.model, self.groups)

    @torch.no_grad()
    def loss(self, model: nn.Module) -> float:
        """Return the loss with batch norms measured again on other clouds."""
        gmp.recalibrate_batch_norm(model, self._others)
        model.eval()
        losses = [F.cross_entropy(model(**x), labels, reduction="sum") for x, labels in self._seen]
        return float(torch.stack(losses).sum()) / self.search.clouds

    def tune(self, model: nn.Module) -> None:
        """Train a candidate for some steps."""
        given, seed = self.settings, self.search.seed
        batches = Batches(self.clouds, self.model, AUGMENTATIONS[given.augmentation], given.batch, seed)
        optimizer = torch.optim.Adam(model.parameters(), TUNE_LR)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed_of(seed, _TUNING))
            model.train()
            for step in range(min(TUNE_STEPS, len(batches))):
                batch = batches[step]
                optimizer.zero_grad()
                F.cross_entropy(model(*batch.inputs), batch.labels).backward()
                optimizer.step()


def _netadapt(
    run: _Run, record: Record, earlier: list[Found], folder: Path, progress: Callable[[str], object]
) -> None:
    record.found = earlier
    series = [
        AdaptedNetwork(each.name, each.channels, each.cost, each.loss, network, spec, each.step)
        for i, each in enumerate(earlier)
        for network, spec in [_network(folder, i)]
    ]

    def keep(network: AdaptedNetwork) -> None:
        save_narrowed(run.state, network.model, network.spec, _series(folder, len(record.found)))
        record.found.append(Found(network.group, network.counts, network.cost, network.loss, network.step))
        write_json(folder / RECORD, record)
        progress(f"iteration {len(record.found)}: {network.cost / record.cost:.1%} of the cost is left")

    found = netadapt_channels(
        run.model, run.groups, run.cost, record.budget, run.loss, tune=run.tune, first=FIRST, decay=DECAY,
        score="norm", multiple=run.search.multiple, series=series, adapted=keep,
        after=run.state.get("narrowed"),
    )  # fmt: skip
    save_narrowed(run.state, found[-1].model, found[-1].spec, folder)


def _series(folder: Path, i: int) -> Path:
    return folder / "series" / f"{i + 1:02}"


def _network(folder: Path, i: int) -> tuple[nn.Module, dict[str, Any]]:
    path = _series(folder, i)
    return load_model(path).model, checkpoint.load(path)["narrowed"]


def _searched(run: _Run, record: Record, folder: Path, progress: Callable[[str], object]) -> None:
    search = run.search
    candidates = ChannelCandidates(
        run.model, run.groups, run.loss, score="norm", multiple=search.multiple, path=folder / "losses.jsonl"
    )
    if search.method == "amc":
        report = amc(
            candidates, run.cost, record.budget, episodes=search.episodes, seed=search.seed, progress=progress
        )
        choices = report.choices
    else:
        choices = (_choice(candidates, BudgetWall(candidates.levels, run.cost, record.budget), search),)
    record.found = [Found(each.method, each.counts, each.cost, each.loss) for each in choices]
    kept = candidates.kept(choices[-1].counts)
    narrowed = gmp.narrow(run.model, run.groups, kept, after=run.state.get("narrowed"))
    run.loss(narrowed.model)  # measures batch norms again
    save_narrowed(run.state, narrowed.model, narrowed.spec, folder)


def _choice(candidates: ChannelCandidates, wall: BudgetWall, search: ChannelSearch) -> ChannelChoice:
    if search.method == "random":
        return random_search(candidates, wall, search.episodes, search.seed)
    return SEARCHES[search.method](candidates, wall)
