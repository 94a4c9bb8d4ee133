"""Reader of documents of any form: presets, sparsim documents, or Timeloop's."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sparsim.errors import SpecError
from sparsim.files import sparsim_yaml
from sparsim.files.documents import Documents
from sparsim.files.timeloop_files import documents_of, parse_files, read_texts
from sparsim.files.yaml_reading import YamlMap, load_yaml

Source = str | Path | Sequence[str | Path]
_Files = list[tuple[str, YamlMap]]
_Values = Mapping[str, Any]


def read_any(source: Source, beside: Source = (), template_data: _Values | None = None) -> Documents:
    """The records of a preset by its name, or of the files of one design.

    Parameters
    ----------
    source : str, Path or sequence of them
        The name of a preset, or files.
    beside : str, Path or sequence of them, optional
        Files that are read along with Timeloop's, whose documents mean nothing alone: a key that `source` has
        too is left out.
    template_data : mapping, optional
        Values by name for Jinja templates among Timeloop's documents.

    Raises
    ------
    SpecError
        For an unknown preset, for files of both forms, and for what is wrong in them.
    """
    if is_preset(source):
        return sparsim_yaml.load_preset(str(source if isinstance(source, str) else source[0]))  # type: ignore[index]
    files, are_ours = _load(source, template_data)
    if are_ours:
        return sparsim_yaml.documents_from(files)
    others, are_ours = _load(beside, template_data)
    if others and not are_ours:
        files = [*_without(others, {key for _, data in files for key in data}), *files]
    return documents_of(files, for_search=True)


def is_timeloops(source: Source) -> bool:
    """Return whether there are files of Timeloop among presets and files."""
    paths = [source] if isinstance(source, str | Path) else list(source)
    texts = read_texts(path for path in paths if not is_preset(path))
    return not all(map(sparsim_yaml.is_marked, texts.values()))


def has_problem(source: Source, template_data: _Values | None = None) -> bool:
    """Whether files hold what Timeloop's need to be read: a problem, or are no files of Timeloop's."""
    files, are_ours = _load(source, template_data)
    return not files or are_ours or any("problem" in data for _, data in files)


def is_preset(source: Source) -> bool:
    """Return whether `source` is a single name and not a file."""
    paths = [source] if isinstance(source, str | Path) else list(source)
    return len(paths) == 1 and Path(paths[0]).suffix not in (".yaml", ".yml", ".cfg")


def load_either(
    paths: Iterable[str | Path],
    template_data: _Values | None = None,
    include: Sequence[str] = (),
    may_stand_beside: Callable[[YamlMap], bool] | None = None,
) -> tuple[_Files, bool]:
    """The contents by file, and whether they are documents of ours; those come first.

    `may_stand_beside` says which documents of ours may stand beside Timeloop's and count as theirs there.
    """
    texts = read_texts(paths)
    marked = [name for name, text in texts.items() if sparsim_yaml.is_marked(text)]
    ours = {name: data for name in marked if sparsim_yaml.is_native(data := load_yaml(name, texts[name]))}
    theirs = {name: text for name, text in texts.items() if name not in ours}
    native = [
        name for name, data in ours.items() if not (theirs and may_stand_beside and may_stand_beside(data))
    ]
    if native and theirs:
        raise SpecError(
            f"{native[0]} is a sparsim document and {next(iter(theirs))} is not; give files of one kind only"
        )
    return [*ours.items(), *parse_files(theirs, template_data, include)], bool(native)


def _load(source: Source, template_data: _Values | None) -> tuple[_Files, bool]:
    paths = [source] if isinstance(source, str | Path) else list(source)
    return load_either((path for path in paths if not is_preset(path)), template_data)


def _without(files: _Files, keys: set[str]) -> _Files:
    found: _Files = []
    for path, data in files:
        kept = YamlMap()
        kept.lines = data.lines
        kept.update({key: value for key, value in data.items() if key not in keys})
        if kept:
            found.append((path, kept))
    return found
