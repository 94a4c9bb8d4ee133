"""Writer of the output files of Timeloop's programs, under the names that scripts expect."""

from pathlib import Path

from sparsim.errors import SpecError
from sparsim.estimate.accelerator_energy import energy_table
from sparsim.fileio.writing import write_text
from sparsim.files.timeloop.map_stats_xml import map_stats_xml
from sparsim.files.timeloop.map_writer import map_text, map_yaml
from sparsim.files.timeloop.stats_dialect import stats_text
from sparsim.files.timeloop.write_documents import energy_texts
from sparsim.model.result import Evaluation
from sparsim.records import Accelerator, Layer
from sparsim.records.accounting import OF_TIMELOOP_4


def write_output_files(
    folder: Path,
    prefix: str,
    evaluation: Evaluation,
    accelerator: Accelerator,
    layer: Layer,
    dialect: str | None = None,
) -> list[Path]:
    """Write PREFIX.stats.txt, .map.txt, .map.yaml, .map+stats.xml, and energies and areas if there are any.

    `dialect`: whose texts, those of Timeloop 3.0.3 ("3") or 4.x ("4"), by default those of the accounting.
    Raises SpecError for padded and imperfect dims, which Timeloop's files cannot say.
    """
    for cover in evaluation.covers:
        raise SpecError(
            f"dim '{cover.dim}' is {cover.policy}, but Timeloop's files have only perfect factors"
        )
    if dialect is None:
        dialect = "4" if evaluation.accounting in OF_TIMELOOP_4 else "3"
    texts = {
        "stats.txt": stats_text(evaluation, dialect),
        "map.txt": map_text(evaluation, layer, dialect),
        "map.yaml": map_yaml(evaluation, layer),
        "map+stats.xml": map_stats_xml(evaluation, layer),
    }
    energy = energy_table(accelerator)
    if energy is not None:
        tables = energy_texts(energy, accelerator.architecture, dialect)
        texts |= {f"{key}.yaml": text for key, text in tables.items()}
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, text in texts.items():
        paths.append(folder / f"{prefix}.{name}")
        write_text(paths[-1], text)
    return paths
