"""The same chip with more or fewer PEs."""

from msgspec.structs import replace

from sparsim.machines.eyeriss.chip import IACT_GLB, PSUM_GLB, Chip, check_chip, meshes_of
from sparsim.records import Storage
from sparsim.records.noc_spec import RouterNetwork


def scaled(chip: Chip, clusters: tuple[int, int], pe_rows: int, pe_columns: int) -> Chip:
    """Return `chip` with `clusters` (rows, columns) of `pe_rows` x `pe_columns` PEs.

    PEs, routers and their ports are unchanged; there is one router for each row or column of PEs if they
    serve these. The GLB and the energy of clock per cycle grow with the number of PEs; so do the wires of a
    flat network, but not what it moves per cycle. Raises SpecError for sizes below 1.
    """
    old = chip.spec.noc
    lines = {"row": pe_rows, "column": pe_columns}

    def resized(network: RouterNetwork) -> RouterNetwork:
        routers = lines.get(network.pe_side, network.routers_per_cluster)
        return replace(network, routers_per_cluster=routers)

    noc = replace(
        old, clusters=clusters, pe_rows=pe_rows, pe_columns=pe_columns,
        networks=tuple(resized(network) for network in old.networks),
    )  # fmt: skip
    meshes = meshes_of(noc)

    def level(storage: Storage) -> Storage:
        if storage.name in meshes:
            return replace(storage, mesh=meshes[storage.name])
        if storage.name in (PSUM_GLB, IACT_GLB) and storage.size_words is not None:
            return replace(storage, size_words=storage.size_words * noc.pes // old.pes)
        return storage

    architecture = replace(chip.architecture, storage=tuple(level(s) for s in chip.architecture.storage))
    clock = chip.spec.clock_pj_per_cycle * noc.pes / old.pes
    banks = chip.spec.glb_banks
    if banks is not None:
        banks = replace(banks, number=banks.number * noc.pes // old.pes)
    spec = replace(
        chip.spec, name=f"{chip.name}_{noc.pes}", noc=noc, clock_pj_per_cycle=clock, glb_banks=banks
    )
    found = Chip(spec, replace(chip.accelerator, architecture=architecture))
    check_chip(found)
    return found
