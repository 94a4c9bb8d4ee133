"""The command `sparsim show`: presets and documents as text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from sparsim.cli.json_output import json_option, print_json
from sparsim.report.console import echo

if TYPE_CHECKING:
    from sparsim.files.documents import Documents

KINDS = (
    "architecture", "policy", "energy", "mapspace", "mapping", "workload", "chip", "machine",
    "row_stationary",
)  # fmt: skip


@click.command()
@click.argument("what", required=False, metavar="[PRESET|FILE]")
@json_option
def show(what: str | None, as_json: bool) -> None:
    """List the presets, or show one, or a sparsim document.

    It is an accelerator, a chip, another machine or a network.
    """
    from sparsim.files.sparsim_yaml import load_preset, preset_names, workload_names

    if what is None:
        rows = [_row(name, load_preset(name)) for name in (*preset_names(), *workload_names())]
        if as_json:
            print_json(rows)
            return
        widths = [max(len(row[key]) for row in rows) for key in ("name", "kind")]
        for row in rows:
            echo(f"{row['name']:<{widths[0]}} {row['kind']:<{widths[1]}} {row['source']}".rstrip())
    else:
        from sparsim.files.sparsim_yaml import load_named
        from sparsim.report.describe import describe

        found = load_named(what)
        if as_json:
            print_json(_plain(found))
        else:
            echo(describe(what, found))


def _row(name: str, found: Documents) -> dict[str, str]:
    """A preset's line in the list."""
    record = found.architecture or found.machine or found.workload
    kind = (
        "network"
        if found.workload
        else "machine"
        if found.machine
        else "chip"
        if found.chip
        else "accelerator"
    )
    return {"name": name, "kind": kind, "source": record.source if record else ""}


def _plain(found: Documents) -> dict[str, Any]:
    """Return the records of the documents as plain data, by kind."""
    records = {kind: getattr(found, kind) for kind in KINDS}
    plain: dict[str, Any] = {kind: record.to_dict() for kind, record in records.items() if record is not None}
    if found.components:
        plain["components"] = [component.to_dict() for component in found.components]
    if found.layers and found.workload is None:
        plain["layers"] = [layer.to_dict() for layer in found.layers]
    return plain
