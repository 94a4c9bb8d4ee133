"""FactorFlow on a product of matrices: prints its mapping and its EDP as JSON.

    python benchmarks/factorflow_run.py DIMS_OF_X DIMS_OF_Y M K N

This program needs the modules of FactorFlow (a clone of its repository on PYTHONPATH) and nothing of sparsim.
`peer_programs` calls it with the hierarchy of `peer_problems` on stdin. Each axis of the array has the
dims that are given, such as `M` or `MKN`; the objective is the one that FactorFlow has, EDP over utilization.
"""

import json
import sys
import time
from typing import Any

from arch import Arch
from engine import run_engine
from factors import Shape
from levels import ComputeLevel, FanoutLevel, MemLevel
from settings import Settings

UNLIMITED = 2**62  # words, and words per cycle
DIMS = "MKN"


def architecture(
    words: dict[str, int | None], pj: dict[str, float], fanout: dict[str, int], dims: dict[str, str]
) -> Arch:
    levels: list[Any] = []
    for name, size in words.items():
        if name == list(words)[-1]:
            levels += [FanoutLevel(axis, mesh=n, dims=list(dims[axis])) for axis, n in fanout.items()]
        levels.append(
            MemLevel(name, size=size or UNLIMITED, value_access_energy=pj[name], bandwidth=UNLIMITED)
        )
    return Arch([*levels, ComputeLevel("MAC", mesh=1, compute_energy=pj["MAC"], cycles=1)])


def steps_of(arch: Arch) -> list[list[Any]]:
    """Return the loops of a mapping in the form of `peer_problems.Step`."""
    steps: list[list[Any]] = []
    for level in arch[:-1]:
        if isinstance(level, MemLevel):
            steps.append(["keep", level.name, ["Weights", "Inputs", "Outputs"]])
        kind = "time" if isinstance(level, MemLevel) else level.name
        steps += [[kind, dim, level.factors.dimProduct(dim)] for dim in level.dataflow]
    return steps


def main() -> None:
    x, y, *bounds = sys.argv[1:]
    product = Shape(*map(int, bounds))
    Settings.MULTITHREADED, Settings.VERBOSE = False, False
    arch = architecture(**json.load(sys.stdin), dims={"X": x, "Y": y})
    start = time.process_time()
    arch.fitConstraintsToComp(product, enforce=True)
    _, _, energy_uj, cycles, _, _, arch = run_engine(arch, product, False)
    cpu_s = time.process_time() - start
    print(json.dumps({"steps": steps_of(arch), "own": energy_uj * 1e6 * cycles, "cpu_s": cpu_s}))


if __name__ == "__main__":
    main()
