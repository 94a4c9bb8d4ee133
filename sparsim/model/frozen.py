"""Repeated evaluation of a fixed network with changing densities, for training loops."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from sparsim.errors import SpecError, warn_of_energies
from sparsim.estimate.accelerator_energy import energy_table
from sparsim.model import arrays as packs
from sparsim.model.arrays import ArchPack, CostPack, DensityPack, LayerPack, NestPack, Reals, SparsePack
from sparsim.model.evaluate import accounting_code, checked_once, covered_once, refuse_tabulated
from sparsim.model.kernel_calls import analyse, run_network
from sparsim.model.leakage import leakage, used_instances
from sparsim.model.lower import (
    layer_sizes,
    lower_arch,
    lower_density,
    lower_layer,
    lower_mapping,
    lower_padded,
    lower_policy,
)
from sparsim.model.status import mapping_error
from sparsim.model.workspace import make_nest, make_scratch, most_children, no_table, widen
from sparsim.records import Accelerator, Layer, Mapping
from sparsim.records.accounting import Accounting
from sparsim.records.divisibility import covers_of

# fields that the dense analysis does not depend on: limits of sizes and bandwidths, and energies
CHANGEABLE = ("limit", "energy", "compute_energy", "addr_gen", "wire", "transfer", "latency")


def _refuse_padded(layers: Sequence[Layer]) -> None:
    for layer in layers:
        for cover in covers_of(layer):
            if cover.policy == "padded":
                raise SpecError(
                    f"Frozen takes perfect and imperfect dims, but dim '{cover.dim}' is padded",
                    path=f"layer {layer.name}",
                )


def level_names(accelerator: Accelerator) -> tuple[str, ...]:
    """Return the names of the levels, outer to inner, and of the compute units."""
    arch = accelerator.architecture
    return (*(level.name for level in arch.storage), arch.compute.name)


def priced_actions(accelerator: Accelerator) -> dict[str, tuple[str, ...]]:
    """Return the actions in the energy table, by component."""
    table = energy_table(accelerator)
    return {} if table is None else {name: tuple(entry) for name, entry in table.actions.items()}


class FrozenResult(NamedTuple):
    """Costs of a network for given densities, with one row per layer.

    Attributes
    ----------
    energy_pj : array of float, shape (layers,)
        Energy in pJ.
    cycles : array of float, shape (layers,)
        Cycles.
    level_energy_pj : array of float, shape (layers, 1 + storage levels)
        Energy in pJ of the compute units, then of the storage levels from inside to outside.
    accesses : array of float, shape (layers, storage levels)
        Dense words read, filled and updated at each level, from inside to outside.
    """

    energy_pj: Reals
    cycles: Reals
    level_energy_pj: Reals
    accesses: Reals


class _Workspace(NamedTuple):
    """The arrays that `run_network` writes to. They belong to one call at a time."""

    nests: NestPack
    sparse: SparsePack
    cost: CostPack


class Frozen:
    """A network whose mappings are fixed while its densities vary, as in a training loop.

    Everything that does not depend on densities is computed once, when the object is made. A call then takes
    microseconds per layer. Threads may share one object, because each call has its own workspace.

    Parameters
    ----------
    accelerator : Accelerator
        Where all layers run.
    layers : sequence of Layer
        The layers. They have the same dataspaces; their shapes may differ otherwise.
    mappings : sequence of Mapping
        One mapping per layer. They may cut dims short, but not pad them.
    accounting : str, default "timeloop-3"
        The convention by which accesses are counted and energies charged: "timeloop-3", "timeloop-4",
        "timeloop-4-2024", "timeloop-2022", "count-all" or "count-drains" (see the glossary).

    Attributes
    ----------
    accelerator : Accelerator
        Where all layers run.
    layers : tuple of Layer
        The layers as the mappings run them.
    dataspaces : tuple of str
        Names of the dataspaces, in the order of the columns of densities.

    Raises
    ------
    SpecError
        If there are no layers or another number of mappings, if the layers have different dataspaces, if a
        dim is padded, or if a density is "banded" or "actual".
    EnergyTableError
        If the energy table lacks an action that happens.
    MappingError
        If a mapping is invalid.

    Warns
    -----
    EnergyWarning
        If energies are given that are not used, or are missing.

    Examples
    --------
    >>> import sparsim
    >>> accelerator = sparsim.load_accelerator("eyeriss_like_onchip")
    >>> layer = sparsim.gemm(8, 1, 64)
    >>> mapping = sparsim.Mapping.parse(
    ...     "DRAM: C8 | shared_glb [bypass Weights]: M8X | DummyBuffer [bypass Weights Inputs Outputs]: C8Y"
    ...     "| ifmap_spad [bypass Weights Outputs]: | weights_spad [bypass Inputs Outputs]:"
    ...     "| psum_spad [bypass Weights Inputs]:"
    ... )
    >>> network = sparsim.Frozen(accelerator, [layer], [mapping])
    >>> dense, sparse = network([[1.0, 1.0, 1.0]]), network([[0.1, 0.5, 1.0]])
    >>> bool(sparse.energy_pj[0] < dense.energy_pj[0])
    True
    """

    def __init__(
        self,
        accelerator: Accelerator,
        layers: Sequence[Layer],
        mappings: Sequence[Mapping],
        *,
        accounting: Accounting = "timeloop-3",
    ) -> None:
        convention = accounting_code(accounting)
        if len(layers) != len(mappings) or not layers:
            raise SpecError(
                f"there must be as many mappings as layers, got {len(mappings)} for {len(layers)}"
            )
        warnings: dict[str, None] = {}
        for layer, mapping in zip(layers, mappings, strict=True):
            warnings |= dict.fromkeys(checked_once(accelerator, layer, mapping))
        warn_of_energies(warnings)
        self._given, self._mappings, self._accounting = tuple(layers), tuple(mappings), accounting
        self.accelerator, self.layers = accelerator, tuple(map(covered_once, layers, mappings))
        _refuse_padded(self.layers)
        layers = self.layers
        self.dataspaces = tuple(d.name for d in layers[0].shape.dataspaces)
        n_dims, n_sides, n_terms = (max(size) for size in zip(*map(layer_sizes, layers), strict=True))
        sizes = (n_dims, n_sides, n_terms)
        self._arch = lower_arch(accelerator)
        self._networks = self._arch.has_priced_networks
        lowered = [
            lower_mapping(accelerator, layer.shape, mapping)
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
            refuse_tabulated(layer, density, "Frozen")
            pack = lower_policy(accelerator, layer.shape)
            nest = make_nest(self._arch, row, pack, children)
            status = analyse(self._arch, row, pack, one, convention, self._networks, nest)
            if status != packs.OK:
                raise mapping_error(status, nest.info, accelerator.architecture, layer, name_layer=True)
            wide = lower_padded(layer, sizes)
            nests.append(widen(nest, make_nest(self._arch, wide, pack, children)))
            wide_rows.append(wide)
            kinds.append(density.kind)
        # kernels receive copies
        self._nests = NestPack(*(np.stack(field) for field in zip(*nests, strict=True)))
        self._rows = LayerPack(*(np.stack(field) for field in zip(*wide_rows, strict=True)))
        self._kinds = np.stack(kinds)
        self._used = np.concatenate([used_instances(self._arch, one) for one in lowered])
        self._policy = pack
        self._table = no_table(nests[0])
        self._spare: list[_Workspace] = [self._workspace()]

    def on(self, accelerator: Accelerator) -> Frozen:
        """Return the same network with the same mappings on another accelerator.

        What is computed once is taken over if the accelerators differ in sizes, bandwidths and energies only.

        Parameters
        ----------
        accelerator : Accelerator
            The other accelerator, with the same levels.

        Returns
        -------
        Frozen

        Raises
        ------
        SpecError, EnergyTableError, MappingError
            For the same reasons as `Frozen` itself.
        """
        arch = lower_arch(accelerator)
        if not self._is_alike(accelerator, arch):
            return Frozen(accelerator, self._given, self._mappings, accounting=self._accounting)
        other = copy.copy(self)
        other.accelerator, other._arch = accelerator, arch
        return other

    def _is_alike(self, accelerator: Accelerator, arch: ArchPack) -> bool:
        """Return whether the dense analysis and the checks of `self` are valid for an accelerator."""
        mine = self.accelerator
        if accelerator.policy != mine.policy or priced_actions(accelerator) != priced_actions(mine):
            return False
        if level_names(accelerator) != level_names(mine) or arch.has_priced_networks != self._networks:
            return False
        return all(
            np.array_equal(getattr(arch, name), getattr(self._arch, name))
            for name in arch._fields
            if name not in CHANGEABLE
        )

    def _workspace(self) -> _Workspace:
        largest = LayerPack(*(field[0] for field in self._rows))._replace(words=self._rows.words.max(axis=0))
        most = DensityPack(self._kinds.max(axis=0), np.ones(len(self.dataspaces)))
        nests = copy.deepcopy(self._nests)
        first = NestPack(*(field[0] for field in nests))  # type: ignore[arg-type]
        _, sparse, cost = make_scratch(self._arch, largest, most, self._policy, first)
        return _Workspace(nests, sparse, cost)

    def __call__(self, densities: ArrayLike) -> FrozenResult:
        """Compute energy and cycles for given densities.

        Parameters
        ----------
        densities : array_like of float, shape (layers, dataspaces)
            Fractions of nonzeros, from 0 to 1, with the dataspaces in the order of the shape.

        Returns
        -------
        FrozenResult
            Energy, cycles and accesses of each layer, the same numbers as those of `evaluate`.

        Raises
        ------
        SpecError
            If the densities have a wrong shape or are outside of 0 to 1.
        MappingError
            If a layer does not fit with these densities.
        """
        values = np.ascontiguousarray(densities, np.float64)
        if values.shape != self._kinds.shape:
            raise SpecError(f"densities must have shape {self._kinds.shape}, got {values.shape}")
        if not ((values >= 0.0) & (values <= 1.0)).all():
            i, v = np.argwhere(~((values >= 0.0) & (values <= 1.0)))[0]
            raise SpecError(
                f"density of {self.dataspaces[v]} must be between 0 and 1, got {values[i, v]:g}",
                path=f"layer {self.layers[i].name}",
            )
        first = 3 + len(self.accelerator.architecture.storage)  # column of energies
        out = np.empty((len(values), 2 * first - 2))
        try:
            work = self._spare.pop()  # each workspace is used by one thread at a time
        except IndexError:
            work = self._workspace()
        run_network(
            self._arch, self._rows, DensityPack(self._kinds, values), self._policy, self._table,
            self._networks, *work, out,
        )  # fmt: skip
        for i in np.flatnonzero(out[:, 2]):
            error = mapping_error(
                int(out[i, 2]), work.nests.info[i], self.accelerator.architecture, self.layers[i],
                name_layer=True,
            )  # fmt: skip
            self._spare.append(work)
            raise error
        self._spare.append(work)
        leaks = leakage(self.accelerator)
        if leaks is not None:
            energy = leaks.per_cycle(self._used) * (out[:, 1:2] - self._arch.latency[0])
            out[:, 0] += energy.sum(axis=1)
            out[:, first + 1 :] += energy
        return FrozenResult(out[:, 0], out[:, 1], out[:, first:], out[:, 3:first])
