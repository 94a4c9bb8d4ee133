"""The command `python -m gmp share`: a network with shared weights, their size, and a workload."""

from __future__ import annotations

from pathlib import Path

import click

from gmp.trace_network_command import checked_inputs, load_network, shape_of
from sparsim.cli.common_options import batch_option, folder_option, input_option, seed_option
from sparsim.cli.json_output import json_option, print_json
from sparsim.fileio.json_and_csv import write_json
from sparsim.report.console import echo, results


@click.command()
@click.argument("source", metavar="MODULE:FUNCTION")
@folder_option(required=True)
@click.option(
    "--entries", type=int, default=16, show_default=True,
    help="Distinct values of each layer, zero included where there are zeros.",
)  # fmt: skip
@click.option(
    "--index-bits", type=int, default=4, show_default=True,
    help="Bits of the number of zeros before a stored weight.",
)  # fmt: skip
@click.option("--sparsity", type=float, help="Prune at once to this fraction of zeros.")
@click.option(
    "--ignore", multiple=True, metavar="NAME", help="Layer to leave dense; 're:...' matches several."
)
@input_option("SHAPE")
@batch_option(1)
@seed_option
@json_option
def share(
    source: str, output: Path, entries: int, index_bits: int, sparsity: float | None,
    ignore: tuple[str, ...], shapes: tuple[str, ...], batch: int, seed: int, as_json: bool,
) -> None:  # fmt: skip
    """Cluster the weights of every layer, report their size, and write a workload with masks for sparsim.

    Writes DIR/sizes.csv and sizes.json, network.pt (the state_dict with shared values), workload.yaml with
    masks in DIR/masks, trace.csv and trace.json. Weights are not trained; gmp.WeightSharing does that.

    FUNCTION is as for python -m gmp trace.
    """
    import torch

    import gmp
    from gmp.example_batches import batches_of
    from gmp.tracing.trace import trace
    from gmp.tracing.traced_workload import workload_of, write_masks, write_workload

    torch.manual_seed(seed)
    model, example = load_network(source, [shape_of(text) for text in shapes])
    if sparsity is not None:
        gmp.one_shot(model, sparsity, ignore=ignore)
    sharing = gmp.WeightSharing(model, ignore=ignore, entries=entries)
    report = sharing.report(index_bits)
    sharing.finalize()
    with checked_inputs(shapes):
        traced = trace(model, batches_of(model, example), mask_samples=batch)
    facts: dict[str, str | int | float | bool] = {
        "samples": traced.samples, "seed": seed, "codebook_entries": entries, "index_bits": index_bits,
    }  # fmt: skip
    name = type(model).__name__
    workload = workload_of(traced, name=name, batch=batch, source=source, provenance=facts, masks="masks")
    output.mkdir(parents=True, exist_ok=True)
    write_masks(traced, output / "masks", batch)
    write_workload(traced, workload, output)
    torch.save(model.state_dict(), output / "network.pt")
    report.to_csv(output / "sizes.csv")
    sizes = [row.cells() for row in (*report.rows, report.total)]
    write_json(output / "sizes.json", sizes)
    if as_json:
        print_json(sizes)
    else:
        results().print(report.table())
    echo(f"wrote workload.yaml, masks, network.pt, sizes.csv and sizes.json to {output}", err=as_json)
