"""Traces of classifiers on clouds, as a workload, tables and masks."""

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
from pointnet.model import Config, PointNet2, SetAbstraction
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
    """Trace `model` and write workload.yaml, trace.csv and trace.json into the folder `output`.

    samples : this many clouds, drawn with `seed`; None: all. Of each the first points, as the model takes
    batch : dim N of the workload
    inputs : "randn": standard-normal points in place of the clouds, as the original study measured
    masks : folder for masks of all weights and of the first `batch` clouds' inputs; the workload names them
    delayed : with or without delayed aggregation, in PointNet++; None: as the model is
    provenance : further facts for the workload (digest of a checkpoint, ...)

    Raises TraceError for counts that cannot be, and as `trace` and `workload_of` do.
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
    """The workload with the samplings and searches of neighbours before the first layer of each MLP."""
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
    """(samples, points, C) float32."""
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
    # the clouds of a split lie class by class: the first ones would be of one class
    chosen = np.sort(np.random.default_rng(seed).choice(len(clouds), count, replace=False))
    return torch.from_numpy(clouds.points[chosen, :points])


def variant(model: Classifier, *, delayed: bool) -> Classifier:
    """The same network with delayed aggregation on or off, which PointNet++ has only."""
    if not isinstance(model, PointNet2):
        return model
    found = copy.deepcopy(model)  # which may be narrower than its configuration says
    found.config = replace(model.config, delayed=delayed)
    for module in found.modules():
        if isinstance(module, SetAbstraction):
            module.delayed = delayed
    return found
