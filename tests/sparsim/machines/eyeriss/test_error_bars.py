"""Error bars: linear sensitivities against chips with changed energies, and sums in quadrature."""

from __future__ import annotations

import json
import math
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace
from support.documented_keys import documented_keys
from support.named import names
from support.programs import run_module
from support.small_chips import conv, small_chip

from sparsim import SpecError, dump
from sparsim.files.sparsim_yaml import load_workload, workload_names
from sparsim.machines.eyeriss import Chip, NetworkEvaluation, evaluate_chip, load_chip, plan_network
from sparsim.machines.eyeriss.error_bars import (
    ErrorBar,
    Sensitivity,
    Totals,
    UncertainNetwork,
    error_bar,
    parts_of,
    totals_of,
    uncertain_layers,
    uncertain_network,
)
from sparsim.machines.eyeriss.uncertainties import (
    CLASSES,
    NETWORK,
    WINDOWS,
    Uncertainty,
    assumed_tensors,
    energy_uncertainties,
)
from sparsim.records import Density, Workload
from sparsim.report.chip_error_bars import error_bars_document, shown_bar

ROOT = Path(__file__).parents[4]
SMALL = small_chip()
LAYERS = (
    replace(conv(M=8, C=6, R=3, S=3, P=4, Q=4, iacts=0.5, weights=0.4), name="conv1"),
    replace(conv(M=60, C=40, iacts=0.5, weights=0.4), name="fc"),
)
CYCLES, CHIP, DRAM = range(3)


@cache
def planned() -> NetworkEvaluation:
    return plan_network(SMALL, LAYERS)


@cache
def estimate() -> UncertainNetwork:
    return uncertain_layers(SMALL, [parts_of(found) for found in planned().layers])


def change_of(name: str) -> Sensitivity:
    return next(change for change in estimate().changes if change.uncertainty.name == name)


def evaluated(chip: Chip) -> np.ndarray:
    """Totals of the layers under the same mappings on another chip."""
    again = [evaluate_chip(chip, found.layer, found.mapping) for found in planned().layers]
    assert [found.stored for found in again] == [found.stored for found in planned().layers]
    return totals_of([parts_of(found) for found in again])


@pytest.mark.parametrize("class_name", ["sram", "regfile", "register", "mac"])
@pytest.mark.parametrize("sign", [-1, 1])
def test_linear_changes_are_those_of_other_component_energies(class_name: str, sign: int) -> None:
    name, relative, _ = CLASSES[class_name]
    components = [
        replace(each, energy_scale=1 + sign * relative)
        if (each.parts or (each,))[0].class_name == class_name
        else each
        for each in SMALL.accelerator.components
    ]
    chip = SMALL._replace(accelerator=replace(SMALL.accelerator, components=tuple(components)))
    change = change_of(name)
    wanted = estimate().layers + (change.low if sign < 0 else change.high)
    assert evaluated(chip) == pytest.approx(wanted, rel=1e-9)


def test_linear_changes_are_those_of_another_overhead_and_network() -> None:
    spec = SMALL.spec
    more = 1 + spec.overhead_uncertainty
    overhead = replace(
        spec, clock_pj_per_cycle=more * spec.clock_pj_per_cycle,
        control_pj_per_pe_cycle=more * spec.control_pj_per_pe_cycle,
    )  # fmt: skip
    wanted = estimate().layers + change_of("clock and control").high
    assert evaluated(SMALL._replace(spec=overhead)) == pytest.approx(wanted, rel=1e-9)
    wiring, more = spec.noc.wiring, 1 + NETWORK.relative
    wiring = replace(
        wiring, wire_pj_per_bit_mm=more * wiring.wire_pj_per_bit_mm,
        router_pj_per_bit=more * wiring.router_pj_per_bit,
    )  # fmt: skip
    chip = SMALL._replace(spec=replace(spec, noc=replace(spec.noc, wiring=wiring)))
    assert evaluated(chip) == pytest.approx(estimate().layers + change_of(NETWORK.name).high, rel=1e-9)


def test_every_component_is_uncertain_once() -> None:
    """All but DRAM, of which there is one source."""
    for name in ("eyeriss_v1", "eyeriss_v1_168", "eyeriss_v1_5", "eyeriss_v2"):
        chip = load_chip(name)
        found = [part for each in energy_uncertainties(chip) for part in each.components]
        assert len(found) == len(set(found))
        evaluation = plan_network(chip, LAYERS[:1])
        unused = {"address spads"} - {each.name for each in chip.accelerator.components}
        assert set(evaluation.energy_pj) - set(found) <= unused
        assert all(0 < each.relative < 1 and each.source for each in energy_uncertainties(chip))


