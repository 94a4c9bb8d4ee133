"""`python -m validation.sparse_pe_page`: the sparse PE against what is known of it. Writes docs/sparse-pe.md.

Shapes, densities and cycles of the eight layers are those of Sparseloop's validation (MICRO 2022 artifact,
figure 12). Its masks are not ours to publish: masks are drawn with as many nonzeros, evenly.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import click
import msgspec
import numpy as np
from numpy.typing import NDArray

from sparsim.fileio.writing import write_text
from sparsim.machines.eyeriss.pe.closed_forms import dstc, effectual_macs, structured_cycles
from sparsim.machines.eyeriss.pe.conv_tiling import Conv, Tiling
from sparsim.machines.eyeriss.pe.cycle_simulator import run_array
from sparsim.machines.eyeriss.pe.pe_estimate import estimate
from sparsim.machines.eyeriss.pe.published_pes import EYERISS_V2_PE
from sparsim.machines.eyeriss.pe.simulator_comparison import Comparison, compare
from sparsim.records.pe_spec import Spad, SparsePE

PAGE = Path(__file__).parents[1] / "docs" / "sparse-pe.md"
Bools = NDArray[np.bool_]


class PublishedLayer(NamedTuple):
    """One 1 x 1 layer: M, C, E = F, nonzeros of the masks, cycles of the cycle-level baseline, the uniform
    model's error there, and cycles with two MACs in full columns and in tiles of M0 filters, from them."""

    name: str
    m: int
    c: int
    e: int
    iacts: int
    weights: int
    m0: int
    cycles: int
    uniform_error: float
    simd_full: int
    simd_tiles: int


LAYERS = (
    PublishedLayer("L07", 64, 64, 32, 47716, 2131, 8, 1702140, -0.06456, 863662, 943918),
    PublishedLayer("L09", 128, 64, 16, 14158, 6704, 16, 1499682, -0.01371, 753773, 777899),
    PublishedLayer("L13", 256, 128, 8, 6823, 21111, 16, 1144158, -0.02624, 573629, 599535),
    PublishedLayer("L19", 256, 256, 8, 9956, 36035, 16, 1457458, -0.03441, 731631, 769279),
    PublishedLayer("L21", 256, 256, 8, 10506, 39299, 16, 1677684, -0.03995, 841701, 881778),
    PublishedLayer("L23", 256, 256, 8, 9968, 45795, 16, 1821557, -0.01670, 913393, 951225),
    PublishedLayer("L25", 512, 256, 4, 2774, 85128, 16, 948572, -0.02255, 474983, 497038),
    PublishedLayer("L27", 512, 512, 4, 4775, 78606, 16, 775316, -0.05856, 388930, 425929),
)
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

SINGLE = msgspec.structs.replace(
    EYERISS_V2_PE, name="one MAC, ideal fetching", simd_width=1, pipeline_stages=0
)
DOUBLE = msgspec.structs.replace(SINGLE, name="two MACs, ideal fetching", simd_width=2)
ENDLESS = msgspec.structs.replace(
    DOUBLE, name="two MACs, runs of any length", count_bits=10, iact_data=Spad(words=16, bits=18),
    weight_data=Spad(words=96, bits=36),
)  # fmt: skip


class Row(NamedTuple):
    """One layer on one PE, and on 192."""

    layer: PublishedLayer
    exact: int
    twin: int
    uniform_error: float
    full_gain: float
    tiles_gain: float
    one: Comparison
    array: Comparison


def draw(shape: tuple[int, ...], nonzeros: int, rng: np.random.Generator) -> Bools:
    """A mask with exactly so many nonzeros anywhere."""
    mask = np.zeros(int(np.prod(shape)), np.bool_)
    mask[rng.choice(mask.size, nonzeros, replace=False)] = True
    return mask.reshape(shape)


