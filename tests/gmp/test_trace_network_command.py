"""`python -m gmp trace module:function`."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from support.named import naming

from gmp.commands import cli
from gmp.errors import TraceError
from sparsim.files.sparsim_yaml import load_documents

MODULE = """
import torch
from torch import nn

class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(8, 4)

    def forward(self, x, y):
        return self.a(x + y)

def pair():
    return Two(), (torch.randn(2, 8), torch.randn(2, 8))

lstm = nn.LSTM(8, 6, batch_first=True)
number = 5

def with_argument(x):
    return lstm, x
"""


@pytest.fixture(autouse=True)
def module(tmp_path, monkeypatch):
    (tmp_path / "cli_networks.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)


def trace(*args):
    return CliRunner().invoke(cli, ["trace", *args, "-o", "out"], catch_exceptions=False)


@pytest.mark.parametrize(
    "args", [["cli_networks:pair"], ["cli_networks:Two", "--input", "2x8", "--input", "2,8"]]
)
def test_a_function_or_a_class_and_shapes(args, tmp_path):
    result = trace(*args, "--batch", "3", "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout) == json.loads((tmp_path / "out" / "trace.json").read_text())
    (layer,) = load_documents([tmp_path / "out" / "workload.yaml"]).layers
    assert (layer.name, layer.bounds["N"], layer.bounds["C"], layer.bounds["M"]) == ("a", 3, 8, 4)
    assert json.loads((tmp_path / "out" / "trace.json").read_text())["macs"] == 32
    assert (tmp_path / "out" / "trace.csv").exists()


def test_a_model_and_a_shape(tmp_path):
    assert trace("cli_networks:lstm", "--input", "2x5x8").exit_code == 0
    layers = load_documents([tmp_path / "out" / "workload.yaml"]).layers
    assert [layer.name for layer in layers] == ["weight_ih_l0", "weight_hh_l0"]


@pytest.mark.filterwarnings("ignore")  # of torch, about its own use
def test_an_exported_program(tmp_path):
    program = torch.export.export(torch.nn.Linear(8, 4), (torch.ones(2, 8),))
    torch.export.save(program, tmp_path / "net.pt2")
    for args in ((), ("--input", "2x8")):
        assert trace("net.pt2", *args).exit_code == 0
        workload = load_documents([tmp_path / "out" / "workload.yaml"]).workload
        assert workload.name == "net"
        assert (workload.layers[0].bounds["C"], workload.layers[0].bounds["M"]) == (8, 4)
        assert json.loads((tmp_path / "out" / "trace.json").read_text())["samples"] == 2


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["none.pt2"], "none.pt2"),
        (["cli_networks"], "MODULE:FUNCTION"),
        (["cli_network:pair"], "Python cli_network"),
        (["cli_networks:pear"], "pair"),
        (["cli_networks:lstm"], "--input"),
        (["cli_networks:number"], "cli_networks:number int"),
        (["cli_networks:pair", "--input", "2x8"], "--input"),
        (["cli_networks:lstm", "--input", "2xx8"], "2xx8"),
        (["cli_networks:lstm", "--input", "2x5x9"], "2x5x9"),
        (["cli_networks.py:lstm"], "'cli_networks.py' cli_networks"),
        (["cli_networks:with_argument"], "cli_networks:with_argument arguments"),
    ],
)
def test_mistakes(args, message):
    with pytest.raises(TraceError, match=naming(message)):
        trace(*args)


def test_masks_are_written_where_the_workload_names_them(tmp_path):
    result = trace("cli_networks:pair", "--batch", "2", "--masks", "out/zeros")
    assert result.exit_code == 0
    (layer,) = load_documents([tmp_path / "out/workload.yaml"]).layers
    assert layer.density("Weights").mask == str(tmp_path / "out/zeros/a.weights.npy")
    assert np.load(layer.density("Inputs").mask).shape == (2, 1, 8, 1, 1)


@pytest.mark.parametrize("seed", ["-1", "99999999999999999999"])
def test_seeds_out_of_range_are_refused(seed):
    result = trace("cli_networks:pair", "--seed", seed)
    assert result.exit_code == 2
    assert "--seed" in result.output
