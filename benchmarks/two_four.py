"""2:4 weights end to end: measurements on an A100, and predictions by the roofline of tensor_core_2_4.

The layers of the networks are those of their papers. Everything except the replaced layers keeps the time of
the measurement without 2:4.
"""

import csv
from pathlib import Path
from typing import NamedTuple

from msgspec.structs import replace

from sparsim.files.sparsim_yaml import load_preset
from sparsim.machines.tensor_core import layer_size, roofline
from sparsim.records import Layer, gemm
from sparsim.records.tensor_core_spec import TensorCoreSpec

PUBLISHED = Path(__file__).parent / "two_four_published.csv"
PAGE = Path(__file__).parent.parent / "docs" / "results" / "two-four.md"
TOKENS = 4096  # tokens of an image of 1024 x 1024 in patches of 16 x 16
SAM_BLOCKS, SAM_WIDTH, SAM_HIDDEN = 32, 1280, 5120
LLAMA_BLOCKS, LLAMA_WIDTH, LLAMA_KEYS, LLAMA_HIDDEN, LLAMA_WORDS = 32, 4096, 1024, 14336, 128256
VIT_TOKENS, VIT_WIDTH, VIT_HIDDEN = 44160, 1024, 4096
US_PER_S = 1e6


class Speedup(NamedTuple):
    """How much faster a network is with 2:4 weights."""

    workload: str
    replaced: str
    measured: float
    layers_dense_us: float
    layers_sparse_us: float
    share: float  # time of the replaced layers by the roofline over the measured time
    whole: float  # speedup of the network, with the measured time of everything else

    @property
    def layers(self) -> float:
        """Speedup of the replaced layers alone."""
        return self.layers_dense_us / self.layers_sparse_us


def speedups() -> list[Speedup]:
    """Return the predicted speedup for each measurement."""
    lines = [line for line in PUBLISHED.read_text().splitlines() if not line.startswith("#")]
    return [_speedup(row) for row in csv.DictReader(lines)]


def _speedup(row: dict[str, str]) -> Speedup:
    before, after = float(row["before"]), float(row["after"])
    per_time = row["unit"] != "us"
    measured = after / before if per_time else before / after
    total = US_PER_S / before if per_time else before
    spec, layers = _LAYERS[row["workload"], row["replaced"]]
    dense, sparse = (
        sum(runs * roofline(spec, layer_size(layer), sparse=is_sparse).us for layer, runs in layers)
        for is_sparse in (False, True)
    )
    return Speedup(
        row["workload"],
        row["replaced"],
        measured,
        dense,
        sparse,
        dense / total,
        total / (total - dense + sparse),
    )


def _sam(*sizes: tuple[int, int]) -> list[tuple[Layer, int]]:
    return [(gemm(m, TOKENS, k), SAM_BLOCKS) for m, k in sizes]


def _llama() -> list[tuple[Layer, int]]:
    width, hidden = LLAMA_WIDTH, LLAMA_HIDDEN
    sizes = [(width, width), (LLAMA_KEYS, width), (LLAMA_KEYS, width), (width, width)]
    sizes += [(hidden, width), (hidden, width), (width, hidden)]
    return [*((gemm(m, 1, k), LLAMA_BLOCKS) for m, k in sizes), (gemm(LLAMA_WORDS, 1, width), 1)]


def _vit() -> list[tuple[Layer, int]]:
    """Return the products with weights, forward and backward; the gradients of the weights stay dense."""
    return [(gemm(VIT_HIDDEN, VIT_TOKENS, VIT_WIDTH), 2), (gemm(VIT_WIDTH, VIT_TOKENS, VIT_HIDDEN), 2)]


_A100 = load_preset("tensor_core_2_4").machine
assert isinstance(_A100, TensorCoreSpec)
_MLP = ((SAM_HIDDEN, SAM_WIDTH), (SAM_WIDTH, SAM_HIDDEN))
_ATTENTION = ((3 * SAM_WIDTH, SAM_WIDTH), (SAM_WIDTH, SAM_WIDTH))
_LAYERS = {
    ("SAM ViT-h", "2:4 in the MLPs"): (_A100, _sam(*_MLP)),
    ("SAM ViT-h", "2:4 in attention and MLPs"): (_A100, _sam(*_MLP, *_ATTENTION)),
    ("Llama-3-8B decoding with int4 weights", "2:4 in all linear layers"): (
        replace(_A100, weight_bits=4, launch_us=0.0), _llama(),
    ),
    ("ViT-L MLP forward and backward", "2:4 weights"): (_A100, _vit()),
}  # fmt: skip


def table() -> list[str]:
    """Return the lines of the table in docs/results/two-four.md."""
    head = (
        "| workload | replaced | measured | layers alone | their share | end to end | end to end / measured |"
    )
    return [
        head,
        "|---|---|---|---|---|---|---|",
        *(
            f"| {row.workload} | {row.replaced} | {row.measured:.2f}x | {row.layers:.2f}x | "
            f"{row.share:.0%} | {row.whole:.2f}x | {row.whole / row.measured:.2f} |"
            for row in speedups()
        ),
    ]


def main() -> None:
    """Print the table."""
    print("\n".join(table()))


if __name__ == "__main__":
    main()
