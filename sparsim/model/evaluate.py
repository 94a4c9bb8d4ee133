"""Evaluate one mapping in full, many mappings at once, or a fixed network whose densities change."""

from __future__ import annotations

import copy
import sys
from collections.abc import Iterator, Sequence
from collections.abc import Mapping as Dict
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np
from numba.core import event
from numpy.typing import ArrayLike, NDArray

from sparsim.errors import MappingError, SpecError, near, warn_of_energies
from sparsim.model import arrays as packs
from sparsim.model.arrays import (
    ArchPack,
    CostPack,
    DensityPack,
    Ints,
    LayerPack,
    MappingPack,
    NestPack,
    Reals,
    SparsePack,
)
from sparsim.model.decode import Decoder
from sparsim.model.density_tables import count_accesses, fill_table, load_masks
from sparsim.model.kernels.driver import analyse_one, finish_one, run_batch, run_frozen
from sparsim.model.lower import (
    ACCOUNTING,
    layer_sizes,
    lower_arch,
    lower_density,
    lower_layer,
    lower_mappings,
    lower_policy,
)
from sparsim.model.memo import by_identity
from sparsim.model.result import Evaluation
from sparsim.model.status import REASONS, mapping_error
from sparsim.model.workspace import make_nest, make_scratch, most_children, no_table, widen
from sparsim.records import Architecture, EnergyTable, Layer, Mapping, Shape, SparsePolicy
from sparsim.records.consistency import check, check_energy
from sparsim.records.divisibility import Cover, covered, covers_of
from sparsim.records.energy_table import resolve_energy

Accounting = Literal["timeloop-3", "timeloop-2022", "count-all"]
_check = by_identity(check)
_resolve = by_identity(resolve_energy)
_covered = by_identity(covered)


@by_identity
def _lower_mapping(arch: Architecture, shape: Shape, mapping: Mapping) -> MappingPack:
    return lower_mappings(arch, shape, [mapping])


def _accounting(name: str) -> int:
    if name not in ACCOUNTING:
        raise SpecError(f"unknown accounting '{name}'", hint=near(name, ACCOUNTING))
    return ACCOUNTING[name]


def evaluate(
    arch: Architecture,
    layer: Layer,
    policy: SparsePolicy | None,
    energy: EnergyTable | None,
    mapping: Mapping,
    *,
    accounting: Accounting = "timeloop-3",
    masks: Dict[str, NDArray[np.bool_]] | None = None,
) -> Evaluation:
    """One mapping in full detail (model 1.3). Of a mapping that pads dims the numbers are those of the
    padded layer; see `Evaluation.covers`.

    `policy` None: the dense report. `energy` None: built-in energies (model 4.4). `masks`: the nonzeros of
    dataspaces whose density is `actual`, in the shape's coordinates; they outrank files that the layer names.
    Energies that are given in vain or missing are an EnergyWarning. Raises SpecError, EnergyTableError, or
    MappingError if the mapping is invalid.
    """
    convention = _accounting(accounting)
    warnings = _check(arch, layer, policy, energy, mapping)
    layer = _covered(layer, mapping)
    arch_pack, layer_pack = lower_arch(arch, energy), lower_layer(layer)
    density = lower_density(layer)
    policy_pack = lower_policy(policy, arch, layer.shape)
    mappings = _lower_mapping(arch, layer.shape, mapping)
    tensors = load_masks(layer, masks or {})
    children = most_children(arch_pack, layer_pack, mappings)
    nest = make_nest(arch_pack, layer_pack, policy_pack, children)
    status = analyse_one(arch_pack, layer_pack, policy_pack, mappings, 0, convention, True, nest)
    if status != packs.OK:
        raise mapping_error(status, nest.info, arch, layer)
    table, counts = fill_table(arch_pack, layer, layer_pack, density, policy_pack, nest, tensors)
    scratch = make_scratch(arch_pack, layer_pack, density, policy_pack, nest, entries=len(table.k))
    if counts is not None:  # which accesses happen is counted once the rules are chosen
        table.probe[0] = 1
        status = finish_one(arch_pack, layer_pack, density, policy_pack, table, True, *scratch)
        if status == packs.OK:
            table = count_accesses(counts, scratch.sparse, table, convention)
    if status == packs.OK:
        status = finish_one(arch_pack, layer_pack, density, policy_pack, table, True, *scratch)
    if status != packs.OK:
        raise mapping_error(status, nest.info, arch, layer)
    decoder = Decoder(
        arch,
        layer,
        policy,
        _resolve(arch, energy),
        (arch_pack, layer_pack, policy_pack),
        scratch,
        accounting,
    )
    warn_of_energies(warnings)
    return decoder.evaluation(warnings)


