"""Certified mappings of the distinct layers of networks, on the design with on-chip compression."""

import time
from typing import Any, NamedTuple

from benchmark import Found, Step
from msgspec.structs import replace

from pointnet.original.published_runs import DESIGNS, runs
from sparsim.files.sparsim_yaml import load_accelerator, load_workload
from sparsim.mapper.search import search
from sparsim.mapper.search_result import SearchResult
from sparsim.records import Density, Layer, Mapspace
from sparsim.report.tables import Table

DENSITIES = {"Weights": 0.2, "Inputs": 0.5, "Outputs": 0.5}  # of ResNet-50, assumed
OBJECTIVES = (("energy",), ("delay",), ("edp",))


class Problem(NamedTuple):
    """One layer of a network, dense or sparse, with an objective."""

    network: str
    variant: str
    layer: Layer
    objective: tuple[str, ...]


class Solved(NamedTuple):
    """A problem, the result and the CPU seconds of its search."""

    problem: Problem
    found: SearchResult
    cpu_s: float


def distinct_layers(network: str, densities: dict[str, float] | None = None) -> list[Layer]:
    """Return the layers of a workload that differ in bounds or strides, in the study's shape and with
    structured densities; of grouped convolutions one group. Fully connected layers of AlexNet are left out.
    """
    shape = runs()[0].layer.shape
    found: dict[Any, Layer] = {}
    for layer in load_workload(network).layers:
        bounds = {dim: layer.bounds[dim] for dim in shape.dims}
        given = densities or {name: one.density for name, one in layer.densities.items()}
        key = (*bounds.values(), *layer.coefficients.values())
        if not layer.name.startswith("fc") or network.startswith("resnet"):
            structured = {name: Density(density=x) for name, x in given.items()}
            one = replace(layer, shape=shape, bounds=bounds, densities=structured)
            found.setdefault(key, one)
    return list(found.values())


def list_problems(*, quick: bool) -> list[Problem]:
    """Return all problems: AlexNet as pruned, ResNet-50 with assumed densities, and both dense."""
    networks = {
        "AlexNet": distinct_layers("alexnet_sparse"),
        "ResNet-50": distinct_layers("resnet50", DENSITIES),
    }
    return [
        Problem(name, variant, layer if variant == "sparse" else replace(layer, densities={}), objective)
        for name, layers in networks.items()
        for variant in ("dense", "sparse")
        for objective in OBJECTIVES[: 1 if quick else None]
        for layer in (layers[-1:] if quick else layers)
    ]


def solve(problem: Problem, mapspace: Mapspace, evaluations: int) -> Solved:
    accelerator = replace(load_accelerator(DESIGNS["onchip"]), mapspace=mapspace)
    start = time.process_time()
    found = search(accelerator, problem.layer, objective=problem.objective, evaluations=evaluations)
    return Solved(problem, found, time.process_time() - start)


def measure_networks(step: Step, mapspace: Mapspace, evaluations: int, *, quick: bool) -> Found:
    problems = list_problems(quick=quick)
    step("compiling")
    solve(problems[-1], mapspace, 10)
    solved = []
    for problem in problems:
        step(f"{', '.join(problem.objective)}: {problem.network} {problem.variant} {problem.layer.name}")
        solved.append(solve(problem, mapspace, evaluations))
    numbers = {
        "problems": len(solved),
        "certified": sum(one.found.certificate.kind == "optimal" for one in solved),
        "worst_gap": max(one.found.certificate.gap for one in solved),
        "cpu_s_per_problem": sum(one.cpu_s for one in solved) / len(solved),
        "layers": [_row(one) for one in solved],
    }
    return Found(numbers, {"networks": _table(solved)})


def _row(one: Solved) -> dict[str, Any]:
    proof, problem = one.found.certificate, one.problem
    return {
        "network": problem.network,
        "variant": problem.variant,
        "layer": problem.layer.name,
        "objective": list(problem.objective),
        "certificate": proof.kind,
        "gap": proof.gap,
        "energy_pj": one.found.energy_pj,
        "cycles": one.found.cycles,
        "cpu_s": one.cpu_s,
    }


def _table(solved: list[Solved]) -> Table:
    groups: dict[tuple[str, ...], list[Solved]] = {}
    for one in solved:
        problem = one.problem
        groups.setdefault((problem.network, problem.variant, *problem.objective), []).append(one)
    cells = []
    for (network, variant, objective), group in groups.items():
        proofs = [one.found.certificate for one in group]
        proven = sum(proof.kind == "optimal" for proof in proofs)
        gap, cpu_s = max(proof.gap for proof in proofs), sum(one.cpu_s for one in group) / len(group)
        name = f"{network} {variant}"
        cells.append((name, objective, str(len(group)), str(proven), f"{gap:.2%}", f"{cpu_s:.1f}"))
    head = "layers of|objective|layers|proven|largest gap|CPU s each"
    return Table(head.split("|"), cells, "networks")
