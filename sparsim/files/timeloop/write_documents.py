"""Writer of specification records as Timeloop v0.3 documents (model chapters 2 to 6)."""

from math import prod
from pathlib import Path
from typing import Any

import yaml

from sparsim.errors import SpecError
from sparsim.estimate.accelerator_energy import energy_table
from sparsim.fileio.writing import write_text
from sparsim.files.timeloop.write_networks import (
    mesh_attributes,
    network_actions,
    network_components,
    network_names,
)
from sparsim.records import (
    Accelerator,
    Architecture,
    Compute,
    Density,
    EnergyTable,
    Layer,
    LevelMapping,
    Mapping,
    Nest,
    Rank,
    Saf,
    SparsePolicy,
    Storage,
)

Document = dict[str, Any]

_ROOT, _ROOT_4 = "system", "top_level"
FILES = {
    "architecture": "arch.yaml",
    "problem": "problem.yaml",
    "mapping": "mapping.yaml",
    "sparse_optimizations": "sparse.yaml",
    "ERT": "ert.yaml",
    "ART": "art.yaml",
    "mapspace_constraints": "constraints.yaml",
    "mapper": "mapper.yaml",
}


def write_documents(folder: Path, accelerator: Accelerator, layer: Layer, mapping: Mapping) -> list[Path]:
    """Write one YAML file per top-level key into `folder`, which is made if needed; return their paths.

    Raises SpecError for what Timeloop's format cannot say (see `to_documents`).
    """
    documents = to_documents(accelerator, layer, mapping)
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for key, document in documents.items():
        path = folder / FILES[key]
        write_text(path, document_text(key, document))
        paths.append(path)
    return paths


def mapping_text(arch: Architecture, layer: Layer, mapping: Mapping) -> str:
    """The document of a mapping, for a layer whose dims have names of one character.

    Raises SpecError for a mapping with padded or imperfect dims, which Timeloop's syntax cannot say.
    """
    return document_text("mapping", _mapping(arch, layer, mapping))


def energy_texts(energy: EnergyTable, arch: Architecture, dialect: str) -> dict[str, str]:
    """The documents ERT and ART of a table, and of the transfers in an architecture's networks.

    `dialect` "4": with names and a version as Accelergy writes them for Timeloop 4.x.
    """
    documents = _energy(energy, arch)
    if dialect == "4":
        documents = {key: _of_version4(document, arch) for key, document in documents.items()}
    return {key: document_text(key, document) for key, document in documents.items()}


def _of_version4(document: Document, arch: Architecture) -> Document:
    """Return a table of energies or areas whose names include the number of instances."""
    names = [*(level.name for level in arch.storage), arch.compute.name]
    number = {name: prod(arch.total_mesh(i)) for i, name in enumerate(names)}
    tables = []
    for table in document["tables"]:
        name = table["name"].removeprefix(f"{_ROOT}.")
        tables.append({**table, "name": f"{_ROOT_4}.{name}[1..{number.get(name, 1)}]"})
    return {"version": "0.4", "tables": tables}


def document_text(key: str, document: Any) -> str:
    return dump_document({key: document})


def dump_document(document: Document) -> str:
    """Return a document as text."""
    text: str = yaml.safe_dump(document, sort_keys=False, default_flow_style=None, width=120)
    return text


def to_documents(accelerator: Accelerator, layer: Layer, mapping: Mapping | None) -> dict[str, Any]:
    """Plain documents by top-level key; without a mapping, a policy or energies their keys are absent.

    Raises SpecError for dims with names of more than one character, padded and imperfect dims, levels of one
    memory, and densities of actual data, which Timeloop does not know.
    """
    arch, policy, energy = accelerator.architecture, accelerator.policy, energy_table(accelerator)
    documents: dict[str, Any] = {
        "architecture": _architecture(arch),
        "problem": _problem(layer),
    }
    if mapping is not None:
        documents["mapping"] = _mapping(arch, layer, mapping)
    if policy is not None:
        documents["sparse_optimizations"] = _policy(arch, policy)
    if energy is not None:
        documents |= _energy(energy, arch)
    elif any(network_actions(arch).values()):
        raise SpecError("energies of transfers cannot be written without a table of all others")
    return documents


def _given(**attributes: Any) -> Document:
    """Return attributes by key, without those that are None; `_` in a name stands for the key's `-`."""
    return {key.replace("_", "-"): value for key, value in attributes.items() if value is not None}


