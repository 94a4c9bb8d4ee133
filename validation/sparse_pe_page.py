"""`python -m validation.sparse_pe_page`: the sparse PE against what is known, for docs/results/sparse-pe.md.

Shapes, densities and cycles of the eight layers are those of Sparseloop's validation (MICRO 2022 artifact,
figure 12). Its masks cannot be published here, so that masks with as many nonzeros are drawn uniformly.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import click
import msgspec
import numpy as np
from numpy.typing import NDArray

from sparsim.cli.common_options import write_docs_option
from sparsim.estimate.source_data import read_rows
from sparsim.machines.eyeriss import load_chip
from sparsim.machines.eyeriss.pe.closed_forms import dstc, effectual_macs, structured_cycles
from sparsim.machines.eyeriss.pe.conv_tiling import Conv, Tiling
from sparsim.machines.eyeriss.pe.cycle_simulator import run_array
from sparsim.machines.eyeriss.pe.pe_estimate import estimate
from sparsim.machines.eyeriss.pe.simulator_comparison import Comparison, compare
from sparsim.records.pe_spec import Spad, SparsePE
from sparsim.report.console import results
from sparsim.report.tables import Table, write_blocks

PAGE = Path(__file__).parents[1] / "docs" / "results" / "sparse-pe.md"
Bools = NDArray[np.bool_]


class PublishedLayer(NamedTuple):
    """One 1 x 1 layer: M, C, P = Q, nonzeros of the masks, cycles of the cycle-level baseline, the uniform
    model's error there, and cycles with two MACs in full columns and in tiles of M0 filters, from them.
    """

    name: str
    m: int
    c: int
    p: int
    iacts: int
    weights: int
    m0: int
    cycles: int
    uniform_error: float
    simd_full: int
    simd_tiles: int


def published_layers() -> tuple[PublishedLayer, ...]:
    rows = read_rows(Path(__file__).parent / "sparse_pe_layers.csv")
    kinds = PublishedLayer.__annotations__
    return tuple(PublishedLayer(**{name: kinds[name](text) for name, text in row.items()}) for row in rows)


LAYERS = published_layers()
C0 = 8

# densities of A and B, busy MACs of Sparseloop's output, latency read from figure 21 of the DSTC paper
DSTC = (
    (1.0, 1.0, 128.00, 1.0000), (0.9, 1.0, 115.57, 0.9043), (0.7, 1.0, 112.72, 0.7174),
    (0.5, 1.0, 106.84, 0.5848), (0.3, 1.0, 95.36, 0.4196), (1.0, 0.4, 95.83, 0.5435),
    (0.9, 0.4, 86.52, 0.5000), (0.7, 0.4, 84.39, 0.3957), (0.5, 0.4, 79.99, 0.3217),
    (0.3, 0.4, 71.39, 0.2391),
)  # fmt: skip
# M, K, N of the four products of figure 15, and cycles of dense and of 2:4 sparse tensor cores there
TENSOR_CORE = (
    (128, 1152, 1024, 147456, 73728), (512, 1024, 256, 131072, 65536),
    (512, 128, 1024, 65536, 32768), (512, 256, 1024, 131072, 65536),
)  # fmt: skip

EYERISS_V2_PE = load_chip("eyeriss_v2").spec.pe
SINGLE = msgspec.structs.replace(
    EYERISS_V2_PE, name="one MAC, ideal fetching", simd_width=1, pipeline_stages=0
)
DOUBLE = msgspec.structs.replace(SINGLE, name="two MACs, ideal fetching", simd_width=2)
ENDLESS = msgspec.structs.replace(
    DOUBLE, name="two MACs, runs of any length", count_bits=10, iact_data=Spad(words=16, bits=18),
    weight_data=Spad(words=96, bits=36),
)  # fmt: skip


class Row(NamedTuple):
    """Results of one layer on one PE and on 192 PEs."""

    layer: PublishedLayer
    exact: int
    twin: int
    uniform_error: float
    full_gain: float
    tiles_gain: float
    one: Comparison
    array: Comparison


def draw(shape: tuple[int, ...], nonzeros: int, rng: np.random.Generator) -> Bools:
    """Draw a mask with exactly so many nonzeros at random positions."""
    mask = np.zeros(int(np.prod(shape)), np.bool_)
    mask[rng.choice(mask.size, nonzeros, replace=False)] = True
    return mask.reshape(shape)


def run_layer(layer: PublishedLayer, seed: int) -> Row:
    rng = np.random.default_rng(seed)
    conv = Conv(M=layer.m, C=layer.c, P=layer.p, Q=layer.p)
    iacts = draw((1, layer.c, layer.p, layer.p), layer.iacts, rng)
    weights = draw((1, layer.m, layer.c, 1, 1), layer.weights, rng)

    def cycles(pe: SparsePE, m0: int) -> int:
        tiling = Tiling(M0=m0, C0=C0, P0=layer.p, Q0=layer.p)
        return run_array(pe, conv, tiling, iacts, weights, limited=False).cycles

    single = cycles(SINGLE, layer.m0)
    exact = effectual_macs(iacts, weights)
    tiling = Tiling(M0=layer.m0, C0=C0, P0=layer.p, Q0=layer.p)
    spread = Tiling(M0=layer.m0, C0=C0, P0=1, Q0=layer.p, pes_m=8, pes_c=8, pes_p=3)
    return Row(
        layer=layer,
        exact=exact,
        twin=single,
        uniform_error=layer.iacts * layer.weights / layer.c / exact - 1.0,
        full_gain=exact / cycles(ENDLESS, layer.m),
        tiles_gain=exact / cycles(DOUBLE, layer.m0),
        one=compare(EYERISS_V2_PE, conv, tiling, iacts, weights, limited=False),
        array=compare(EYERISS_V2_PE, conv, spread, iacts, weights, limited=False),
    )


def run_layers() -> list[Row]:
    return [run_layer(layer, seed) for seed, layer in enumerate(LAYERS)]


class GridCase(NamedTuple):
    name: str
    conv: Conv
    tiling: Tiling


GRID = (
    GridCase("one PE, 1x1", Conv(M=16, C=8, P=4, Q=8), Tiling(16, 8, 4, 8)),
    GridCase("one PE, 3x3", Conv(M=16, C=8, R=3, S=3, P=4, Q=8), Tiling(16, 4, 4, 8)),
    GridCase("one PE, depthwise 3x3", Conv(G=8, R=3, S=3, P=8, Q=8), Tiling(1, 1, 1, 8)),
    GridCase("16 along M", Conv(M=256, C=8, P=4, Q=8), Tiling(16, 8, 4, 8, pes_m=16)),
    GridCase("16 along C", Conv(M=16, C=128, P=4, Q=8), Tiling(16, 8, 4, 8, pes_c=16)),
    GridCase("16 along P", Conv(M=16, C=8, P=16, Q=8), Tiling(16, 8, 1, 8, pes_p=16)),
    GridCase("192: 4 M, 12 C, 4 P", Conv(M=64, C=96, P=8, Q=8), Tiling(16, 8, 2, 8, 1, 4, 12, 1, 4)),
    GridCase(
        "192: 3x3, 4 M, 4 C, 3 R, 4 P", Conv(M=64, C=16, R=3, S=3, P=8, Q=8),
        Tiling(16, 4, 1, 8, pes_m=4, pes_c=4, pes_r=3, pes_p=4),
    ),
    GridCase(
        "192: 16 M, 12 P, rest along both", Conv(M=250, C=8, P=14, Q=4),
        Tiling(16, 8, 1, 4, pes_m=16, pes_p=12),
    ),
)  # fmt: skip
DENSITIES = ((0.7, 0.6), (0.5, 0.3), (0.2, 0.15))
DRAWS = 40


def grid_error(case: GridCase, iact_density: float, weight_density: float, seed: int) -> tuple[float, float]:
    """(error of the mean cycles, standard error of the simulation), both over the mean, with random masks."""
    pe, conv = EYERISS_V2_PE, case.conv
    rng = np.random.default_rng(seed)
    rows, columns = ((n - 1) * conv.U + k for n, k in ((conv.P, conv.R), (conv.Q, conv.S)))
    found = []
    for _ in range(DRAWS):
        iacts = rng.random((conv.G, conv.C, rows, columns)) < iact_density
        weights = rng.random((conv.G, conv.M, conv.C, conv.R, conv.S)) < weight_density
        found.append(run_array(pe, conv, case.tiling, iacts, weights, limited=False).cycles)
    expected = float(estimate(pe, conv, case.tiling, iact_density, weight_density).cycles)
    mean = float(np.mean(found))
    return expected / mean - 1.0, float(np.std(found)) / DRAWS**0.5 / mean


def tables(rows: Sequence[Row]) -> dict[str, Table]:
    """Return the tables of the page by their place."""
    signed = _signed
    layers = [
        (
            row.layer.name, row.layer.m, row.layer.c, row.layer.p, row.exact, row.twin,
            signed(row.uniform_error), row.layer.cycles, signed(row.layer.uniform_error),
        )
        for row in rows
    ]  # fmt: skip
    double = [
        (
            row.layer.name, row.layer.m0, f"{row.full_gain:.2f}",
            f"{row.layer.cycles / row.layer.simd_full:.2f}", f"{row.tiles_gain:.2f}",
            f"{row.layer.cycles / row.layer.simd_tiles:.2f}", row.one.actual.cycles, signed(row.one.error),
            row.array.actual.cycles, signed(row.array.error), f"{row.array.actual.load_balance:.3f}",
            signed(row.array.balance_error),
        )
        for row in rows
    ]  # fmt: skip
    grid = []
    for seed, case in enumerate(GRID):
        errors = (grid_error(case, *densities, seed) for densities in DENSITIES)
        grid.append((case.name, *(f"{signed(error, 1)} ({noise:.1%})" for error, noise in errors)))
    others = []
    for a, b, published, baseline in DSTC:
        busy, latency = dstc(a, b)
        others.append((a, b, f"{busy:.2f}", f"{published:.2f}", f"{latency:.3f}", f"{baseline:.3f}"))
    structured = []
    for m, k, n, dense, sparse in TENSOR_CORE:
        ours = [structured_cycles(m * k * n, 1024, density) for density in (1.0, 0.5)]
        structured.append((m, k, n, ours[0], dense, ours[1], sparse))
    found = {
        "layers": ("layer|M|C|P=Q|exact|twin|uniform error|published cycles|published uniform error", layers),
        "two MACs": (
            "layer|M0|full|published|tiles|published|v2 cycles|error|192 PEs|error|balance|error", double,
        ),
        "grid": ("|".join(["case", *(f"{a}, {b}" for a, b in DENSITIES)]), grid),
        "DSTC": ("density A|density B|busy MACs|Sparseloop's|latency|published", others),
        "tensor core": ("M|K|N|dense|Sparseloop's|2:4|Sparseloop's", structured),
    }  # fmt: skip
    return {
        name: Table(head.split("|"), cells, name, text=() if name in ("DSTC", "tensor core") else (0,))
        for name, (head, cells) in found.items()
    }


def _signed(share: float, digits: int = 2) -> str:
    return f"{round(share, digits + 2) + 0.0:+.{digits}%}"  # avoid a minus sign before zero


@click.command()
@write_docs_option
def main(write_docs: bool) -> None:
    """Compare the sparse PE with what is known of it. Exits with 1 if the twin misses a closed form."""
    rows = run_layers()
    found = tables(rows)
    if write_docs:
        write_blocks(PAGE, found)
    results().print(*found.values(), sep="\n")
    raise SystemExit(any(row.twin != row.exact for row in rows))


if __name__ == "__main__":
    main(prog_name="python -m validation.sparse_pe_page")
