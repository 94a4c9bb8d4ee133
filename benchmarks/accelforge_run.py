"""AccelForge on a product of matrices: prints its mapping and its value of the objective as JSON.

    python benchmarks/accelforge_run.py OBJECTIVE M K N

This program needs AccelForge (1.0.467 was tried) and nothing of sparsim, so that another Python can run it.
`peer_programs` calls it with the hierarchy of `peer_problems` on stdin.
"""

import json
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import accelforge
import yaml
from accelforge.mapper.FFM.main import map_workload_to_arch

METRICS = {"energy": "ENERGY", "delay": "LATENCY", "edp": "ENERGY_DELAY_PRODUCT"}
BITS = 8


class Tagged(dict):  # type: ignore[type-arg]
    """A node of the architecture with the tag of its kind."""

    tag = ""


def _node(kind: str, **fields: Any) -> Tagged:
    node = Tagged(fields)
    node.tag = f"!{kind}"
    return node


yaml.SafeDumper.add_representer(Tagged, lambda dumper, node: dumper.represent_mapping(node.tag, node.items()))


def architecture(
    words: dict[str, int | None], pj: dict[str, float], fanout: dict[str, int]
) -> dict[str, Any]:
    nodes = []
    for name, size in words.items():
        if name == list(words)[-1]:
            spatial = [{"name": axis, "fanout": n} for axis, n in fanout.items()]
            nodes.append(_node("Container", name="PE", spatial=spatial))
        action = {"energy": pj[name], "throughput": "inf", "bits_per_action": BITS}
        nodes.append(_node(
            "Memory", name=name, size="inf" if size is None else size * BITS, leak_power=0, area=0,
            tensors={"keep": "All"}, actions=[{"name": "read", **action}, {"name": "write", **action}],
        ))  # fmt: skip
    actions = [{"name": "compute", "energy": pj["MAC"], "throughput": 1}]
    nodes.append(_node("Compute", name="MAC", leak_power=0, area=0, actions=actions))
    return {"arch": {"nodes": nodes}}


def workload(m: int, k: int, n: int) -> dict[str, Any]:
    accesses = [
        {"name": "Weights", "projection": ["m", "k"]},
        {"name": "Inputs", "projection": ["k", "n"]},
        {"name": "Outputs", "projection": ["m", "n"], "output": True},
    ]
    renames = {"weight": "Weights", "input": "Inputs", "output": "Outputs"}
    einsum = {"name": "product", "tensor_accesses": accesses, "renames": renames}
    shape = {dim: f"0 <= {dim} < {bound}" for dim, bound in (("m", m), ("k", k), ("n", n))}
    return {
        "workload": {"iteration_space_shape": shape, "bits_per_value": {"All": BITS}, "einsums": [einsum]}
    }


def steps_of(nodes: list[Any], extents: dict[str, int]) -> list[list[Any]]:
    """Return the nodes of a mapping in the form of `peer_problems.Step`."""
    steps: list[list[Any]] = []
    for node in nodes:
        kind = type(node).__name__
        if kind == "Storage":
            steps.append(["keep", str(node.component), [str(tensor) for tensor in node.tensors]])
        elif kind in ("Temporal", "Spatial"):
            dim, inside = str(node.rank_variable).upper(), int(node.tile_shape)
            factor, rest = divmod(extents[dim], inside)
            if rest:
                raise SystemExit(f"a tile of {inside} does not divide {extents[dim]} of {dim}")
            extents[dim] = inside
            steps.append([str(node.name) if kind == "Spatial" else "time", dim, factor])
    return steps


def main() -> None:
    objective, *bounds = sys.argv[1:]
    m, k, n = map(int, bounds)
    accelforge.set_n_parallel_jobs(1)
    start = time.process_time()
    with TemporaryDirectory() as folder:
        paths = [Path(folder, f"{name}.yaml") for name in ("arch", "workload")]
        for path, document in zip(
            paths, (architecture(**json.load(sys.stdin)), workload(m, k, n)), strict=True
        ):
            path.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
        spec = accelforge.Spec.from_yaml(*map(str, paths))
    metric = METRICS[objective]
    spec.mapper.metrics = accelforge.Metrics[metric]
    found = map_workload_to_arch(spec, print_progress=False, eval_in_detail=False)
    best = found.data.iloc[0]
    cpu_s = time.process_time() - start
    steps = steps_of(best["Total<SEP>mapping"]().nodes, {"M": m, "K": k, "N": n})
    own = float(best[f"Total<SEP>{metric.lower()}"])
    print(json.dumps({"steps": steps, "own": own, "cpu_s": cpu_s}))


if __name__ == "__main__":
    main()