def _architecture(arch: Architecture) -> Document:
    """Return one flat list, outer to inner, which is equivalent to nested subtrees because instances are
    explicit.
    """
    local = [_storage(level, arch.total_mesh(i)) for i, level in enumerate(arch.storage)]
    local.append(_compute(arch.compute, arch.total_mesh(len(arch.storage))))
    for component, names in zip(local, network_names(arch), strict=True):
        component["attributes"] |= names
    local += network_components(arch)
    return {"version": 0.3, "subtree": [{"name": _ROOT, "local": local}]}


def _mesh(mesh: tuple[int, int]) -> Document:
    return {"instances": mesh[0] * mesh[1], "meshX": mesh[0], "meshY": mesh[1]}


def _storage(level: Storage, mesh: tuple[int, int]) -> Document:
    if level.memory:
        raise SpecError(f"Timeloop's levels share no memory, but '{level.name}' lies in '{level.memory}'")
    network = level.network
    attributes = _mesh(mesh) | _given(
        word_bits=level.word_bits,
        block_size=level.block_size,
        cluster_size=level.cluster_size,
        entries=level.size_words,
        multiple_buffering=level.multiple_buffering,
        min_utilization=level.min_utilization,
        addr_gen_energy=level.addr_gen_energy_pj,
        vector_access_energy=level.vector_access_energy_pj,
        cluster_area=level.cluster_area_um2,
        network_word_bits=network.word_bits,
    )
    attributes |= mesh_attributes(network)
    underscored = {
        "read_bandwidth": level.read_bandwidth,
        "write_bandwidth": level.write_bandwidth,
        "shared_bandwidth": level.shared_bandwidth,
        "metadata_datawidth": level.metadata_word_bits,
        "metadata_storage_width": level.metadata_width_bits,
        "metadata_storage_depth": level.metadata_depth,
        "compression_supported": level.compression_supported,
        "decompression_supported": level.decompression_supported,
        "reduction_supported": level.reduction_supported,
        "network_fill_latency": network.fill_latency_cycles,
        "network_drain_latency": network.drain_latency_cycles,
        "power_gated_at": level.power_gated_at or None,
    }
    attributes |= {key: value for key, value in underscored.items() if value is not None}
    return {"name": level.name, "class": level.technology, "attributes": attributes}


def _compute(compute: Compute, mesh: tuple[int, int]) -> Document:
    attributes = _mesh(mesh) | _given(
        word_bits=compute.word_bits, energy=compute.energy_pj, area=compute.area_um2
    )
    return {"name": compute.name, "class": "compute", "attributes": attributes}


def _problem(layer: Layer) -> Document:
    shape = layer.shape
    for dim in shape.dims:
        if len(dim) != 1:
            raise SpecError(
                f"dim '{dim}' has {len(dim)} characters, but Timeloop's documents allow 1",
                path=f"shape {shape.name}",
            )
    instance: Document = layer.bounds | shape.coefficients | layer.coefficients
    densities = {name: _density(name, density) for name, density in layer.densities.items()}
    return {
        "shape": {
            "name": shape.name,
            "dimensions": list(shape.dims),
            "coefficients": [{"name": name, "default": value} for name, value in shape.coefficients.items()],
            "data-spaces": [
                {
                    "name": dataspace.name,
                    "projection": [
                        [[dim] if coefficient is None else [dim, coefficient] for dim, coefficient in side]
                        for side in dataspace.terms()
                    ],
                    "read-write": dataspace.read_write,
                }
                for dataspace in shape.dataspaces
            ],
        },
        "instance": instance | ({"densities": densities} if densities else {}),
    }


def _density(dataspace: str, density: Density) -> Document:
    if density.distribution == "actual":
        raise SpecError(
            "the density of actual data cannot be written, because Timeloop only has distributions",
            path=f"dataspace {dataspace}",
        )
    if density.distribution == "banded":
        return {"distribution": "banded", "band_width": density.band_width}
    return {"distribution": density.distribution, "density": density.density}