@contextmanager
def announce_compilation() -> Iterator[None]:
    """Tell a terminal if kernels are compiled inside the block, which happens once per installation."""

    class Listener(event.Listener):
        said = not sys.stderr.isatty()

        def on_start(self, event: object) -> None:
            if not self.said:
                self.said = True
                print(
                    "sparsim: compiling the kernels, once (about half a minute)", file=sys.stderr, flush=True
                )

        def on_end(self, event: object) -> None:
            pass

    with event.install_listener("numba:compile", Listener()):
        yield


class BatchResult(NamedTuple):
    """One entry per mapping. Where `status` is not 0 the mapping is invalid (`sparsim.model.status.REASONS`)
    and the numbers are nan."""

    energy_pj: Reals
    cycles: Reals
    status: Ints


def evaluate_batch(
    arch: Architecture,
    layer: Layer,
    policy: SparsePolicy | None,
    energy: EnergyTable | None,
    mappings: Sequence[Mapping] | MappingPack,
    *,
    accounting: Accounting = "timeloop-3",
    threads: int = 1,
) -> BatchResult:
    """Energy and cycles of many mappings of one layer.

    `mappings` may be a MappingPack (see `lower_mappings`), which saves lowering them again. The numbers do
    not depend on `threads`. An invalid mapping is normal here; factors that do not multiply to the bounds are
    a MappingError, densities `banded` and `actual` (which need tables per mapping) a SpecError. Energies that
    are given in vain or missing are an EnergyWarning.
    """
    if isinstance(mappings, MappingPack):
        _accounting(accounting)
        mappings = _as_pack(lower_layer(layer), lower_arch(arch, energy), mappings)
        warn_of_energies(_check_pack(arch, layer, policy, energy, mappings))
    else:
        warnings: dict[str, None] = {}
        for mapping in mappings:
            warnings |= dict.fromkeys(_check(arch, layer, policy, energy, mapping))
        warn_of_energies(warnings)
        if any(mapping.divisibility for mapping in mappings):
            return _evaluate_covered(arch, layer, policy, energy, mappings, accounting, threads)
        mappings = lower_mappings(arch, layer.shape, mappings)
    return evaluate_pack(arch, layer, policy, energy, mappings, accounting=accounting, threads=threads)


def evaluate_pack(
    arch: Architecture,
    layer: Layer,
    policy: SparsePolicy | None,
    energy: EnergyTable | None,
    mappings: MappingPack,
    *,
    accounting: Accounting,
    threads: int,
) -> BatchResult:
    """`evaluate_batch` where energies are checked already, as `search` does once for all mappings."""
    convention = _accounting(accounting)
    arch_pack, layer_pack = lower_arch(arch, energy), lower_layer(layer)
    density, policy_pack = lower_density(layer), lower_policy(policy, arch, layer.shape)
    _refuse_tabulated(layer, density, "evaluate_batch")
    mappings = _as_pack(layer_pack, arch_pack, mappings)
    total = len(mappings.factor)
    out = np.full((total, 3), np.nan)
    networks = bool(arch_pack.wire.any())
    children = most_children(arch_pack, layer_pack, mappings)

    def run(bounds: tuple[int, int]) -> None:
        nest = make_nest(arch_pack, layer_pack, policy_pack, children)
        scratch = make_scratch(arch_pack, layer_pack, density, policy_pack, nest)
        run_batch(
            arch_pack, layer_pack, density, policy_pack, no_table(nest), mappings, *bounds, convention,
            networks, *scratch, out,
        )  # fmt: skip

    edges = np.linspace(0, total, max(min(threads, total), 1) + 1).astype(int).tolist()
    chunks = list(pairwise(edges))
    if len(chunks) == 1:
        run(chunks[0])
    else:
        with ThreadPoolExecutor(len(chunks)) as pool:
            list(pool.map(run, chunks))
    status = out[:, 2].astype(np.int64)
    _refuse_nonsense(status, layer)
    return BatchResult(out[:, 0], out[:, 1], status)


def _check_pack(
    arch: Architecture,
    layer: Layer,
    policy: SparsePolicy | None,
    energy: EnergyTable | None,
    mappings: MappingPack,
) -> tuple[str, ...]:
    """Energies of the levels that any row keeps a dataspace at: warnings, or EnergyTableError."""
    if energy is None:
        return ()
    kept = np.bitwise_or.reduce(mappings.flags[:, ::-1, packs.KEEP], axis=0).tolist()
    return _check_kept(arch, layer.shape, policy, energy, _first_equal(tuple(kept)))


