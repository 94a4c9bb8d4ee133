"""Shared weights: clusters, training, states, sizes, recipes and the command."""

from __future__ import annotations

import copy
import json
import math
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import gmp
from gmp import WeightSharing
from gmp.commands import cli
from gmp.errors import PruningError, RecipeError
from gmp.sharing.linear_kmeans import linear_kmeans
from gmp.sharing.stored_sizes import huffman_bits, size_report
from sparsim import load_hardware
from sparsim.cli.main import cli as sparsim_cli
from sparsim.files.sparsim_yaml import load_documents


def net(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(20, 16), nn.ReLU(), nn.Linear(16, 8))


def train(model: nn.Module, optimizer: torch.optim.Optimizer, after, steps: int = 4, seed: int = 1) -> None:
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        x, y = torch.randn(6, 20, generator=generator), torch.randint(8, (6,), generator=generator)
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
        after()


def distinct(weight: torch.Tensor) -> int:
    return len(weight.unique())


@given(size=st.integers(1, 60), number=st.integers(1, 8), seed=st.integers(0, 1000), gap=st.floats(0.0, 5.0))
def test_clusters_are_a_fixed_point_of_k_means(size: int, number: int, seed: int, gap: float) -> None:
    values = np.random.default_rng(seed).normal(size=size)
    values += gap * np.sign(values)
    number = min(number, size)
    centres, index = linear_kmeans(values, number)
    assert (np.diff(centres) > 0).all()
    assert set(index) == set(range(number))
    assert centres == pytest.approx([values[index == i].mean() for i in range(number)])
    assert (np.abs(values - centres[index]) <= np.abs(values[:, None] - centres).min(axis=1) + 1e-12).all()


def test_centres_start_evenly_spaced() -> None:
    centres, index = linear_kmeans(np.array([0.0, 1.0, 4.0, 6.0, 10.0]), 3)
    assert centres.tolist() == [0.5, 5.0, 10.0]
    assert index.tolist() == [0, 0, 1, 1, 2]
    with pytest.raises(PruningError, match="4 values for 2 distinct"):
        linear_kmeans(np.array([1.0, 1.0, 2.0]), 4)


def test_zeros_stay_zero_and_each_layer_has_its_codebook() -> None:
    model = net()
    gmp.one_shot(model, 0.6)
    zeros = [model[i].weight == 0 for i in (0, 2)]
    sharing = gmp.WeightSharing(model, entries={"0": 8, "2.weight": 4})
    assert sharing.names == ("0.weight", "2.weight")
    assert [distinct(model[i].weight) for i in (0, 2)] == [8, 4]
    assert [len(values) for values in sharing.codebooks.values()] == [8, 4]
    for zero, i in zip(zeros, (0, 2), strict=True):
        weight = model[i].weight
        assert torch.equal(weight == 0, zero)
        assert torch.equal(sharing.codebooks[f"{i}.weight"][sharing.codes[f"{i}.weight"]], weight)
    dense = net()
    gmp.WeightSharing(dense, entries=4)
    assert distinct(dense[0].weight) == 4


