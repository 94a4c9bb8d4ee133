"""Timeloop's documents as libconfig files (.cfg)."""

from __future__ import annotations

import libconf
import pytest
from support.documents import DOCUMENTS

from sparsim.errors import FormatError
from sparsim.files.libconfig_reading import parse_libconfig
from sparsim.files.timeloop_files import read_documents
from sparsim.files.yaml_reading import YamlMap, parse_yaml

OLDEST = """\
# the form of the first releases
arch: {
  arithmetic: { instances = 4; word_bits = 8; meshX = 4; };
  storage = (
    { name = "Registers"; entries = 16; instances = 4; meshX = 4; word_bits = 8; },
    { name = "DRAM"; technology = "DRAM"; instances = 1; word_bits = 8; } );
};
problem: { R = 1; S = 1; P = 4; Q = 1; C = 2; K = 8; N = 1; };
mapping = (
  { target = 0; type = "datatype"; keep = [ "Weights", "Inputs", "Outputs" ]; bypass = [ ]; },
  { target = 0; type = "temporal"; factors = "R1 S1 P1 Q1 C2 K2 N1"; permutation = "CKRSPQN"; },
  { target = 1; type = "spatial"; factors = "R1 S1 P1 Q1 C1 K4 N1"; permutation = "KCRSPQN"; split = 7; },
  { target = 1; type = "temporal"; factors = "P4 R1 S1 Q1 C1 K1 N1"; permutation = "PCKRSQN"; }
);
"""


def _settings(value):
    """The same without nulls, and with what libconfig calls lists as tuples, which may hold anything."""
    if isinstance(value, dict):
        return {key: _settings(item) for key, item in value.items() if item is not None}
    return tuple(map(_settings, value)) if isinstance(value, list) else value


def test_a_cfg_file_means_what_the_same_yaml_does(tmp_path):
    yaml_files, cfg_files = [], []
    for name, text in DOCUMENTS.items():
        yaml_files.append(tmp_path / f"{name}.yaml")
        yaml_files[-1].write_text(text)
        cfg_files.append(tmp_path / f"{name}.cfg")
        cfg_files[-1].write_text(libconf.dumps(_settings(parse_yaml(text, name))))
    assert read_documents(cfg_files) == read_documents(yaml_files)
    assert read_documents([*cfg_files[:2], *yaml_files[2:]]) == read_documents(yaml_files)


def test_documents_of_the_first_releases(tmp_path):
    file = tmp_path / "old.cfg"
    file.write_text(OLDEST)
    documents = read_documents([file])
    assert [level.name for level in documents.architecture.storage] == ["DRAM", "Registers"]
    assert documents.architecture.compute.mesh == (1, 1)
    assert documents.architecture.compute.word_bits == 8
    assert documents.architecture.storage[1].mesh == (4, 1)
    assert documents.mapping.levels[0].spatial.factors["K"] == 4
    assert len(documents.warnings) == 1  # of the shape, which the problem does not name
    assert f"{file}:8" in documents.warnings[0]


def test_values_and_the_lines_of_keys():
    data = parse_libconfig('a = 1L;\nb: { c = ( 1.5, "x" "y", [ ], { d = true; } ); };\ne = 0x1FL', "f")
    assert data == {"a": 1, "b": {"c": [1.5, "xy", [], {"d": True}]}, "e": 31}
    assert type(data["a"]) is int
    assert isinstance(data["b"]["c"][3], YamlMap)
    assert (data.lines, data["b"].lines) == ({"a": 1, "b": 2, "e": 3}, {"c": 2})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a = ;",
        "a = 1; a = 2;",
        "a = { b = 1;",
        '@include "/etc/passwd"',
        "a = 010;",
        "a = " + "9" * 5000,
        "a = " + "(" * 100_000,
        "a = " + "{ a = " * 60 + "1" + "; }" * 60,
        "# long\n" * 200_000,
        "\x00",
    ],
)
def test_bad_text_ends_in_one_sentence(text):
    with pytest.raises(FormatError) as caught:
        parse_libconfig(text, "old.cfg")
    assert "old.cfg" in str(caught.value)
    assert "\n" not in str(caught.value)
