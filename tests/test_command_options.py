"""One convention for the options of all commands, which docs/reference/command-line.md states."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from gmp.commands import cli as gmp_cli
from pointnet.cli import cli as pointnet_cli
from pointnet.original.reproduce import main as original_command
from sparsim.cli.main import cli as sparsim_cli
from validation.__main__ import main as validation_command

PROGRAMS: dict[str, click.Command] = {
    "sparsim": sparsim_cli,
    "python -m gmp": gmp_cli,
    "python -m pointnet": pointnet_cli,
    "python -m pointnet.original": original_command,
    "python -m validation": validation_command,
}
WITHOUT_JSON = {  # they write files and print no results
    "sparsim convert", "sparsim sweep plot", "sparsim sweep export", "sparsim sweep report",
    "python -m pointnet pack",
}  # fmt: skip
DIFFERENT = {  # names with two meanings, and how many there are
    "--output": 2,  # a folder, or a file
    "--batch": 3,  # of a workload, of a training, or of cases
    "--inputs": 2,  # a file of samples, or clouds against noise
    "--samples": 2,  # in a batch of an example, or clouds to trace
    "--sparsity": 2,  # reached gradually in training, or at once
    "--scope": 2,  # in training also a pool of weights
    "--method": 5,  # of a search of mappings or channels, of choosing sparsities, of pruning, or to compare
    "--saved": 2,  # by sparsities, which are also written then, or by channels
    "--delayed": 2,  # a network with it, or a trace of one without
}
PAGE = Path(__file__).parents[1] / "docs/reference/command-line.md"


def commands(name: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    if isinstance(command, click.Group):
        for inner, found in command.commands.items():
            yield from commands(f"{name} {inner}", found)
    else:
        yield name, command


COMMANDS = dict(found for program in PROGRAMS.items() for found in commands(*program))
OPTIONS = [
    (name, option)
    for name, command in COMMANDS.items()
    for option in command.params
    if isinstance(option, click.Option)
]


def long_name(option: click.Option) -> str:
    return max(option.opts, key=len)


def default_of(option: click.Option) -> object:
    return option.to_info_dict()["default"]


@pytest.mark.parametrize("name", sorted({long_name(option) for _, option in OPTIONS}))
def test_an_option_is_the_same_everywhere(name: str) -> None:
    found = [option for _, option in OPTIONS if long_name(option) == name]
    assert len({option.help for option in found}) == DIFFERENT.get(name, 1)
    for help_text in {option.help for option in found}:
        same = [option for option in found if option.help == help_text]
        assert len({tuple(option.opts) for option in same}) == 1
        assert len({option.is_flag for option in same}) == 1
        assert len({option.multiple for option in same}) == 1


def test_options_are_complete() -> None:
    for command, option in OPTIONS:
        where = f"{command} {long_name(option)}"
        assert long_name(option).startswith("--"), where
        assert option.help, where
        assert option.help.endswith("."), where
        assert "default" not in option.help, where  # which click shows by itself
        is_text = isinstance(option.type, click.types.StringParamType | click.Path)
        assert not is_text or option.metavar, where
        assert option.metavar not in ("FOLDER", "PATH", "DIRECTORY"), where
        if not option.is_flag and default_of(option) not in (None, "", ()):
            assert option.show_default, where


@pytest.mark.parametrize(
    ("name", "default"), [("--seed", 0), ("--device", "cpu"), ("--lr", 2e-3), ("--json", False)]
)
def test_a_default_is_the_same_everywhere(name: str, default: object) -> None:
    found = [option for _, option in OPTIONS if long_name(option) == name]
    assert found
    assert {default_of(option) for option in found} <= {default, None}


def test_commands_with_results_print_them_as_json() -> None:
    flags = {name for name, option in OPTIONS if long_name(option) == "--json"}
    assert set(COMMANDS) - flags == WITHOUT_JSON


def test_files_are_written_where_output_says() -> None:
    for name, option in OPTIONS:
        if "-o" in option.opts:
            assert option.opts == ["-o", "--output"], name
            assert isinstance(option.type, click.Path)
            assert option.metavar == ("FILE" if option.type.file_okay else "DIR"), name


def test_the_reference_says_how_commands_end() -> None:
    text = PAGE.read_text(encoding="utf-8")
    table = text.partition("## Exit codes")[2].partition("\n## ")[0]
    assert re.findall(r"^\| (\d+) \|", table, re.MULTILINE) == ["0", "1", "2", "130"]
    for name, command in COMMANDS.items():
        if "exit code is" in (command.help or "") or "Exits with" in (command.help or ""):
            assert f"`{name}`" in table, name
    shown = re.findall(r":prog_name: (.+)", text)
    assert shown == [*PROGRAMS]
