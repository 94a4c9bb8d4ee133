"""The command `sparsim chip`: a network on a whole chip or machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sparsim.cli.chip_batch_and_mapping import in_batches, mapping_line, parameters_of
from sparsim.cli.chip_comparison_command import check_same_layers, others_of, show_comparison
from sparsim.cli.common_options import batch_option, folder_option, layer_option
from sparsim.cli.input_files import file_names
from sparsim.cli.json_output import json_option, print_json
from sparsim.cli.matrix_products import run_products
from sparsim.errors import MappingError, MissingLibraryError, SpecError, require
from sparsim.fileio.json_and_csv import write_csv, write_json
from sparsim.fileio.writing import write_text
from sparsim.report.console import echo, fail, layers_done, named_values, results
from sparsim.report.tables import Table

# Everything else is imported where it is used: --help must not wait for a compiler.
if TYPE_CHECKING:
    from sparsim.hardware import ClosedFormMachine, EyerissChip
    from sparsim.machines.eyeriss import Bound, NetworkEvaluation
    from sparsim.records import Layer, Workload

    Bounds = Sequence[tuple[Bound, ...]]

OBJECTIVES = ("delay", "energy", "edp")


@click.command()
@click.argument("chip_name", metavar="CHIP|MACHINE")
@click.argument("inputs", metavar="WORKLOAD|MATRIX...", nargs=-1, required=True)
@layer_option
@click.option(
    "--objective", type=click.Choice(OBJECTIVES), show_default="the chip's: edp on Eyeriss v1, else delay",
    help="What to minimize.",
)  # fmt: skip
@batch_option(text="the workload's")
@click.option(
    "--mapping", "mapping_name", metavar="NAME|FILE",
    help="Row-stationary parameters of layers, in place of the best ones.",
)  # fmt: skip
@click.option(
    "--dram-gb-per-s", type=float, show_default="the chip's; presets have no limit",
    help="Off-chip bandwidth.",
)  # fmt: skip
@click.option("--eyexam", "with_eyexam", is_flag=True, help="Show where the cycles of every layer go.")
@click.option(
    "--explain", "with_explanation", is_flag=True,
    help="Show passes, parts of the time, contents of memories and bytes moved.",
)  # fmt: skip
@click.option(
    "--compare", "compared", multiple=True, metavar="CHIP[=WORKLOAD]",
    help="Compare CHIP with this one, layer by layer; may be repeated for further chips.",
)  # fmt: skip
@folder_option()
@json_option
def chip(
    chip_name: str,
    inputs: tuple[str, ...],
    layer: str | None,
    objective: str | None,
    batch: int | None,
    mapping_name: str | None,
    dram_gb_per_s: float | None,
    with_eyexam: bool,
    with_explanation: bool,
    compared: tuple[str, ...],
    output: Path | None,
    as_json: bool,
) -> None:
    """Cost a network on a row-stationary chip or another machine.

    Plans the layers, and tells cycles, energy and area. CHIP, MACHINE and WORKLOAD are presets (sparsim
    show) or documents of ours. Machines for products of sparse matrices also take matrices as files .mtx,
    .npz and .npy: two for A x B, one for A x A or, where A is not square, for A times its transpose. With
    -o: DIR/chip.layers.csv and chip.result.json with everything and its sources; of a chip also
    chip.eyexam.csv, figures, and for sparsim model chip.workload.yaml, the layers as they were counted,
    with LAYER.mapping.yaml; with --layer also the routes of its data on the network on chip; with --compare
    chip.comparison.csv and .json and figures in place of these. The exit code is 1 if a layer fits the chip
    in no way that was tried.
    """
    from sparsim.files.matrix_files import is_matrix_file
    from sparsim.files.sparsim_yaml import load_named
    from sparsim.hardware import ClosedFormMachine, load_hardware
    from sparsim.machines.eyeriss import eyexam
    from sparsim.machines.eyeriss.weight_masks import counted
    from sparsim.report.chip_error_bars import error_bar_lines
    from sparsim.report.chip_rows import document

    tables = {"--eyexam": with_eyexam, "--explain": with_explanation}
    of_sets = {"--batch": batch, "--mapping": mapping_name}
    of_chips = {
        "--objective": objective, "--dram-gb-per-s": dram_gb_per_s, **of_sets, **tables,
        "--compare": compared,
    }  # fmt: skip
    documents = load_named(chip_name)
    if any(map(is_matrix_file, inputs)):
        _check_options("matrices", {**of_chips, "--layer": layer})
        run_products(load_hardware(chip_name), inputs, output, as_json=as_json)
        return
    workload_name = _only(inputs)
    workload, layers = _layers_of(workload_name, layer)
    if documents.machine is not None:
        _check_options(f"machine {documents.machine.name}", of_chips)
        machine = load_hardware(documents.machine)
        assert isinstance(machine, ClosedFormMachine)
        _run_machine(machine, workload, layers, output, as_json=as_json)
        return
    if compared:
        _check_options("--compare", {**of_sets, **tables})
        chips = others_of(compared, chip_name, workload_name)
        _run_comparison(chips, layer, objective, dram_gb_per_s, output, as_json=as_json)
        return
    hardware = _chip(chip_name, dram_gb_per_s)
    found_chip = hardware.chip
    given = parameters_of(mapping_name, found_chip, layers, workload.layers)
    layers = in_batches((counted(found_chip, each) for each in layers), batch)
    names = file_names(layers)
    network = _plan(hardware, layers, objective, given)
    bounds = [eyexam(found_chip, found) for found in network.layers]
    found = document(network, bounds, workload, objective or found_chip.spec.objective)  # type: ignore[arg-type]
    if as_json:
        print_json(found)
    else:
        echo(f"{workload.name} on {found_chip.name}; EDP in J x cycles, with DRAM")
        if given is not None:
            echo(mapping_line(given, layers, str(mapping_name)))
        what = "layers" if layer else "inferences" if batch is None else f"batches of {batch}"
        _print_tables(network, bounds if with_eyexam else None, with_explanation, what)
        echo(named_values(error_bar_lines(found["error_bars"])))
    if output is not None:
        folder = output
        folder.mkdir(parents=True, exist_ok=True)
        _write_tables(folder, network, bounds)
        _write_documents(folder, network, workload, names)
        write_json(folder / "chip.result.json", found)
        files = "chip.layers.csv, .eyexam.csv, .result.json, .workload.yaml and LAYER.mapping.yaml"
        echo(f"wrote {files} to {folder}", err=as_json)
        echo(_draw(folder, network, bounds, names), err=as_json)


def _only(inputs: tuple[str, ...]) -> str:
    """Return the only workload; refuse several."""
    if len(inputs) > 1:
        raise SpecError(f"there must be one workload, got {len(inputs)}: {', '.join(inputs)}")
    return inputs[0]


def _layers_of(workload_name: str, layer: str | None) -> tuple[Workload, tuple[Layer, ...]]:
    """Return a workload, and all of its layers or the one of this name."""
    from sparsim.files.sparsim_yaml import load_named, load_workload

    workload = load_workload(workload_name)
    return workload, (load_named(workload_name).layer(layer),) if layer else workload.layers


def _check_options(name: str, options: Mapping[str, object]) -> None:
    """Refuse the options that are of no use for `name`."""
    given = [option for option, value in options.items() if value not in (None, False, ())]
    if given:
        use = "workloads" if given == ["--layer"] else "chips of the Eyeriss family"
        use = "one chip" if name == "--compare" else use
        raise SpecError(f"{' and '.join(given)} is for {use}, and not for {name}")


def _run_comparison(
    chips: Sequence[tuple[str, str, str]],
    layer: str | None,
    objective: Any,
    dram_gb_per_s: float | None,
    output: Path | None,
    *,
    as_json: bool,
) -> None:
    """Plan the network on every chip, and print or write the comparison; `chips` as from `others_of`."""
    from sparsim.machines.eyeriss import assumed_tensors, uncertain_network
    from sparsim.report.chip_comparison import ComparedChip

    loaded = [
        (label, _chip(name, dram_gb_per_s), *_layers_of(workload, layer)) for label, name, workload in chips
    ]
    check_same_layers([(label, [each.name for each in layers]) for label, _, _, layers in loaded])
    found = []
    for label, hardware, workload, layers in loaded:
        wanted = objective or hardware.chip.spec.objective
        network = _plan(hardware, tuple(layers), wanted)
        costs = uncertain_network(network, assumed_tensors(workload), wanted)
        found.append(ComparedChip(label, workload.name, network, costs))
    show_comparison(found, output, as_json=as_json)


def _run_machine(
    machine: ClosedFormMachine,
    workload: Workload,
    layers: Sequence[Layer],
    output: Path | None,
    *,
    as_json: bool,
) -> None:
    """Cost layers on a machine without mappings, and print or write what is found."""
    from sparsim.report import machine_rows as rows

    machine.check_workload(workload)
    with layers_done(len(layers)) as progress:
        cost = machine.cost(layers, progress=progress)
    found = rows.machine_document(machine, workload, cost)
    if as_json:
        print_json(found)
    else:
        echo(f"{workload.name} on {machine.name}; EDP in J x cycles")
        results().print(rows.machine_layers(machine, cost))
        echo("\nenergy and area by component")
        results().print(rows.machine_components(cost))
        echo("\n" + named_values(rows.machine_summary(machine, cost)))
    if output is not None:
        output.mkdir(parents=True, exist_ok=True)
        write_csv(output / "chip.layers.csv", found["layers"])
        write_json(output / "chip.result.json", found)
        echo(f"wrote chip.layers.csv and .result.json to {output}", err=as_json)


def _print_tables(
    network: NetworkEvaluation, bounds: Bounds | None, with_explanation: bool, what: str
) -> None:
    from sparsim.report.chip_explanation import explanation

    results().print(_layers(network))
    for table in explanation(network) if with_explanation else ():
        echo("")
        results().print(table)
    echo("\nenergy and area by component, without DRAM")
    results().print(_energy(network))
    if bounds is not None:
        echo("\nlower bounds of the cycles as restrictions are added one by one (Eyexam)")
        results().print(_eyexam(network, bounds))
    echo("\n" + _totals(network, what))


def _chip(name: str, dram_gb_per_s: float | None) -> EyerissChip:
    from msgspec.structs import replace

    from sparsim.hardware import EyerissChip
    from sparsim.machines.eyeriss import load_chip

    found = load_chip(name)
    if dram_gb_per_s is not None:
        found = found._replace(spec=replace(found.spec, dram_gb_per_s=dram_gb_per_s))
    return EyerissChip(found)


def _plan(
    hardware: EyerissChip, layers: Sequence[Layer], objective: Any, given: Any = None
) -> NetworkEvaluation:
    with layers_done(len(layers)) as progress:
        try:
            return hardware.evaluate(layers, objective=objective, progress=progress, parameters=given)
        except MappingError as error:  # names the layer
            fail("sparsim", str(error), 1)


def _layers(network: NetworkEvaluation) -> Table:
    from sparsim.records.layer_counts import macs
    from sparsim.report.chip_rows import active_pes, edp, limit_of, stored_of

    rows = []
    for found in network.layers:
        number = macs(found.layer)
        rows.append((
            found.layer.name, f"{found.cycles:,}", limit_of(found), active_pes(found),
            f"{number / found.cycles:.1f}", _uj(found.chip_pj), f"{found.chip_pj / number:.3g}",
            _uj(found.dram_pj), f"{edp(found):.4g}", stored_of(found),
        ))  # fmt: skip
    both = network.chip_pj + network.dram_pj
    total = (
        "total", f"{network.cycles:,}", "", "", f"{network.macs / network.cycles:.1f}",
        _uj(network.chip_pj), f"{network.chip_pj / network.macs:.3g}", _uj(network.dram_pj),
        f"{both * 1e-12 * network.cycles:.4g}", "",
    )  # fmt: skip
    head = "layer|cycles|limit|PEs|MAC/cycle|chip uJ|chip pJ/MAC|DRAM uJ|EDP|stored"
    notes = [f"{found.layer.name}: {found.layer.note}" for found in network.layers if found.layer.note]
    return Table(head.split("|"), rows, total=total, notes=notes)


def _energy(network: NetworkEvaluation) -> Table:
    """A table of the energy by component, the largest first, with the area of each."""
    from sparsim.machines.eyeriss import chip_area

    area = chip_area(network.chip)
    rows = []
    for name in sorted({*network.energy_pj, *area}, key=lambda name: -network.energy_pj.get(name, 0.0)):
        energy, um2 = network.energy_pj.get(name, 0.0), area.get(name)
        of_area = ("-", "-") if um2 is None else (f"{um2 / 1e6:.3f}", f"{um2 / sum(area.values()):.1%}")
        rows.append((name, _uj(energy), f"{energy / network.chip_pj:.1%}", *of_area))
    return Table(("component", "uJ", "of chip", "mm2", "of mm2"), rows)


def _eyexam(network: NetworkEvaluation, bounds: Bounds) -> Table:
    rows = [
        (found.layer.name, *(f"{bound.cycles:,.0f}" for bound in steps))
        for found, steps in zip(network.layers, bounds, strict=True)
    ]
    return Table(("layer", *(bound.step for bound in bounds[0])), rows)


def _uj(energy_pj: float) -> str:
    return f"{energy_pj / 1e6:,.3f}"


def _totals(network: NetworkEvaluation, what: str) -> str:
    from sparsim.report.chip_rows import totals

    found, clock = totals(network), network.chip.spec.clock_mhz
    area = "not estimated"
    if "area_um2" in found:
        share = f", NoC {found['noc_area_share']:.1%}" if "noc_area_share" in found else ""
        area = f"{found['area_um2'] / 1e6:.3g} mm2{share}, not counting control, clock and wires"
    lines = (
        ("speed", f"{found['inferences_per_s']:,.5g} {what}/s at {clock:g} MHz"),
        ("efficiency", f"{found['inferences_per_j']:,.5g} {what}/J, {found['gops_per_w']:,.4g} GOPS/W"),
        ("power", f"{found['watts']:.3g} W without DRAM"),
        ("DRAM", f"{found['dram_bytes'] / 1e6:,.4g} MB, {found['dram_pj'] / 1e6:,.4g} uJ"),
        ("area", area),
    )
    return named_values(lines)


def _write_tables(folder: Path, network: NetworkEvaluation, bounds: Bounds) -> None:
    from sparsim.report.chip_rows import layer_row

    write_csv(folder / "chip.layers.csv", [layer_row(found) for found in network.layers])
    steps = [
        {"layer": found.layer.name, **bound._asdict()}
        for found, all_steps in zip(network.layers, bounds, strict=True)
        for bound in all_steps
    ]
    write_csv(folder / "chip.eyexam.csv", steps)


def _write_documents(
    folder: Path, network: NetworkEvaluation, workload: Workload, names: Sequence[str]
) -> None:
    """The layers as they were counted, in one shape, with average densities and 1 for tensors that are stored
    plainly, and their mappings.
    """
    from msgspec.structs import replace

    from sparsim.files.sparsim_yaml import dump
    from sparsim.machines.eyeriss.layer_cost import mean_densities

    layers = tuple(mean_densities(found.stored) for found in network.layers)
    write_text(folder / "chip.workload.yaml", dump(replace(workload, layers=layers)))
    for name, found in zip(names, network.layers, strict=True):
        write_text(folder / f"{name}.mapping.yaml", dump(found.mapping))


def _draw(folder: Path, network: NetworkEvaluation, bounds: Bounds, names: Sequence[str]) -> str:
    """Draw the figures, with routes if there is one layer only. Returns what was drawn."""
    try:
        require("matplotlib", "drawing figures", "plot")
    except MissingLibraryError as error:
        return f"no figures: {error}"
    from sparsim.machines.eyeriss.compression import ROLES
    from sparsim.report.chip_figures import draw_energy, draw_eyexam, draw_routes
    from sparsim.report.figure_style import write_figure

    figures = {"chip.eyexam.png": draw_eyexam(network, bounds), "chip.energy.png": draw_energy(network)}
    if len(names) == 1:
        for role in ROLES:
            figures[f"{names[0]}.{role}.png"] = draw_routes(network.layers[0], role)
    for name, figure in figures.items():
        write_figure(figure, folder / name)
    return f"drew {', '.join(figures)}"