@pytest.mark.parametrize("kind", ["sgd", "momentum", "adamw"])
def test_a_shared_value_takes_the_steps_of_one_parameter(kind: str) -> None:
    """Of a model whose weights are looked up in codebooks, whose gradients torch sums."""
    make = {
        "sgd": lambda p: torch.optim.SGD(p, lr=0.01),
        "momentum": lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9, weight_decay=0.1),
        "adamw": lambda p: torch.optim.AdamW(p, lr=0.01),
    }[kind]
    model = net().double()
    gmp.one_shot(model, 0.5)
    other = copy.deepcopy(model)
    optimizer = make(model.parameters())
    sharing = gmp.WeightSharing(model, optimizer, entries=5)
    books = [values.clone().requires_grad_() for values in sharing.codebooks.values()]
    codes = list(sharing.codes.values())

    class Looked(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            tables = [torch.cat([torch.zeros(1, dtype=b.dtype), b[1:]]) for b in books]
            h = nn.functional.linear(x.double(), tables[0][codes[0]], other[0].bias).relu()
            return nn.functional.linear(h, tables[1][codes[1]], other[2].bias)

    train(nn.Sequential(_Double(), model), optimizer, sharing.apply)
    train(Looked(), make([*books, other[0].bias, other[2].bias]), lambda: None)
    for found, expected in zip(sharing.codebooks.values(), books, strict=True):
        assert torch.allclose(found[1:], expected[1:], rtol=1e-10)


class _Double(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.double()


def test_accumulated_gradients_are_summed_once() -> None:
    found = []
    for parts in (1, 2):
        model = net()
        sharing = gmp.WeightSharing(model, entries=4)
        x = torch.ones(4, 20)
        for part in x.chunk(parts):
            model(part).sum().backward()
        found.append(model[0].weight.grad)
        assert len(found[-1].unique()) <= 4
        sharing.finalize()
    assert torch.allclose(*found)


def test_momentum_of_before_becomes_equal_in_clusters() -> None:
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    train(model, optimizer, lambda: None)
    gmp.WeightSharing(model, optimizer, entries=4)
    assert len(optimizer.state[model[0].weight]["momentum_buffer"].unique()) == 4


def test_a_resumed_run_goes_on_bit_by_bit() -> None:
    model = net()
    gmp.one_shot(model, 0.5)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    sharing = gmp.WeightSharing(model, optimizer, entries=6)
    train(model, optimizer, sharing.apply)
    saved = copy.deepcopy((model.state_dict(), optimizer.state_dict(), sharing.state_dict()))
    assert saved[2]["weights"]["0.weight"]["codes"].dtype == torch.uint8
    train(model, optimizer, sharing.apply, seed=2)
    for way in ("argument", "method"):
        again = net(5)
        restored = torch.optim.Adam(again.parameters(), lr=0.01)
        other = gmp.WeightSharing(again, restored, entries=3) if way == "method" else None
        again.load_state_dict(saved[0])
        restored.load_state_dict(copy.deepcopy(saved[1]))
        if other is None:
            other = gmp.WeightSharing(again, restored, state=saved[2])
        else:
            other.load_state_dict(saved[2])
        train(again, restored, other.apply, seed=2)
        assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))


def test_copies_train_by_themselves_and_a_finalized_sharing_is_closed() -> None:
    model = net()
    sharing = gmp.WeightSharing(model, entries=4)
    other_model, other = copy.deepcopy((model, sharing))
    train(other_model, torch.optim.SGD(other_model.parameters(), lr=0.1), other.apply)
    assert distinct(other_model[0].weight) == distinct(model[0].weight) == 4
    assert not torch.equal(other_model[0].weight, model[0].weight)
    sharing.finalize()
    model(torch.randn(1, 20)).sum().backward()
    assert len(model[0].weight.grad.unique()) > 4
    with pytest.raises(PruningError, match="finalized"):
        sharing.apply()


def with_nan() -> nn.Module:
    model = net()
    nn.init.constant_(model[0].weight, math.nan)
    return model


def state_of(codes: torch.Tensor) -> dict:
    return {"weights": {"0.weight": {"codes": codes, "values": torch.zeros(1)}}}


def pruned() -> nn.Module:
    model = net()
    gmp.one_shot(model, 0.5)
    return model


@pytest.mark.parametrize(
    ("make", "options", "text"),
    [
        (net, {"entries": 0}, "0.weight.*0"),
        (net, {"entries": 2.5}, r"2\.5"),
        (net, {"entries": 400}, "no weight has more than 320 distinct"),
        (net, {"entries": {"2": 200}}, "'2.weight' has 128 distinct"),
        (net, {"entries": 10**6}, "at most 65536"),
        (net, {"entries": {"1": 4}}, "'1'"),
        (net, {"targets": "5"}, "'5'"),
        (pruned, {"entries": 1}, "has zeros, so that a codebook needs 2"),
        (with_nan, {}, "not finite"),
        (net, {"state": {"masks": {}}}, "weight sharing.*weights"),
        (net, {"state": state_of(torch.zeros(2, 2))}, "shape"),
        (net, {"state": state_of(torch.ones(16, 20))}, "without"),
    ],
)
def test_what_does_not_fit_is_one_sentence(make, options, text: str) -> None:
    with pytest.raises(PruningError, match=text):
        gmp.WeightSharing(make(), **options)


