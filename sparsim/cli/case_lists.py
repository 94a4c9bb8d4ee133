"""Lists of cases for one command: a text file with a line per case, or a folder with a folder per case."""

import re
import shlex
from pathlib import Path
from typing import NamedTuple

from sparsim.check.recorded_case import documents_in
from sparsim.errors import SpecError
from sparsim.fileio.reading import read_text

TABLE = "batch.csv"  # lies beside the folders of the cases
LONGEST_NAME = 255  # bytes of a name in usual file systems
_DOCUMENTS = (".yaml", ".yml", ".cfg")
_SHELL = re.compile(r"['\"\\#]")  # characters that need the parsing rules of a shell
_HINT = "each line is 'NAME: FILE...' or the folder of a case"


class ListedCase(NamedTuple):
    """A case of a list.

    Attributes
    ----------
    name : str
        Its name, which is also the name of the folder of its results.
    files : tuple of str
        Paths of its documents.
    """

    name: str
    files: tuple[str, ...]


def listed_cases(source: Path) -> list[ListedCase]:
    """Find the cases of a list.

    Parameters
    ----------
    source : Path
        A folder in which every folder with documents, at any depth, is a case; or a text file in which each
        line is `NAME: FILE...`, quoted as in a shell, or the folder of a case. Paths are relative to the
        list. Empty lines and comments, which start with `#`, are ignored.

    Returns
    -------
    list of ListedCase
        The cases, in the order of the list or of their names.

    Raises
    ------
    SpecError
        If there is no case, if a line has another form, or if two cases have the same name.
    FormatError
        If the list cannot be read.
    """
    cases = _of_folder(source) if source.is_dir() else _of_list(source)
    if not cases:
        raise SpecError("the list has no cases", path=str(source), hint=_HINT)
    seen: set[str] = set()
    for case in cases:
        if case.name in seen:
            raise SpecError(f"two cases have the name '{case.name}'", path=str(source))
        seen.add(case.name)
    return cases


def _of_folder(root: Path) -> list[ListedCase]:
    folders = {path.parent for path in root.rglob("*") if path.suffix in _DOCUMENTS}
    return [
        _case_of(folder, root.resolve().name if folder == root else str(folder.relative_to(root)))
        for folder in sorted(folders)
    ]


def _of_list(source: Path) -> list[ListedCase]:
    lines = read_text(source, what="a list of cases").split("\n")
    cases = (_of_line(line, source.parent, f"{source}:{i}") for i, line in enumerate(lines, 1))
    return [case for case in cases if case is not None]


def _of_line(line: str, folder: Path, where: str) -> ListedCase | None:
    try:  # shlex looks at every character in Python
        words = shlex.split(line, comments=True) if _SHELL.search(line) else line.split()
    except ValueError as error:
        raise SpecError(f"the line cannot be split into words ({error})", path=where) from None
    if not words:
        return None
    if len(words) == 1 and (folder / words[0]).is_dir():
        return _case_of(folder / words[0], (folder / words[0]).resolve().name)
    name = words[0].removesuffix(":")
    if name == words[0] or len(words) == 1:
        raise SpecError(f"'{line.strip()}' is not a case", path=where, hint=_HINT)
    too_long = len(name.encode()) > LONGEST_NAME
    if name in ("", ".", "..", TABLE) or not {"/", "\\", "\0"}.isdisjoint(name) or too_long:
        raise SpecError(f"'{name}' cannot be the name of a folder of results", path=where)
    return ListedCase(name, tuple(str(folder / word) for word in words[1:]))


def _case_of(folder: Path, name: str) -> ListedCase:
    return ListedCase(name, tuple(str(path) for path in documents_in(folder)))