def run_layer(layer: PublishedLayer, seed: int) -> Row:
    rng = np.random.default_rng(seed)
    conv = Conv(M=layer.m, C=layer.c, E=layer.e, F=layer.e)
    iacts = draw((1, layer.c, layer.e, layer.e), layer.iacts, rng)
    weights = draw((1, layer.m, layer.c, 1, 1), layer.weights, rng)

    def cycles(pe: SparsePE, m0: int) -> int:
        tiling = Tiling(M0=m0, C0=C0, E0=layer.e, F0=layer.e)
        return run_array(pe, conv, tiling, iacts, weights, limited=False).cycles

    single = cycles(SINGLE, layer.m0)
    exact = effectual_macs(iacts, weights)
    tiling = Tiling(M0=layer.m0, C0=C0, E0=layer.e, F0=layer.e)
    spread = Tiling(M0=layer.m0, C0=C0, E0=1, F0=layer.e, pes_m=8, pes_c=8, pes_e=3)
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
    GridCase("one PE, 1x1", Conv(M=16, C=8, E=4, F=8), Tiling(16, 8, 4, 8)),
    GridCase("one PE, 3x3", Conv(M=16, C=8, R=3, S=3, E=4, F=8), Tiling(16, 4, 4, 8)),
    GridCase("one PE, depthwise 3x3", Conv(G=8, R=3, S=3, E=8, F=8), Tiling(1, 1, 1, 8)),
    GridCase("16 along M", Conv(M=256, C=8, E=4, F=8), Tiling(16, 8, 4, 8, pes_m=16)),
    GridCase("16 along C", Conv(M=16, C=128, E=4, F=8), Tiling(16, 8, 4, 8, pes_c=16)),
    GridCase("16 along E", Conv(M=16, C=8, E=16, F=8), Tiling(16, 8, 1, 8, pes_e=16)),
    GridCase("192: 4 M, 12 C, 4 E", Conv(M=64, C=96, E=8, F=8), Tiling(16, 8, 2, 8, 1, 4, 12, 1, 4)),
    GridCase(
        "192: 3x3, 4 M, 4 C, 3 R, 4 E", Conv(M=64, C=16, R=3, S=3, E=8, F=8),
        Tiling(16, 4, 1, 8, pes_m=4, pes_c=4, pes_r=3, pes_e=4),
    ),
    GridCase(
        "192: 16 M, 12 E, rest along both", Conv(M=250, C=8, E=14, F=4),
        Tiling(16, 8, 1, 4, pes_m=16, pes_e=12),
    ),
)  # fmt: skip
DENSITIES = ((0.7, 0.6), (0.5, 0.3), (0.2, 0.15))
DRAWS = 40


def grid_error(case: GridCase, iact_density: float, weight_density: float, seed: int) -> tuple[float, float]:
    """(error of the mean cycles, standard error of the simulation), both over the mean, with random masks."""
    pe, conv = EYERISS_V2_PE, case.conv
    rng = np.random.default_rng(seed)
    rows, columns = ((n - 1) * conv.U + k for n, k in ((conv.E, conv.R), (conv.F, conv.S)))
    found = []
    for _ in range(DRAWS):
        iacts = rng.random((conv.G, conv.C, rows, columns)) < iact_density
        weights = rng.random((conv.G, conv.M, conv.C, conv.R, conv.S)) < weight_density
        found.append(run_array(pe, conv, case.tiling, iacts, weights, limited=False).cycles)
    expected = float(estimate(pe, conv, case.tiling, iact_density, weight_density).cycles)
    mean = float(np.mean(found))
    return expected / mean - 1.0, float(np.std(found)) / DRAWS**0.5 / mean


_HEAD = """# The sparse PE

Generated by `python -m validation.sparse_pe_page --write-docs`; do not edit. A test fails when this page is
stale.

`sparsim.machines.eyeriss.pe` models the processing element of Eyeriss v2 (Chen et al., JETCAS 9(2), 2019):
from densities (`estimate`), for thousands of tilings at once, and cycle by cycle on the masks of real tensors
(`run_array`). `compare` puts one beside the other: that is the error bar of an estimate.

```python
import numpy as np
from sparsim.machines.eyeriss.pe.simulator_comparison import compare
from sparsim.machines.eyeriss.pe.published_pes import EYERISS_V2_PE
from sparsim.machines.eyeriss.pe.conv_tiling import Conv, Tiling

rng = np.random.default_rng(0)
conv = Conv(M=64, C=64, E=8, F=8)  # 1 x 1 filters
tiling = Tiling(M0=16, C0=8, E0=1, F0=8, pes_m=4, pes_c=8, pes_e=6)  # 192 PEs
iacts, weights = rng.random((1, 64, 8, 8)) < 0.6, rng.random((1, 64, 64, 1, 1)) < 0.3
result = compare(EYERISS_V2_PE, conv, tiling, iacts, weights)
print(float(result.analytic.cycles), result.actual.cycles, f"{result.error:+.1%}")
```

## Rules
* A PE holds M0 filters, C0 channels and one filter row, and slides a window of C0 * S inputs (iacts). Every
  nonzero iact is multiplied with its column of M0 weights: ceil(n / 2) cycles for n entries. What an odd
  number leaves over is gated.
* Iacts and weights are compressed sparse columns with 4-bit counts of zeros. A longer run of zeros costs an
  explicit zero, which takes a MAC slot; zeros at the end of a column cost nothing. Columns of up to 16
  weights never need one.
* The fetch pipeline settles one nonzero iact per cycle. One whose column is empty, and a segment of the
  window (C0 * U iacts) without nonzeros, take that cycle in vain: hidden while columns wait, of which there
  are at most two. How many wait, and that empty segments cost a cycle, are assumptions; with them a
  depthwise layer, whose segments are single iacts, has no cycles to skip, which is what the paper reports.
* A pass fills seven stages: six cycles. A pass of an array is over when its slowest PE is. Psums that come
  and go are counted, not timed: they are the network's business.
* A dense PE (Eyeriss v1, v1.5) takes M0 cycles per iact and gates where it is zero.
* The analytic model takes every element to be nonzero on its own. Then busy cycles, MACs and accesses are
  exact in the mean. The slowest of several PEs comes from order statistics of the normal distribution with
  a term for skewness; its error is measured below.
* Weights are counted as loaded in every pass. Whether they fit is a chance for the analytic model
  (`weight_overflow`) and an error for the twin.

## Eight layers
MobileNet's 1 x 1 layers on which Sparseloop was validated (MICRO 2022 artifact, figure 12). Shapes and
numbers of nonzeros are theirs; where the nonzeros lie is drawn here, evenly, so that cycles differ from the
published ones by what real tensors have and random ones lack: channels that are dense in both operands.
What that costs a model that knows only densities is in the last column, as published;
[actual-data.md](actual-data.md) studies it.

One MAC and ideal fetching: exact is the sum over channels of nnz_I * nnz_W.

| layer | M | C | E=F | exact | twin | uniform error | published cycles | published uniform error |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
"""
_SIMD = """
Two MACs, ideal fetching: speed-up over one MAC, in full columns of M weights (of any run length) and in
tiles of M0 filters. Published: from the real masks. `v2` is the PE of Eyeriss v2 with its pipeline, one PE
and tiles of M0 x 8; `192 PEs` the same spread 8 along M, 8 along C, 3 along E, with passes of one output
row. Errors are those of the analytic model.

| layer | M0 | full | published | tiles | published | v2 cycles | error | 192 PEs | error | balance | error |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
"""
_GRID = f"""
## Error of the analytic model
Mean cycles of {DRAWS} draws of random masks against the expectation, PE of Eyeriss v2; in brackets the
standard error of the draws. Columns: density of iacts, density of weights.

| case | {" | ".join(f"{a}, {b}" for a, b in DENSITIES)} |
| --- |{" ---: |" * len(DENSITIES)}
"""
_OTHERS = """
## Other machines from the same parts
The dual-side sparse tensor core (DSTC, Wang et al., ISCA 2021) as Sparseloop models it (figure 13):
nonzeros of vectors of 32 dealt out to 8 rows and 16 columns of MACs. Latency is relative to dense operands;
the published one is read from figure 21 of the DSTC paper.

| density A | density B | busy MACs | Sparseloop's | latency | published |
| ---: | ---: | ---: | ---: | ---: | ---: |
"""
_STRUCTURED = """
NVIDIA's 2:4 sparsity on 1024 MACs (figure 15): dense, and with a weight density of one half.

| M | K | N | dense | Sparseloop's | 2:4 | Sparseloop's |
| ---: | ---: | ---: | ---: | ---: | ---: | ---: |
"""