def test_small_layers_keep_their_values() -> None:
    model = pruned()
    with torch.no_grad():
        model[2].weight[:] = 0.0
        model[2].weight[0, :3] = torch.tensor([1.0, 2.0, 3.0])
    sharing = gmp.WeightSharing(model, entries=16)
    assert [distinct(model[i].weight) for i in (0, 2)] == [16, 4]
    assert [row.entries for row in sharing.report().rows] == [16, 4]
    assert model[2].weight[0, :3].tolist() == [1.0, 2.0, 3.0]


def test_states_of_other_weights_are_refused() -> None:
    sharing = gmp.WeightSharing(net(), entries=4)
    state = sharing.state_dict()
    with pytest.raises(PruningError, match=r"lack '2\.weight'"):
        sharing.load_state_dict({"weights": {"0.weight": state["weights"]["0.weight"]}})
    with pytest.raises(PruningError, match="have 'x'"):
        sharing.load_state_dict({"weights": {**state["weights"], "x": {}}})


def test_sizes_by_hand() -> None:
    """Two weights, 20 zeros, a weight, 3 zeros: with 4 bits one entry is padded."""
    codes = np.array([1, 1, *[0] * 20, 2, 0, 0, 0])
    found = size_report({"w": codes}, {"w": 3}, 4).rows[0]
    assert (found.weights, found.nonzero, found.stored) == (26, 3, 4)
    assert (found.weight_bits, found.bits) == (2, 4 * (2 + 4) + 3 * 32)
    # codes 1, 1, padding, 2: 2 + 2 + 1 words' bits; zeros 0, 0, 15, 4 likewise; a byte for each of 6 symbols
    assert found.huffman_bits == 6 + 6 + 6 * 8 + 3 * 32
    assert found.dense_bytes == 104
    wide = size_report({"w": codes}, {"w": 3}, 5)
    assert wide.total.stored == 3
    for bits in (0, 33):
        with pytest.raises(PruningError, match="index_bits"):
            size_report({"w": codes}, {"w": 3}, bits)


@given(st.lists(st.integers(1, 1000), min_size=2, max_size=20))
def test_huffman_words_are_within_a_bit_of_the_entropy(counts: list[int]) -> None:
    shares = np.array(counts) / sum(counts)
    entropy = -float((shares * np.log2(shares)).sum()) * sum(counts)
    assert entropy - 1e-6 <= huffman_bits(counts) <= entropy + sum(counts)


def test_huffman_by_hand() -> None:
    assert huffman_bits([45, 13, 12, 16, 9, 5]) == 224
    assert (huffman_bits([5]), huffman_bits([]), huffman_bits([1, 1, 1, 1])) == (5, 0, 8)


def test_the_report_has_all_weights_and_their_sum(tmp_path) -> None:
    model = pruned()
    report = gmp.WeightSharing(model, entries=8).report(index_bits=3)
    assert [row.name for row in report.rows] == ["0.weight", "2.weight"]
    assert report.total.bits == sum(row.bits for row in report.rows)
    assert report.total.bytes < report.total.dense_bytes
    assert report.table().total[0] == "total"
    report.to_csv(tmp_path / "sizes.csv")
    assert len((tmp_path / "sizes.csv").read_text().splitlines()) == 4
    empty = net()
    nn.init.zeros_(empty[0].weight)
    assert gmp.WeightSharing(empty, entries=4).report().rows[0].stored == 0


RECIPE = """
modifiers:
  - !EpochRangeModifier {start_epoch: 0, end_epoch: 4}
  - !GMPruningModifier
    {params: __ALL_PRUNABLE__, init_sparsity: 0.1, final_sparsity: 0.5, start_epoch: 0, end_epoch: 2,
     update_frequency: 1}
  - !WeightSharingModifier {params: __ALL_PRUNABLE__, entries: 4, start_epoch: 2}
"""
TWICE = "start_epoch: 2}\n  - !WeightSharingModifier {params: __ALL_PRUNABLE__, entries: 2, start_epoch: 3}"