def _mapping(arch: Architecture, layer: Layer, mapping: Mapping) -> list[Document]:
    """Return the directives of every level, including neutral ones, so that nothing depends on Timeloop's
    defaults.
    """
    dims = layer.shape.dims
    for dim, policy in mapping.divisibility.items():
        raise SpecError(f"dim '{dim}' is {policy}, but Timeloop's mappings have only perfect factors")
    mapped = {m.level: m for m in mapping.levels}
    fan_outs = [*(level.mesh for level in arch.storage[1:]), arch.compute.mesh]
    document = []
    for level, fan_out in zip(arch.storage, fan_outs, strict=True):
        mine = mapped.get(level.name, LevelMapping(level=level.name))
        kept = [d.name for d in layer.shape.dataspaces if d.name not in mine.bypass]
        document.append({"target": level.name, "type": "bypass", "keep": kept, "bypass": list(mine.bypass)})
        temporal = {"target": level.name, "type": "temporal", **_nest(mine.temporal, dims)}
        if mine.no_temporal_reuse:
            temporal["no_temporal_reuse"] = list(mine.no_temporal_reuse)
        document.append(temporal)
        if mine.spatial is not None or fan_out != (1, 1):
            document.append(_spatial(mine, dims))
    return document


def _spatial(mapping: LevelMapping, dims: tuple[str, ...]) -> Document:
    nest = mapping.spatial or Nest()
    document = {"target": mapping.level, "type": "spatial", **_nest(nest, dims)}
    document["split"] = len(dims) if nest.split_x is None else nest.split_x
    for key in ("no_link_transfer", "no_multicast_no_reduction"):
        if names := getattr(mapping, key):
            document[key] = list(names)
    return document


def _nest(nest: Nest, dims: tuple[str, ...]) -> Document:
    """Timeloop lists permutations innermost first; dims that ours leaves out lie outside of it."""
    permutation = [*reversed(nest.order), *(dim for dim in dims if dim not in nest.order)]
    factors = [f"{dim}={nest.factors.get(dim, 1)}" for dim in dims]
    return {"factors": " ".join(factors), "permutation": "".join(permutation)}


def _policy(arch: Architecture, policy: SparsePolicy) -> Document:
    targets = []
    for level in arch.storage:
        target: Document = {"name": level.name}
        formats = [f for f in policy.formats if f.level == level.name]
        if formats:
            target["representation-format"] = {
                "data-spaces": [
                    {
                        "name": f.dataspace,
                        "ranks": [_rank(rank) for rank in f.ranks],
                        "rank-application-order": f.order,
                    }
                    for f in formats
                ]
            }
        safs = [_saf(saf) for saf in policy.safs if saf.level == level.name]
        if safs:
            target["action-optimization"] = safs
        if len(target) > 1:
            targets.append(target)
    kinds = [k for k, on in (("gating", policy.compute_gating), ("skipping", policy.compute_skipping)) if on]
    if kinds or policy.always_active:
        targets.append(
            {"name": arch.compute.name, "compute-optimization": [{"type": kind} for kind in kinds]}
        )
    return {"targets": targets}


def _rank(rank: Rank) -> Document:
    document: Document = {"format": rank.format}
    if rank.flattened:
        document["flattened-rankIDs"] = [list(group) for group in rank.flattened]
    words = {"metadata-word-bits": rank.metadata_word_bits, "payload-word-bits": rank.payload_word_bits}
    return document | {key: value for key, value in words.items() if value is not None}


def _saf(saf: Saf) -> Document:
    options = [{"target": option.target, "condition-on": list(option.condition_on)} for option in saf.options]
    return {"type": saf.type, "options": options}


def _energy(energy: EnergyTable, arch: Architecture) -> dict[str, Document]:
    """Component names get the path that the flat architecture has."""
    networks = network_actions(arch)
    tables = [
        {
            "name": f"{_ROOT}.{component}",
            "actions": [{"name": name, "arguments": {}, "energy": pj} for name, pj in actions.items()],
        }
        for component, actions in energy.actions.items()
        if component not in networks
    ]
    tables += [
        {"name": f"{_ROOT}.{name}", "actions": actions} for name, actions in networks.items() if actions
    ]
    if energy.wire_pj_per_bit_mm is not None:
        wire = {"name": "transfer_random", "arguments": {}, "energy": energy.wire_pj_per_bit_mm}
        tables.append({"name": f"{_ROOT}.wire", "actions": [wire]})
    areas = [{"name": f"{_ROOT}.{component}", "area": um2} for component, um2 in energy.areas.items()]
    return {"ERT": {"version": 0.3, "tables": tables}, "ART": {"version": 0.3, "tables": areas}}
