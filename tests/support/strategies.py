"""Hypothesis strategies for specification records: any valid ones, sensible or not."""

from __future__ import annotations

from hypothesis import strategies as st

from sparsim.records import (
    Architecture,
    Component,
    Compute,
    Dataspace,
    Density,
    EnergyTable,
    Layer,
    LevelConstraint,
    LevelMapping,
    Mapping,
    Mapspace,
    Nest,
    NestConstraint,
    Network,
    Option,
    Rank,
    Saf,
    Shape,
    SparsePolicy,
    Storage,
    TensorFormat,
    Workload,
)

# also digits, quotes, "yes", "1e5", blanks, other scripts; control characters are refused where text is read
names = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=8)
sources = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20)
dims = st.text(alphabet=st.characters(categories=["L", "Nd"]), min_size=1, max_size=2)
counts = st.integers(1, 2**40)
amounts = st.integers(0, 2**40)
widths = st.integers(1, 2**31 - 1)
bounds = st.integers(1, 2**10)  # of few dims: their product is a number of operations
energies = st.floats(0, 1e9)
positive = st.floats(1e-6, 1e12)
optional_energies = st.none() | energies
meshes = st.tuples(st.integers(1, 16), st.integers(1, 16))


def distinct(values, size=4):
    return st.lists(values, max_size=size, unique=True).map(tuple)


networks = st.builds(
    Network,
    type=st.sampled_from(["", "1:1", "1:N"]),
    word_bits=st.none() | widths,
    router_energy_pj=optional_energies,
    tile_width_um=optional_energies,
    fill_latency_cycles=widths,
)


@st.composite
def storages(draw, name):
    dram = draw(st.booleans())
    return Storage(
        name=name,
        technology="DRAM" if dram else "SRAM",
        mesh=draw(meshes),
        word_bits=draw(widths),
        block_size=draw(widths),
        size_words=draw(st.none() | amounts) if dram else draw(amounts),
        multiple_buffering=draw(positive),
        read_bandwidth=draw(st.none() | positive),
        metadata_depth=draw(st.none() | amounts),
        metadata_width_bits=draw(widths),
        reduction_supported=draw(st.none() | st.booleans()),
        vector_access_energy_pj=draw(optional_energies),
        network=draw(networks),
    )


@st.composite
def architectures(draw):
    levels = draw(st.lists(names, min_size=2, max_size=5, unique=True))
    return Architecture(
        name=draw(names),
        storage=tuple(draw(storages(name)) for name in levels[:-1]),
        compute=Compute(name=levels[-1], mesh=draw(meshes), energy_pj=draw(optional_energies)),
        source=draw(sources),
    )


@st.composite
def shapes(draw):
    dim_names = draw(st.lists(dims, min_size=1, max_size=5, unique=True))
    coefficients = draw(st.dictionaries(dims, st.integers(-3, 9), max_size=2))
    term = st.sampled_from([*dim_names, *(f"{dim}*{c}" for dim in dim_names for c in coefficients)])
    projection = st.lists(st.lists(term, min_size=1, max_size=2).map(" + ".join), min_size=1, max_size=3).map(
        tuple
    )
    tensors = draw(st.lists(names, min_size=1, max_size=4, unique=True))
    return Shape(
        dims=tuple(dim_names),
        coefficients=coefficients,
        dataspaces=tuple(
            Dataspace(name=name, projection=draw(projection), read_write=name == tensors[-1])
            for name in tensors
        ),
    )


densities = st.builds(
    Density,
    distribution=st.sampled_from(["fixed-structured", "hypergeometric", "banded", "actual"]),
    density=st.floats(0, 1),
    spread=st.floats(0, 1),
    band_width=amounts,
    mask=st.none() | names,
)


@st.composite
def layers(draw):
    shape = draw(shapes())
    tensors = [d.name for d in shape.dataspaces]
    return Layer(
        name=draw(names),
        shape=shape,
        bounds={dim: draw(bounds) for dim in shape.dims},
        coefficients={name: draw(st.integers(-9, 9)) for name in shape.coefficients if draw(st.booleans())},
        densities=draw(st.dictionaries(st.sampled_from(tensors), densities)),
    )