def attached(tmp_path, recipe: str, seed: int = 0):
    (tmp_path / "recipe.yaml").write_text(recipe)
    model = net(seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    return (
        model,
        optimizer,
        gmp.load_recipe(tmp_path / "recipe.yaml").attach(model, optimizer, steps_per_epoch=2),
    )


def test_a_recipe_prunes_and_then_shares(tmp_path) -> None:
    model, optimizer, running = attached(tmp_path, RECIPE)
    train(model, optimizer, running.step, steps=3)
    assert distinct(model[0].weight) > 4
    assert running.sharings == ()
    train(model, optimizer, running.step, steps=2)
    saved = copy.deepcopy((model.state_dict(), optimizer.state_dict(), running.state_dict()))
    assert distinct(model[0].weight) == 4
    assert running.sparsity == pytest.approx(0.5)
    train(model, optimizer, running.step, steps=3, seed=2)
    again, restored, other = attached(tmp_path, RECIPE, seed=3)
    again.load_state_dict(saved[0])
    restored.load_state_dict(saved[1])
    other.load_state_dict(saved[2])
    train(again, restored, other.step, steps=3, seed=2)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))
    running.finalize()
    assert distinct(model[0].weight) == 4


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (("entries: 4", "entries: 0"), "entries"),
        (("start_epoch: 2}", "start_epoch: 1}"), "after WeightSharingModifier"),
        (("start_epoch: 2}", TWICE), "after WeightSharingModifier"),
    ],
)
def test_recipes_that_cannot_share_are_refused(tmp_path, change: tuple[str, str], text: str) -> None:
    with pytest.raises(RecipeError, match=text):
        attached(tmp_path, RECIPE.replace(*change))


def test_the_command_writes_a_workload_that_machines_run(tmp_path, monkeypatch) -> None:
    (tmp_path / "shared_networks.py").write_text(
        "import torch\nfrom torch import nn\n\n"
        "net = nn.Sequential(nn.Linear(90, 80), nn.ReLU(), nn.Linear(80, 10))\n\n\n"
        "def small():\n    return net, torch.randn(3, 90)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    words = ["share", "shared_networks:small", "-o", "out", "--sparsity", "0.8", "--json"]
    found = CliRunner().invoke(cli, words, catch_exceptions=False)
    sizes = json.loads(found.stdout)
    assert sizes == json.loads((tmp_path / "out/sizes.json").read_text())
    assert sizes[-1]["nonzero"] == pytest.approx(0.2 * 8000)
    workload = load_documents([tmp_path / "out/workload.yaml"]).workload
    assert workload.provenance["codebook_entries"] == 16
    eie = load_hardware("eie")
    cost = eie.cost(workload.layers)
    assert cost.layers[0].cycles == pytest.approx(
        eie.plan(workload.layers)(eie.plan(workload.layers).densities).cycles[0], rel=0.1
    )
    for name in ("eie", "eyeriss_v2", "tensor_core_2_4"):
        words = ["chip", name, "out/workload.yaml", "--json"]
        costed = json.loads(CliRunner().invoke(sparsim_cli, words, catch_exceptions=False).stdout)
        assert costed["totals"]["cycles"] > 0
    state = torch.load(tmp_path / "out/network.pt", weights_only=True)
    mask = np.load(tmp_path / "out/masks/0.weights.npy")
    assert ((state["0.weight"] != 0).numpy() == mask[0, :, :, 0, 0].T).all()
    assert len(state["0.weight"].unique()) == 16
    with pytest.raises(PruningError, match="entries"):
        CliRunner().invoke(
            cli, ["share", "shared_networks:small", "-o", "out", "--entries", "0"], catch_exceptions=False
        )


@pytest.mark.parametrize("change", [
    {"codes": "x"}, {"codes": torch.full((4, 8), 1.5)}, {"values": torch.full((5,), torch.nan)},
    {"values": torch.arange(1.0, 6.0)},
])  # fmt: skip
def test_a_spoiled_state_is_refused(change: dict[str, Any]) -> None:
    state = WeightSharing(nn.Linear(8, 4), entries=4).state_dict()
    state["weights"]["weight"].update(change)
    with pytest.raises(PruningError, match="'weight'"):
        WeightSharing(nn.Linear(8, 4), state=state)


def test_a_sharing_without_weights_is_refused() -> None:
    with pytest.raises(PruningError, match="entries"):
        WeightSharing(nn.Linear(8, 4), entries={})
    with pytest.raises(PruningError, match="names of weights"):
        WeightSharing(nn.Linear(8, 4), entries=4).load_state_dict({"weights": 3})