def test_given_energies_have_no_error_bars() -> None:
    """A document with an energy table in place of components says what its energies are."""
    given = SMALL._replace(
        accelerator=replace(SMALL.accelerator, components=(), energy=SMALL.energy),
        spec=replace(SMALL.spec, overhead_uncertainty=0.0),
    )
    assert [each.name for each in energy_uncertainties(given)] == [NETWORK.name]


def test_time_is_uncertain_where_zeros_are_skipped() -> None:
    change = change_of(WINDOWS.name)
    assert change.high[:, CYCLES] == pytest.approx(WINDOWS.relative * estimate().layers[:, CYCLES])
    clock = [found.energy_pj["clock"] for found in planned().layers]
    assert change.high[:, CHIP] == pytest.approx(WINDOWS.relative * np.array(clock))
    assert not change.high[:, DRAM].any()
    _, total = change.of_network()
    assert total[CYCLES] == pytest.approx(math.hypot(*change.high[:, CYCLES]))
    dense = load_chip("eyeriss_v1_5")
    layers = [parts_of(found) for found in planned().layers]
    assert WINDOWS not in [each.uncertainty for each in uncertain_layers(dense, layers).changes]


def test_time_is_exact_where_nothing_is_compressed() -> None:
    layers = [LAYERS[0], replace(conv(M=4, C=4, P=4), name="dense")]
    found = uncertain_network(plan_network(SMALL, layers), {}, "delay")
    (change,) = [each for each in found.changes if each.uncertainty == WINDOWS]
    assert change.high[0, CYCLES] > 0
    assert not change.high[1].any()
    assert shown_bar(error_bar(lambda total: total.cycles, found.layer(1))) == "(no error bar)"
    assert shown_bar(ErrorBar(100.0, 90.0, 105.0)) == "+5.0 % -10.0 %"


def test_assumed_densities_are_halved_and_doubled() -> None:
    found = uncertain_network(planned(), {"fc": frozenset({"Inputs", "Outputs"})}, "energy")
    (change,) = [each for each in found.changes if "densities" in each.uncertainty.name]
    assert not change.low[0].any()
    assert not change.high[0].any()
    fc = planned().layers[1]
    for end, density in ((change.low, 0.25), (change.high, 1.0)):
        densities = {**fc.layer.densities, "Inputs": Density(density=density)}
        again = evaluate_chip(SMALL, replace(fc.layer, densities=densities), fc.mapping)
        wanted = totals_of([parts_of(again)])[0] - found.layers[1]
        assert end[1] == pytest.approx(wanted)
    assert (change.low[1, :2] < 0).all()


def test_mappings_that_more_nonzeros_do_not_fit_stay_as_they_are() -> None:
    """Sparse weights of twice the density are too many for a spad that they fill."""
    layer = replace(conv(M=32, C=16, weights=0.4, iacts=1.0, P=4), name="full")
    network = plan_network(SMALL, [layer])
    found = uncertain_network(network, {"full": frozenset({"Weights"})}, "energy")
    (change,) = [each for each in found.changes if "densities" in each.uncertainty.name]
    assert np.isfinite(change.high).all()
    assert (change.low[0, :2] < 0).all()


ONE = np.array([[10.0, 100.0, 50.0], [30.0, 300.0, 50.0]])


def moved(name: str, low: float, high: float, *, independent: bool = False) -> Sensitivity:
    """Changes of the energy of both layers."""
    ends = [np.array([[0.0, by, 0.0]] * 2) for by in (low, high)]
    return Sensitivity(Uncertainty(name, 0.1, "test"), ends[0], ends[1], independent)


def energy(total: Totals) -> float:
    return total.chip_pj


def test_bars_add_in_quadrature_on_each_side() -> None:
    bar = error_bar(
        energy, UncertainNetwork(ONE, [moved("a", -15, 10), moved("b", -20, 0), moved("c", 5, 7.5)])
    )
    assert bar.value == 400
    assert bar.high == pytest.approx(400 + math.hypot(20, 15))
    assert bar.low == pytest.approx(400 - math.hypot(30, 40))
    assert (bar.minus, bar.plus) == pytest.approx((50 / 400, 25 / 400))
    independent = error_bar(energy, UncertainNetwork(ONE, [moved("a", -3, 3, independent=True)]))
    assert independent.high == pytest.approx(400 + math.hypot(3, 3))