def render(rows: Sequence[Row]) -> str:
    """The page as text."""
    parts = [_HEAD, *(_layer_line(row) for row in rows), _SIMD, *(_simd_line(row) for row in rows), _GRID]
    for seed, case in enumerate(GRID):
        cells = [grid_error(case, *densities, seed) for densities in DENSITIES]
        parts.append(_line(case.name, *(f"{_signed(error, 1)} ({noise:.1%})" for error, noise in cells)))
    parts.append(_OTHERS)
    for a, b, published, baseline in DSTC:
        busy, latency = dstc(a, b)
        parts.append(_line(a, b, f"{busy:.2f}", f"{published:.2f}", f"{latency:.3f}", f"{baseline:.3f}"))
    parts.append(_STRUCTURED)
    for m, k, n, dense, sparse in TENSOR_CORE:
        ours = [structured_cycles(m * k * n, 1024, density) for density in (1.0, 0.5)]
        parts.append(_line(m, k, n, ours[0], dense, ours[1], sparse))
    return "".join(parts)


def _line(*cells: object) -> str:
    return f"| {' | '.join(map(str, cells))} |\n"


def _signed(share: float, digits: int = 2) -> str:
    return f"{round(share, digits + 2) + 0.0:+.{digits}%}"  # no minus zero


def _layer_line(row: Row) -> str:
    layer = row.layer
    return _line(
        layer.name, layer.m, layer.c, layer.e, row.exact, row.twin, _signed(row.uniform_error), layer.cycles,
        _signed(layer.uniform_error),
    )  # fmt: skip


def _simd_line(row: Row) -> str:
    layer = row.layer
    return _line(
        layer.name, layer.m0, f"{row.full_gain:.2f}", f"{layer.cycles / layer.simd_full:.2f}",
        f"{row.tiles_gain:.2f}", f"{layer.cycles / layer.simd_tiles:.2f}", row.one.actual.cycles,
        _signed(row.one.error), row.array.actual.cycles, _signed(row.array.error),
        f"{row.array.actual.load_balance:.3f}", _signed(row.array.balance_error),
    )  # fmt: skip


@click.command()
@click.option("--write-docs", is_flag=True, help="Write docs/sparse-pe.md anew.")
def main(write_docs: bool) -> None:
    """Compare the sparse PE with what is known of it. Exits with 1 if the twin misses a closed form."""
    rows = run_layers()
    page = render(rows)
    if write_docs:
        write_text(PAGE, page)
    click.echo(page[page.index("| layer") :], nl=False)
    raise SystemExit(any(row.twin != row.exact for row in rows))


if __name__ == "__main__":
    main(prog_name="python -m validation.sparse_pe_page")
