"""Recorded cases: input documents with Timeloop's answer beside them."""

from pathlib import Path
from typing import NamedTuple

from sparsim.errors import FormatError
from sparsim.fileio.reading import read_text, reading
from sparsim.files.timeloop.stats_reader import Stats, parse_stats
from sparsim.records import Layer

STATS = "stats.txt"  # how the names of recorded reports end
REJECT = "reject.txt"  # exists if Timeloop rejects the mapping
_SECOND_COPY = "parsed-processed-input.yaml"  # copy of all inputs that Timeloop's front end writes
_NOT_READ = ("_summary.yaml", "flattened_architecture.yaml")  # files of Accelergy
_WRITTEN = (".ERT.yaml", ".ART.yaml", ".map.yaml")
LARGEST_EXACT_TENSOR = 104_729


class Case(NamedTuple):
    """A recorded run of Timeloop.

    Attributes
    ----------
    name : str
        Name of the case.
    folder : Path
        The folder with the input documents.
    answer : Path
        The stats text of the reference, or the file that says that it rejected the mapping.
    """

    name: str
    folder: Path
    answer: Path

    @property
    def rejected(self) -> bool:
        """Whether the reference rejected the mapping."""
        return self.answer.name == REJECT

    @property
    def documents(self) -> list[Path]:
        """Paths of the input documents."""
        return documents_in(self.folder)

    def stats(self) -> Stats:
        """Read the stats text of the reference.

        Returns
        -------
        Stats

        Raises
        ------
        FormatError
            If the answer is no stats text.
        """
        with reading(self.answer, "a stats text"):
            text = read_text(self.answer, what="a stats text")
            try:
                return parse_stats(text)
            except FormatError as error:
                raise error.within(str(self.answer)) from None


def is_answer(path: Path) -> bool:
    """Return whether a file is a recorded report with documents beside it.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    bool
    """
    return (path.name.endswith(STATS) or path.name == REJECT) and bool(documents_in(path.parent))


def recorded_cases(root: Path) -> list[Case]:
    """Find recorded reports.

    Parameters
    ----------
    root : Path
        A folder that is searched with everything below it, or one report.

    Returns
    -------
    list of Case
        The cases in the order of their names.
    """
    found = [path for path in ([root] if root.is_file() else root.rglob("*.txt")) if is_answer(path)]
    return [recorded_case(path, root) for path in sorted(found)]


def recorded_case(answer: Path, root: Path) -> Case:
    """Make a case of a recorded report.

    Parameters
    ----------
    answer : Path
        The report.
    root : Path
        The folder that was searched. The case is called by its folder below it, and also by the report where
        several lie in one folder.

    Returns
    -------
    Case
    """
    folder = answer.parent.name if answer.parent == root or answer == root else ""
    name = folder or str(answer.parent.relative_to(root))
    others = [path for path in answer.parent.glob("*.txt") if is_answer(path)]
    return Case(name if len(others) == 1 else f"{name}/{answer.name}", answer.parent, answer)


def documents_in(folder: Path) -> list[Path]:
    """Find the input documents of a folder.

    Parameters
    ----------
    folder : Path
        The folder.

    Returns
    -------
    list of Path
        The documents. The copy of all inputs that Timeloop's front end writes is among them only where there
        are no others.
    """
    files = sorted(path for path in folder.iterdir() if path.suffix in (".yaml", ".yml", ".cfg"))
    found = [path for path in files if not path.name.endswith(_NOT_READ)]
    inputs = [path for path in found if path.name != _SECOND_COPY and not path.name.endswith(_WRITTEN)]
    return [path for path in found if path.name != _SECOND_COPY] if inputs else found


def inexact_tensors(layer: Layer, of_2022: bool = False) -> list[str]:
    """Return the dataspaces whose probabilities the reference itself computes inexactly.

    Parameters
    ----------
    layer : Layer
        The layer of the case.
    of_2022 : bool, default False
        Whether a release of 2022 wrote the report.

    Returns
    -------
    list of str
        Names of the dataspaces.

    Notes
    -----
    The hypergeometric function of 3.0.3 works with factored factorials up to the 10,000th prime, 104,729. For
    larger tensors it switches to an approximation with an error of about 1e-14 (model 8.3). That of the
    releases of 2022 was an approximation for tensors of any size.
    """
    exact_points = 0 if of_2022 else LARGEST_EXACT_TENSOR
    coefficients = layer.shape.coefficients | layer.coefficients
    names = []
    for dataspace in layer.shape.dataspaces:
        points = 1
        for side in dataspace.terms():
            points *= 1 + sum((coefficients[c] if c else 1) * (layer.bounds[dim] - 1) for dim, c in side)
        if layer.density(dataspace.name).distribution == "hypergeometric" and points > exact_points:
            names.append(dataspace.name)
    return names
