"""Description of presets and documents as text for a terminal."""

import textwrap
from collections.abc import Iterable, Sequence

from sparsim.estimate.accelerator_energy import energy_table, resolved_energy
from sparsim.files.documents import Documents
from sparsim.records import (
    Accelerator,
    Architecture,
    Layer,
    SparsePolicy,
    TensorFormat,
    Workload,
    effectual_macs,
    macs,
)
from sparsim.records.chip_spec import ChipSpec
from sparsim.records.component import Component
from sparsim.records.energy_table import STORAGE_ACTIONS
from sparsim.records.machine_spec import MachineSpec
from sparsim.records.noc_spec import Noc
from sparsim.records.pe_spec import Spad, SparsePE
from sparsim.records.row_stationary import RowStationaryMappings

_COLUMNS = (
    "level",
    "instances",
    "words",
    "bits",
    "block",
    "rd w/cy",
    "wr w/cy",
    "read pJ",
    "write pJ",
    "um^2",
)
_WIDTH = 110
_READ = tuple(STORAGE_ACTIONS).index("random_read")
_WRITE = tuple(STORAGE_ACTIONS).index("random_fill")


def describe(name: str, loaded: Documents) -> str:
    """Return title, level table, components, chip, machine, formats and SAFs, and layers as text."""
    parts = [name]
    if loaded.architecture:
        parts += ["", *_architecture(loaded.accelerator)]
    if loaded.components:
        parts += ["", *_components(loaded.components)]
    if loaded.chip:
        parts += ["", *_chip(loaded.chip)]
    if loaded.machine:
        parts += ["", *_machine(loaded.machine)]
    if loaded.row_stationary:
        parts += ["", *_row_stationary(loaded.row_stationary)]
    if loaded.policy:
        parts += ["", *_policy(loaded.policy)]
    if loaded.workload:
        parts += ["", *_workload(loaded.workload)]
    if loaded.layers:
        parts += ["", "layers", *_layers(loaded.layers)]
    return "\n".join(parts)


def _workload(workload: Workload) -> Iterable[str]:
    yield from _wrapped(f"workload {workload.name}" + (f": {workload.source}" if workload.source else ""))
    for key, value in workload.provenance.items():
        yield from _wrapped(f"  {key}: {value}")


def _wrapped(text: str) -> list[str]:
    """Wrap lines to a readable width, without breaks inside names."""
    return textwrap.wrap(
        text, _WIDTH, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False
    )


def _layers(layers: Sequence[Layer]) -> Iterable[str]:
    """Return a table of layers: the name, bounds other than 1 and coefficients other than the shape's,
    operations, operations on two nonzeros (if known from densities), and the density of each dataspace, with
    its measured spread.
    """
    tensors = list(dict.fromkeys(d.name for layer in layers for d in layer.shape.dataspaces))
    rows = [("name", "bounds", "operations", "effectual", *tensors)]
    for layer in layers:
        known = [d.name for d in layer.shape.dataspaces]
        rows.append(
            (
                layer.name,
                _bounds(layer),
                f"{macs(layer):,}",
                _rounded(effectual_macs(layer)),
                *(_density(layer, tensor) if tensor in known else "" for tensor in tensors),
            )
        )
    if len(layers) > 1:
        effectual = [effectual_macs(layer) for layer in layers]
        told = [number for number in effectual if number is not None]
        total = sum(told) if len(told) == len(layers) else None
        rows.append(("total", "", f"{sum(map(macs, layers)):,}", _rounded(total), *("" for _ in tensors)))
    return _table(rows, left=2)


def _bounds(layer: Layer) -> str:
    bounds = {dim: bound for dim, bound in layer.bounds.items() if bound > 1}
    default = layer.shape.coefficients
    return _pairs((bounds | {k: v for k, v in layer.coefficients.items() if v != default[k]}).items())


def _rounded(number: float | None) -> str:
    return "" if number is None else f"{number:,.0f}"


def _density(layer: Layer, tensor: str) -> str:
    density = layer.density(tensor)
    if density.distribution == "banded":
        return f"band {density.band_width}"
    spread = f" ±{density.spread:.3f}" if density.spread else ""
    mask = " (mask)" if density.distribution == "actual" else ""
    return f"{density.density:.3f}{spread}{mask}"


