"""Cross-checks of records, however they were made."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
from msgspec.structs import replace
from support.documents import DOCUMENTS, write_documents
from support.named import names

from sparsim.errors import EnergyTableError, MappingError, SpecError
from sparsim.files.timeloop_files import read_documents
from sparsim.model.consistency import check
from sparsim.records import (
    Accelerator,
    EnergyTable,
    Layer,
    LevelMapping,
    Mapping,
    Nest,
    Option,
    Rank,
    Saf,
    SparsePolicy,
    TensorFormat,
)
from sparsim.records.sparsity import rank_word_bits


class Given(NamedTuple):
    """The arguments of `check`."""

    accelerator: Accelerator
    layer: Layer
    mapping: Mapping

    def on(self, **changes: Any) -> Given:
        """With other parts of the accelerator."""
        return self._replace(accelerator=replace(self.accelerator, **changes))

    def with_actions(self, actions: dict[str, Any]) -> Given:
        return self.on(energy=EnergyTable(actions=actions))


@pytest.fixture
def parts(tmp_path):
    found = read_documents(write_documents(tmp_path, DOCUMENTS))
    return Given(found.accelerator, found.layer(), found.mapping)


def with_level(mapping, name, **changes):
    return Mapping(levels=tuple(replace(m, **changes) if m.level == name else m for m in mapping.levels))


def test_good_records_pass(parts):
    assert check(*parts) == ()
    assert check(*parts.on(policy=None, energy=None)) == ()


def test_levels_may_be_left_out(parts):
    mapping = Mapping(levels=(LevelMapping(level="DRAM", temporal=Nest(factors={"M": 8, "N": 4, "K": 8})),))
    assert check(*parts._replace(mapping=mapping)) == ()


@pytest.mark.parametrize(
    ("level", "changes", "message"),
    [
        ("GLB", {"level": "GLBB"}, "GLBB GLB"),
        ("GLB", {"level": "MAC"}, "MAC DRAM GLB"),
        ("GLB", {"temporal": Nest(factors={"X": 8})}, "GLB X M N K"),
        ("GLB", {"temporal": Nest(order=("Q",))}, "GLB Q M N K"),
        ("GLB", {"bypass": ("C",)}, "GLB C A B Z"),
        ("GLB", {"temporal": Nest()}, "M 1 8"),
        (
            "spad",
            {"spatial": Nest(factors={"K": 1})},
            "spad MAC",
        ),
    ],
)
def test_mappings(parts, level, changes, message):
    with pytest.raises((SpecError, MappingError)) as error:
        check(*parts._replace(mapping=with_level(parts.mapping, level, **changes)))
    assert names(error.value, message)


def test_a_tensor_must_be_kept_somewhere(parts):
    mapping = parts.mapping
    for level in ("DRAM", "GLB", "spad"):
        mapping = with_level(mapping, level, bypass=("B",))
    with pytest.raises(MappingError) as error:
        check(*parts._replace(mapping=mapping))
    assert names(error.value, "B")


def a_format(level="GLB", dataspace="A", **rank):
    return SparsePolicy(
        formats=(TensorFormat(level=level, dataspace=dataspace, ranks=(Rank(format="CP", **rank),)),)
    )


def a_saf(level="GLB", target="A", leader="B"):
    return SparsePolicy(
        safs=(Saf(level=level, type="gating", options=(Option(target=target, condition_on=(leader,)),)),)
    )


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        (a_format(level="GBL"), "GBL GLB"),
        (a_format(dataspace="W"), "W A B Z"),
        (
            a_format(flattened=(("K", "X"),)),
            "A GLB X M N K",
        ),
        (
            a_format(metadata_word_bits=17),
            "A GLB CP 34 16",
        ),
        (a_saf(level="MAC"), "MAC DRAM GLB"),
        (a_saf(leader="W"), "GLB W A B Z"),
    ],
)
def test_policies(parts, policy, message):
    with pytest.raises(SpecError) as error:
        check(*parts.on(policy=policy))
    assert names(error.value, message)


def test_sparse_processing_needs_two_operands(parts):
    layer = parts.layer
    shape = replace(layer.shape, dataspaces=layer.shape.dataspaces[1:])
    parts = parts._replace(layer=replace(layer, shape=shape, densities={}))
    with pytest.raises(SpecError) as error:
        check(*parts.on(policy=SparsePolicy(compute_gating=True)))
    assert names(error.value, "1 B")
    assert check(*parts.on(policy=SparsePolicy())) == ()


@pytest.mark.parametrize(
    ("component", "entry", "message"),
    [
        ("GLB", {"write": 1.0}, "GLB random_read read"),
        ("GLB", {"read": 1.0}, "GLB random_fill write"),
        ("MAC", {"mac_randm": 1.0}, "MAC mac_random mult_random"),
        ("GLB", None, "table component GLB"),
    ],
)
def test_actions_that_happen_need_an_energy(parts, component, entry, message):
    actions = {**parts.accelerator.energy.actions, component: entry}
    if entry is None:
        del actions[component]
    with pytest.raises(EnergyTableError) as error:
        check(*parts.with_actions(actions))
    assert names(error.value, message)


def test_an_entry_for_another_program_is_no_error(parts):
    actions = {**parts.accelerator.energy.actions, "spad": {"access": 1.0}}
    (warning,) = check(*parts.with_actions(actions))
    assert warning.startswith("energy table, component spad: only unknown actions (access), the built-in")


def test_energies_of_unused_levels_may_be_missing(parts):
    actions = {name: entry for name, entry in parts.accelerator.energy.actions.items() if name != "GLB"}
    mapping = with_level(parts.mapping, "GLB", bypass=("A", "B", "Z"))
    assert check(*parts._replace(mapping=mapping).with_actions(actions)) == ()


@pytest.mark.parametrize(
    ("width", "rank", "bits"),
    [
        (32, Rank(format="CP", metadata_word_bits=5), (8, 3)),
        (60, Rank(format="CP", metadata_word_bits=7), (10, 3)),
        (7, Rank(format="CP", metadata_word_bits=5), (7, 3)),
        (7, Rank(format="CP", metadata_word_bits=3, payload_word_bits=0), (6, 0)),
        (32, Rank(format="B"), (1, 3)),
        (32, Rank(format="UB", metadata_word_bits=9), (3, 3)),
        (32, Rank(format="UOP", payload_word_bits=4), (3, 4)),
    ],
)
def test_rank_word_bits(parts, width, rank, bits):
    level = replace(
        parts.accelerator.architecture.storage[1], metadata_width_bits=width, metadata_word_bits=3
    )
    assert rank_word_bits(rank, level) == bits