@cache
def _first_equal(kept: tuple[int, ...]) -> tuple[int, ...]:
    """The same object for equal tuples."""
    return kept


@by_identity
def _check_kept(
    arch: Architecture,
    shape: Shape,
    policy: SparsePolicy | None,
    energy: EnergyTable,
    kept: tuple[int, ...],
) -> tuple[str, ...]:
    """`kept`: a bit mask of dataspaces per level, the outermost first."""
    keepers = {
        dataspace.name: [i for i, mask in enumerate(kept) if mask >> v & 1]
        for v, dataspace in enumerate(shape.dataspaces)
    }
    return check_energy(arch, shape, policy, energy, keepers)


def _evaluate_covered(
    arch: Architecture,
    layer: Layer,
    policy: SparsePolicy | None,
    energy: EnergyTable | None,
    mappings: Sequence[Mapping],
    accounting: Accounting,
    threads: int,
) -> BatchResult:
    """Mappings with padded or imperfect dims, those with the same covered bounds at once."""
    layers = [_covered(layer, mapping) for mapping in mappings]
    groups: dict[tuple[Cover, ...], list[int]] = {}
    for i, one in enumerate(layers):
        groups.setdefault(covers_of(one), []).append(i)
    number = len(mappings)
    result = BatchResult(np.empty(number), np.empty(number), np.empty(number, np.int64))
    for rows in groups.values():
        pack = lower_mappings(arch, layer.shape, [mappings[i] for i in rows])
        some = evaluate_pack(
            arch, layers[rows[0]], policy, energy, pack, accounting=accounting, threads=threads
        )
        for whole, part in zip(result, some, strict=True):
            whole[rows] = part
    return result


def _refuse_tabulated(layer: Layer, density: DensityPack, where: str) -> None:
    for dataspace, kind in zip(layer.shape.dataspaces, density.kind, strict=True):
        if kind == packs.TABULATED:
            model = layer.density(dataspace.name).distribution
            raise SpecError(
                f"density of {dataspace.name} is '{model}', {where} takes fixed-structured and "
                "hypergeometric",
                path=f"layer {layer.name}",
            )


def _as_pack(layer: LayerPack, arch: ArchPack, mappings: MappingPack) -> MappingPack:
    """The pack with the types that the kernels are compiled for. Raises MappingError for wrong shapes."""
    pack = MappingPack(*(np.ascontiguousarray(field, np.int64) for field in mappings))
    number, n_tiling = len(pack.factor), len(arch.tiling)
    need = (number, n_tiling, len(layer.bound)), (number, n_tiling), (number, len(arch.fan), 4)
    seen = tuple(field.shape for field in pack)
    if seen != (need[0], *need):
        raise MappingError(f"the arrays of the pack have shapes {seen}, needed are {(need[0], *need)}")
    return pack


def _refuse_nonsense(status: Ints, layer: Layer) -> None:
    """Rows of a pack that are no mappings of the layer at all are not merely invalid."""
    wrong = np.flatnonzero(np.isin(status, (packs.BAD_FACTORS, packs.BAD_ORDER)))
    if len(wrong):
        reason = REASONS[int(status[wrong[0]])]
        raise MappingError(f"mapping {wrong[0]} is none of layer {layer.name}: {reason}")


def _refuse_padded(layers: Sequence[Layer]) -> None:
    for layer in layers:
        for cover in covers_of(layer):
            if cover.policy == "padded":
                raise SpecError(
                    f"dim '{cover.dim}' is padded, Frozen takes perfect and imperfect ones",
                    path=f"layer {layer.name}",
                )


class FrozenResult(NamedTuple):
    """Per layer; `level_energy_pj` is (layers, hardware levels): compute, then storage from inside."""

    energy_pj: Reals
    cycles: Reals
    level_energy_pj: Reals


class _Workspace(NamedTuple):
    """The arrays that `run_frozen` writes to. They belong to one call at a time."""

    nests: NestPack
    sparse: SparsePack
    cost: CostPack