def _table(rows: Sequence[Sequence[str]], left: int = 1) -> Iterable[str]:
    """Yield aligned columns, the first `left` of them left-aligned."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            cell.ljust(width) if i < left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  " + "  ".join(cells).rstrip()


def _architecture(accelerator: Accelerator) -> Iterable[str]:
    """Yield the levels, outer to inner: words, bandwidths and area per instance, energies per access of one
    block.
    """
    arch, resolved = accelerator.architecture, resolved_energy(accelerator)
    energy = energy_table(accelerator)
    rows = [_COLUMNS]
    for i, level in enumerate(arch.storage):
        rows.append(
            (
                level.name,
                _instances(arch, i),
                _or_dash(level.size_words),
                str(level.word_bits),
                str(level.block_size),
                _or_dash(level.read_bandwidth),
                _or_dash(level.write_bandwidth),
                f"{resolved.storage[i][_READ]:g}",
                f"{resolved.storage[i][_WRITE]:g}",
                f"{resolved.areas[i]:.6g}",
            )
        )
    count = _instances(arch, len(arch.storage))
    compute = arch.compute
    energy_pj, area = f"{resolved.compute[0]:g}", f"{resolved.compute_area:.6g}"
    rows.append((compute.name, count, "", str(compute.word_bits), "", "", "", energy_pj, "", area))
    yield f"architecture {arch.name}" + (f": {arch.source}" if arch.source else "")
    yield from _table(rows)
    yield "energies: " + (f"table {energy.name}" + (f", {energy.source}" if energy.source else "")
                          if energy else "built-in formulas")  # fmt: skip


def _instances(arch: Architecture, index: int) -> str:
    x, y = arch.total_mesh(index)
    return f"{x * y} ({x}x{y})"


def _or_dash(value: float | None) -> str:
    return "-" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _pairs(items: Iterable[tuple[str, object]]) -> str:
    return " ".join(f"{key}={value}" for key, value in items)


def _components(components: Sequence[Component]) -> Iterable[str]:
    """Yield class, node and attributes, with the parts of a compound below it."""
    yield "components"
    for component in components:
        yield _component(component)
        for part in component.parts:
            yield "  " + _component(part)


def _component(component: Component) -> str:
    node = f" {component.node_nm:g} nm" if component.node_nm else ""
    attributes = " ".join(f"{key}={value}" for key, value in component.attributes.items())
    return f"  {component.name}: {component.class_name}{node} {attributes}".rstrip()


def _chip(chip: ChipSpec) -> Iterable[str]:
    """Yield clock, PE, network and the dims that may be spread, each with its source."""
    yield from _wrapped(f"chip {chip.name}" + (f": {chip.source}" if chip.source else ""))
    dram = "endless" if chip.dram_gb_per_s is None else f"{chip.dram_gb_per_s:g} GB/s"
    yield f"  clock {chip.clock_mhz:g} MHz, off-chip bandwidth {dram}"
    if chip.pe.skips_zero_weights or chip.pe.skips_zero_iacts:
        rule = {"cheapest": "plainly or compressed, as is best", "any-zero": "compressed if either has zeros"}
        yield f"  operands are stored {rule[chip.compression]}"
    overhead = (
        f"{chip.clock_pj_per_cycle:g} pJ/cycle, control {chip.control_pj_per_pe_cycle:g} pJ/PE and cycle"
    )
    yield from _wrapped(f"  clock {overhead}" + (f": {chip.overhead_source}" if chip.overhead_source else ""))
    yield f"  dataflow {chip.dataflow}"
    yield from _memories(chip)
    yield from _pe(chip.pe)
    yield from _noc(chip.noc)
    for axis, dims in chip.spread.items():
        yield f"  spread over {axis}: {' '.join(dims) or '-'}"


def _memories(chip: ChipSpec) -> Iterable[str]:
    """Yield the link of the filters, the code in the DRAM and the banks of the GLB, if there are any."""
    parts: list[tuple[str, str]] = []
    if (link := chip.filter_link) is not None:
        text = (
            f"filters arrive at {link.gb_per_s:g} GB/s, {link.prefetch_bytes:,} bytes of a pass ahead of it"
        )
        parts.append((text, link.source))
    if (code := chip.run_lengths) is not None:
        pairs = f"runs of {code.run_bits} bits, {code.pairs} pairs in {code.word_bits} bits"
        parts.append((f"iacts and outputs in the DRAM: {pairs}", code.source))
    if (banks := chip.glb_banks) is not None:
        text = f"{banks.number} banks of {banks.bank_bytes:,} bytes for iacts or psums"
        parts.append((text, banks.source))
    for text, source in parts:
        yield from _wrapped(f"  {text}" + (f": {source}" if source else ""))


def _row_stationary(mappings: RowStationaryMappings) -> Iterable[str]:
    """Yield the source, and the parameters of each layer."""
    yield from _wrapped("row-stationary mappings" + (f": {mappings.source}" if mappings.source else ""))
    for name, parameters in mappings.layers.items():
        yield f"  {name}: {_pairs(parameters.to_dict().items())}"


def _machine(machine: MachineSpec) -> Iterable[str]:
    """Yield kind, name and source, and each other field with its value."""
    title = f"machine {machine.name} of kind {machine.kind}"
    yield from _wrapped(title + (f": {machine.source}" if machine.source else ""))
    for name in machine.__struct_fields__:
        value = getattr(machine, name)
        if name in ("name", "source") or value in (None, "", {}, ()):
            continue
        text = _pairs(value.items()) if isinstance(value, dict) else f"{value}"
        yield from _wrapped(f"  {name}: {text}")


def _pe(pe: SparsePE) -> Iterable[str]:
    skipped = [
        name for name, skips in (("iacts", pe.skips_zero_iacts), ("weights", pe.skips_zero_weights)) if skips
    ]
    yield from _wrapped(
        f"  PE {pe.name}: {pe.simd_width} MACs, {pe.value_bits}-bit values,"
        f" {pe.pipeline_stages} pipeline stages, skips zero {' and '.join(skipped) or '-'}"
        + (f"; {pe.source}" if pe.source else "")
    )
    for name in ("iact_address", "iact_data", "weight_address", "weight_data", "psum"):
        spad: Spad = getattr(pe, name)
        if spad.words:
            yield f"    {name}: {spad.words} words of {spad.bits} bits"


def _noc(noc: Noc) -> Iterable[str]:
    rows, columns = noc.clusters
    yield from _wrapped(
        f"  NoC {noc.name}: {rows}x{columns} clusters of {noc.pe_rows}x{noc.pe_columns} PEs"
        + (f"; {noc.source}" if noc.source else "")
    )
    for network in noc.networks:
        compressed = f" or {network.compressed_words} compressed" if network.compressed_words else ""
        yield (
            f"    {network.role}: {network.routers_per_cluster} routers per cluster,"
            f" {network.port_bits} bits per port for {network.raw_words} words{compressed},"
            f" mesh {network.mesh}, PE side {network.pe_side}"
        )
    wiring = noc.wiring
    yield from _wrapped(
        f"    wire {wiring.wire_pj_per_bit_mm:g} pJ/bit/mm, router {wiring.router_pj_per_bit:g} pJ/bit,"
        f" PE pitch {wiring.pe_pitch_um:g} um; {wiring.source}"
    )


def _policy(policy: SparsePolicy) -> Iterable[str]:
    yield f"policy {policy.name}"
    for tensor_format in policy.formats:
        yield f"  {tensor_format.level}: {tensor_format.dataspace} as {_ranks(tensor_format)}"
    for saf in policy.safs:
        for option in saf.options:
            yield f"  {saf.level}: {saf.type} of {option.target} on empty {' or '.join(option.condition_on)}"
    if policy.compute_gating:
        yield "  compute: gating"
    if policy.compute_skipping:
        yield "  compute: skipping"


def _ranks(tensor_format: TensorFormat) -> str:
    return "-".join(rank.format for rank in tensor_format.ranks)