workloads = st.builds(
    Workload,
    name=names,
    source=sources,
    provenance=st.dictionaries(names, names | amounts | energies | st.booleans(), max_size=3),
    layers=st.lists(layers(), min_size=1, max_size=3, unique_by=lambda layer: layer.name).map(tuple),
)
ranks = st.builds(
    Rank,
    format=st.sampled_from(["U", "UOP", "UB", "CP", "RLE", "B"]),
    flattened=st.lists(distinct(dims), max_size=2).map(tuple),
    metadata_word_bits=st.none() | widths,
    payload_word_bits=st.none() | widths,
)
formats = st.builds(
    TensorFormat,
    level=names,
    dataspace=names,
    ranks=st.lists(ranks, min_size=1, max_size=4).map(
        lambda found: tuple(sorted(found, key=lambda rank: rank.compressed))
    ),
    order=st.sampled_from(["outer-to-inner", "inner-to-outer"]),
)
options = st.builds(Option, target=names, condition_on=st.lists(names, min_size=1, max_size=2).map(tuple))
safs = st.builds(
    Saf,
    level=names,
    type=st.sampled_from(["gating", "skipping"]),
    options=st.lists(options, min_size=1, max_size=2).map(tuple),
)
policies = st.builds(
    SparsePolicy,
    name=names,
    formats=st.lists(formats, max_size=3, unique_by=lambda f: (f.level, f.dataspace)).map(tuple),
    safs=st.lists(safs, max_size=2).map(tuple),
    compute_gating=st.booleans(),
)
energy_tables = st.builds(
    EnergyTable,
    name=names,
    actions=st.dictionaries(names, st.dictionaries(names, energies, max_size=3), max_size=3),
    areas=st.dictionaries(names, energies, max_size=3),
    wire_pj_per_bit_mm=optional_energies,
)
plain_components = st.builds(
    Component,
    name=names,
    class_name=names.filter(lambda name: name != "compound"),
    node_nm=st.none() | st.floats(7, 130),
    rules=st.none() | names,
    attributes=st.dictionaries(names, counts | positive | names, max_size=3),
    count=st.integers(1, 100),
)
components = plain_components | st.builds(
    Component,
    name=names,
    class_name=st.just("compound"),
    parts=st.lists(plain_components, min_size=1, max_size=2, unique_by=lambda part: part.name).map(tuple),
    actions=st.dictionaries(names, st.dictionaries(names, energies, max_size=2), max_size=2),
)
loops = {"factors": st.dictionaries(dims, counts, max_size=4), "order": distinct(dims)}
level_mappings = st.builds(
    LevelMapping,
    level=names,
    temporal=st.builds(Nest, **loops),
    spatial=st.none() | st.builds(Nest, **loops, split_x=st.none() | st.integers(0, 9)),
    bypass=distinct(names),
    no_temporal_reuse=distinct(names),
)
divisibilities = st.dictionaries(dims, st.sampled_from(["padded", "imperfect"]), max_size=2)
mappings = st.builds(
    Mapping,
    levels=st.lists(level_mappings, max_size=3, unique_by=lambda m: m.level).map(tuple),
    divisibility=divisibilities,
)


@st.composite
def nest_constraints(draw, spatial):
    order = draw(distinct(dims))
    part = draw(st.integers(0, len(order)))
    limits = st.dictionaries(dims, counts, max_size=3)
    return NestConstraint(
        factors=draw(st.dictionaries(dims, amounts, max_size=3)),
        at_most=draw(limits),
        at_least=draw(limits),
        default_at_most=draw(st.none() | counts),
        default_at_least=draw(st.none() | counts),
        outer=order[:part],
        inner=order[part:],
        split_x=draw(st.none() | st.integers(0, 9)) if spatial else None,
    )


@st.composite
def level_constraints(draw):
    tensors = draw(distinct(names))
    part = draw(st.integers(0, len(tensors)))
    return LevelConstraint(
        level=draw(names),
        temporal=draw(nest_constraints(spatial=False)),
        spatial=draw(st.none() | nest_constraints(spatial=True)),
        keep=tensors[:part],
        bypass=tensors[part:],
        no_link_transfer=draw(distinct(names)),
        no_temporal_reuse=draw(distinct(names)),
    )


mapspaces = st.builds(
    Mapspace,
    name=names,
    levels=st.lists(level_constraints(), max_size=3, unique_by=lambda c: c.level).map(tuple),
    min_parallelism=st.floats(0, 1),
    divisibility=divisibilities,
    most_padding=st.floats(0, 1),
    source=sources,
)