class Frozen:
    """A network whose mappings are fixed while its densities vary: for training loops.

    Everything that does not depend on densities is computed once, here; a call then costs microseconds per
    layer. All layers run on `arch` under `policy` and have the same dataspaces; their shapes may differ.
    Threads may share one: each call has its own workspace.
    """

    def __init__(
        self,
        arch: Architecture,
        layers: Sequence[Layer],
        policy: SparsePolicy | None,
        energy: EnergyTable | None,
        mappings: Sequence[Mapping],
        *,
        accounting: Accounting = "timeloop-3",
    ) -> None:
        if len(layers) != len(mappings) or not layers:
            raise SpecError(f"{len(layers)} layers and {len(mappings)} mappings, as many of both are needed")
        warnings: dict[str, None] = {}
        for layer, mapping in zip(layers, mappings, strict=True):
            warnings |= dict.fromkeys(_check(arch, layer, policy, energy, mapping))
        warn_of_energies(warnings)
        self.arch, self.layers = arch, tuple(map(_covered, layers, mappings))
        _refuse_padded(self.layers)
        layers = self.layers
        self.dataspaces = tuple(d.name for d in layers[0].shape.dataspaces)
        n_dims, n_sides, n_terms = (max(size) for size in zip(*map(layer_sizes, layers), strict=True))
        sizes = (n_dims, n_sides, n_terms)
        self._arch = lower_arch(arch, energy)
        self._networks = bool(self._arch.wire.any())
        lowered = [
            lower_mappings(arch, layer.shape, [mapping])
            for layer, mapping in zip(layers, mappings, strict=True)
        ]
        rows = [lower_layer(layer) for layer in layers]
        children = max(most_children(self._arch, *pair) for pair in zip(rows, lowered, strict=True))
        nests, wide_rows, kinds = [], [], []
        for layer, row, one in zip(layers, rows, lowered, strict=True):
            if tuple(d.name for d in layer.shape.dataspaces) != self.dataspaces:
                raise SpecError(
                    f"dataspaces differ from those of layer {layers[0].name}", path=f"layer {layer.name}"
                )
            density = lower_density(layer)
            _refuse_tabulated(layer, density, "Frozen")
            pack = lower_policy(policy, arch, layer.shape)
            nest = make_nest(self._arch, row, pack, children)
            status = analyse_one(self._arch, row, pack, one, 0, _accounting(accounting), self._networks, nest)
            if status != packs.OK:
                raise mapping_error(status, nest.info, arch, layer, name_layer=True)
            wide = lower_layer(layer, sizes)
            nests.append(widen(nest, make_nest(self._arch, wide, pack, children)))
            wide_rows.append(wide)
            kinds.append(density.kind)
        self._nests = NestPack(*(np.stack(field) for field in zip(*nests, strict=True)))  # kernels get copies
        self._rows = LayerPack(*(np.stack(field) for field in zip(*wide_rows, strict=True)))
        self._kinds = np.stack(kinds)
        self._policy = pack
        self._table = no_table(nests[0])
        self._spare: list[_Workspace] = [self._workspace()]

    def _workspace(self) -> _Workspace:
        largest = LayerPack(*(field[0] for field in self._rows))._replace(words=self._rows.words.max(axis=0))
        most = DensityPack(self._kinds.max(axis=0), np.ones(len(self.dataspaces)))
        nests = copy.deepcopy(self._nests)
        first = NestPack(*(field[0] for field in nests))  # type: ignore[arg-type]
        _, sparse, cost = make_scratch(self._arch, largest, most, self._policy, first)
        return _Workspace(nests, sparse, cost)

    def __call__(self, densities: ArrayLike) -> FrozenResult:
        """Energy and cycles for nonzero fractions `densities`, (layers, dataspaces) in the shape's order.

        Raises SpecError for densities outside [0, 1], MappingError if a layer does not fit with them.
        """
        values = np.ascontiguousarray(densities, np.float64)
        if values.shape != self._kinds.shape:
            raise SpecError(f"densities have shape {values.shape}, needed is {self._kinds.shape}")
        if not ((values >= 0.0) & (values <= 1.0)).all():
            i, v = np.argwhere(~((values >= 0.0) & (values <= 1.0)))[0]
            raise SpecError(
                f"density of {self.dataspaces[v]} is {values[i, v]:g}, allowed is 0 to 1",
                path=f"layer {self.layers[i].name}",
            )
        out = np.empty((len(values), 3 + len(self.arch.storage) + 1))
        try:
            work = self._spare.pop()  # no other thread can take the same one
        except IndexError:
            work = self._workspace()
        run_frozen(
            self._arch, self._rows, DensityPack(self._kinds, values), self._policy, self._table,
            self._networks, *work, out,
        )  # fmt: skip
        for i in np.flatnonzero(out[:, 2]):
            error = mapping_error(
                int(out[i, 2]), work.nests.info[i], self.arch, self.layers[i], name_layer=True
            )
            self._spare.append(work)
            raise error
        self._spare.append(work)
        return FrozenResult(out[:, 0], out[:, 1], out[:, 3:])