def test_common_uncertainties_of_two_networks_cancel_in_their_quotient() -> None:
    def quotient(a: Totals, b: Totals) -> float:
        return a.chip_pj / b.chip_pj

    same = Sensitivity(Uncertainty("a", 0.1, "test"), -0.1 * ONE, 0.1 * ONE)
    one, certain = UncertainNetwork(ONE, [same]), UncertainNetwork(2 * ONE, [])
    assert error_bar(quotient, one, certain).plus == pytest.approx(0.1)
    twice = same._replace(low=-0.2 * ONE, high=0.2 * ONE)
    both = error_bar(quotient, one, UncertainNetwork(2 * ONE, [twice]))
    assert (both.value, both.low, both.high) == pytest.approx((0.5, 0.5, 0.5))
    own = [UncertainNetwork(ONE, [each._replace(independent=True)]) for each in (same, same)]
    assert error_bar(quotient, *own).plus > 0.1


def test_energies_of_nothing_have_bars_of_nothing() -> None:
    bar = error_bar(lambda total: total.dram_pj, UncertainNetwork(0 * ONE, [moved("a", -1, 1)]))
    assert (bar.minus, bar.plus) == (0, 0)


def test_assumed_tensors_are_those_of_the_provenance() -> None:
    found = assumed_tensors(load_workload("alexnet"))
    assert found["conv2"] == set()
    assert found["fc6"] == {"Inputs", "Outputs"}
    assert assumed_tensors(Workload(name="net", layers=LAYERS)) == {"conv1": set(), "fc": set()}
    for name in workload_names():
        assert all(
            tensors <= {"Weights", "Inputs", "Outputs"}
            for tensors in assumed_tensors(load_workload(name)).values()
        )


def test_magnitudes_are_those_of_the_page_of_estimates() -> None:
    """Energies of a read and of a write, ours and those of hwcomponents, both at 65 nm."""
    page = (ROOT / "docs/results/estimate-results.md").read_text(encoding="utf-8")
    table = page.partition("<!-- parts -->")[2].partition("<!--")[0]
    cells = {row[1].strip(): row for row in (line.split("|") for line in table.splitlines()[3:])}

    def mean(part: str, column: int) -> float:
        return float(np.mean([float(x) for x in cells[part][column].split("/")]))

    def deviation(ours: str, theirs: str = "") -> float:
        return mean(theirs or ours, 8) / mean(ours, 6) - 1

    regfiles = [deviation(part) for part in ("iact_address", "iact_data", "weight_address")]
    regfiles.append(deviation("psum_registers", "psum"))
    assert CLASSES["regfile"][1] == pytest.approx(np.sqrt(np.mean(np.square(regfiles))), abs=0.02)
    assert deviation("weight_data") < deviation("glb_iact_24b") < CLASSES["sram"][1]
    assert mean("mac_1_ns", 6) / mean("mac", 6) - 1 == pytest.approx(0.56, abs=0.01)
    assert mean("mac_1_ns", 6) / mean("mac", 6) - 1 < CLASSES["mac"][1]


def test_the_command_prints_and_writes_error_bars(tmp_path: Path) -> None:
    path = tmp_path / "net.yaml"
    provenance = {"conv1": "Weights seen, Inputs assumed, Outputs seen"}
    path.write_text(dump(Workload(name="net", layers=LAYERS, provenance=provenance)))
    result = run_module("sparsim", "chip", "eyeriss_v2", str(path))
    assert result.returncode == 0, result.stderr
    lines = {line.split()[0]: line for line in result.stdout.splitlines() if line}
    found = json.loads(run_module("sparsim", "chip", "eyeriss_v2", str(path), "--json").stdout)
    bar = found["error_bars"]["network"]["chip_pj"]
    assert f"{100 * (bar['high'] / bar['value'] - 1):.1f} " in lines["energy"]
    assert f"{found['totals']['cycles']:,} " in lines["cycles"]
    assert bar["value"] == pytest.approx(found["totals"]["chip_pj"])
    assert set(found) == documented_keys("chip.result.json")
    layers = Workload(name="net", layers=LAYERS, provenance=provenance)
    network = plan_network(load_chip("eyeriss_v2"), LAYERS)
    expected = error_bars_document(network, layers, "delay")
    assert found["layers"][0]["error_bars"] == json.loads(json.dumps(expected["layers"]["conv1"]))
    assert [each["name"] for each in found["error_bars"]["uncertainties"]][
        -1
    ] == "assumed densities of inputs"


def test_bad_uncertainties_are_refused() -> None:
    with pytest.raises(SpecError) as error:
        replace(SMALL.spec, overhead_uncertainty=-0.1)
    assert names(error.value, "overhead_uncertainty -0.1")
