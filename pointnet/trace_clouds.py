"""Traces of classifiers on clouds, written as a workload, tables and masks."""

from __future__ import annotations

import copy
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from msgspec import structs
from torch import Tensor

from gmp.errors import TraceError
from gmp.tracing.trace import Trace, trace
from gmp.tracing.traced_workload import Provenance, workload_of, write_masks, write_workload
from pointnet.classifiers import Classifier
from pointnet.device_names import device_of
from pointnet.model import PointNet2, SetAbstraction
from pointnet.network_config import Config
from pointnet.sparse.sparse_classifier import SparseClassifier
from sparsim.records import PointMapping, Workload

if TYPE_CHECKING:
    from pointnet.data import Clouds

_NAMES = {PointNet2: "pointnet2", SparseClassifier: "sparse_classifier"}
RUN_BATCH = 16  # clouds that go through the network at a time; no result depends on it


def write_trace(
    model: Classifier,
    clouds: Clouds,
    output: Path,
    *,
    samples: int | None = None,
    batch: int = 2,
    inputs: Literal["clouds", "randn"] = "clouds",
    seed: int = 0,
    masks: Path | None = None,
    delayed: bool | None = None,
    provenance: Provenance | None = None,
) -> Trace:
    """Trace a classifier on clouds, and write workload.yaml, trace.csv and trace.json.

    Parameters
    ----------
    model : Classifier
        Network to trace.
    clouds : Clouds
        Clouds to run.
    output : Path
        Folder for the files.
    samples : int, default None
        Number of clouds, drawn with `seed`; None selects all. The first points of each cloud are used, as
        many as the model takes.
    batch : int, default 2
        Bound of dim N in the workload.
    inputs : {"clouds", "randn"}, default 'clouds'
        "randn" replaces the clouds by standard-normal points, which the original study measured.
    seed : int, default 0
        Seed of the choice of clouds and of random points.
    masks : Path, default None
        Folder for masks of all weights and of the inputs of the first `batch` clouds, which the workload then
        names. None writes no masks.
    delayed : bool, default None
        Trace PointNet++ with or without delayed aggregation; None leaves the model as it is.
    provenance : mapping, default None
        Further facts for the workload, such as the digest of a checkpoint.

    Returns
    -------
    Trace
        The trace.

    Notes
    -----
    Raises `TraceError` for impossible counts, and the errors of `gmp.tracing.trace` and `workload_of`.
    """
    points = _points(clouds, model.config.points, samples, batch, inputs, seed).to(device_of(model))
    model = model if delayed is None else variant(model, delayed=delayed)
    traced = trace(model, torch.split(points, RUN_BATCH), mask_samples=0 if masks is None else batch)
    facts: dict[str, str | int | float | bool] = {
        "samples": traced.samples, "points": points.shape[1], "inputs": inputs, "seed": seed,
    }  # fmt: skip
    if isinstance(model, PointNet2):
        facts |= {"delayed": model.config.delayed}
    if inputs == "clouds":
        facts |= {"data": clouds.digest()}
    source = clouds.source if inputs == "clouds" else "standard-normal points"
    mask_folder = None if masks is None else Path(os.path.relpath(masks, output)).as_posix()
    workload = workload_of(
        traced, name=_NAMES[type(model)], batch=batch, source=source,
        provenance=facts | dict(provenance or {}), masks=mask_folder,
    )  # fmt: skip
    if isinstance(model, PointNet2):
        workload = with_point_mappings(workload, model.config, batch)
    if masks is not None:
        write_masks(traced, masks, batch)
    write_workload(traced, workload, output)
    return traced


def with_point_mappings(workload: Workload, config: Config, clouds: int) -> Workload:
    """Add sampling and neighbour search to the layers of a PointNet++ workload.

    Parameters
    ----------
    workload : Workload
        Workload of a network with the layer names of `PointNet2`.
    config : Config
        Configuration of the network.
    clouds : int
        Clouds that are processed together.

    Returns
    -------
    Workload
        The workload, in which the first layer of each MLP has the operations that run before it.
    """
    found: dict[str, tuple[PointMapping, ...]] = {}
    points = config.points
    for i, stage in enumerate(config.stages, 1):
        sampled = PointMapping(kind="fps", points=points, queries=stage.centres, clouds=clouds)
        for j, scale in enumerate(stage.scales):
            grouped = PointMapping(
                kind="ball-query", points=points, queries=stage.centres, neighbours=scale.neighbours,
                clouds=clouds,
            )  # fmt: skip
            prefix = f"sa{i}" if len(stage.scales) == 1 else f"sa{i}.{j}"
            found[f"{prefix}.mlp_convs.0"] = (grouped,) if j else (sampled, grouped)
        points = stage.centres
    layers = tuple(
        structs.replace(layer, point_mappings=found.get(layer.name, ())) for layer in workload.layers
    )
    return structs.replace(workload, layers=layers)


def _points(clouds: Clouds, points: int, samples: int | None, batch: int, inputs: str, seed: int) -> Tensor:
    """Return the points to run, float32 of shape (samples, points, C)."""
    if seed < 0:
        raise TraceError(f"seed must be at least 0, got {seed}")
    count = len(clouds) if samples is None else samples
    if not 1 <= count <= len(clouds):
        raise TraceError(f"the number of samples must be between 1 and the {len(clouds)} clouds, got {count}")
    if not 1 <= batch <= count:
        raise TraceError(f"the batch must be between 1 and the {count} samples, got {batch}")
    have, channels = clouds.points.shape[1:]
    if have < points:
        raise TraceError(f"the clouds must have {points} points for this network, got {have}")
    if inputs == "randn":
        generator = torch.Generator().manual_seed(seed)
        return torch.randn(count, points, channels, generator=generator)
    if inputs != "clouds":
        raise TraceError(f"inputs must be 'clouds' or 'randn', got '{inputs}'")
    # clouds of a split are ordered by class, so that the first ones would all be of one class
    chosen = np.sort(np.random.default_rng(seed).choice(len(clouds), count, replace=False))
    return torch.from_numpy(clouds.points[chosen, :points])


def variant(model: Classifier, *, delayed: bool) -> Classifier:
    """Copy a network with delayed aggregation on or off.

    Parameters
    ----------
    model : Classifier
        Network to copy; others than PointNet++ are returned unchanged, because they have no delayed
        aggregation.
    delayed : bool
        Whether aggregation is delayed.

    Returns
    -------
    Classifier
        The network with the same weights.
    """
    if not isinstance(model, PointNet2):
        return model
    found = copy.deepcopy(model)  # a copy, because it may be narrower than its configuration
    found.config = replace(model.config, delayed=delayed)
    for module in found.modules():
        if isinstance(module, SetAbstraction):
            module.delayed = delayed
    return found
