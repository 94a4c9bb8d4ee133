"""The command `sparsim show`: presets and documents as text."""

import click

from sparsim.report.console import echo


@click.command()
@click.argument("what", required=False, metavar="[PRESET|FILE]")
def show(what: str | None) -> None:
    """List the presets, or show one, or a document of ours: an accelerator, a workload."""
    from sparsim.files.sparsim_yaml import load_preset, preset_names, workload_names

    if what is None:
        names = (*preset_names(), *workload_names())
        for name in names:
            loaded = load_preset(name)
            record = loaded.architecture or loaded.workload
            echo(f"{name:<{max(map(len, names))}} {record.source if record else ''}".rstrip())
    else:
        from sparsim.files.sparsim_yaml import load_named
        from sparsim.report.describe import describe

        echo(describe(what, load_named(what)))
