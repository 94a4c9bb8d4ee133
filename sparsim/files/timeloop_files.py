"""Reader of Timeloop's files of any version: templates, YAML or libconfig, and the records that they
describe.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparsim.errors import FormatError, SpecError
from sparsim.fileio.reading import read_text
from sparsim.files.accelergy.class_definitions import has_definitions
from sparsim.files.accelergy.given_numbers import GivenNumbers
from sparsim.files.documents import Documents
from sparsim.files.timeloop.read_documents import documents_from
from sparsim.files.timeloop_v4.custom_functions import CUSTOM_FUNCTIONS, find_custom_functions
from sparsim.files.timeloop_v4.tagged_yaml import parse_tagged
from sparsim.files.timeloop_v4.values import mapping_of
from sparsim.files.yaml_reading import YamlMap

# Most documents are of version 0.3 and have energies: what other ones need is imported where it is used.
if TYPE_CHECKING:
    from sparsim.estimate import Estimate
    from sparsim.files.accelergy.component_documents import Described
    from sparsim.files.timeloop_v4.custom_functions import Functions

_NOTHING = GivenNumbers()
_LONGEST_KEPT = 20_000  # most characters of a text whose contents are cached
_TEMPLATE_MARKS = ("{{", "{%", "{#")
_RENDERED = " (rendered)"  # after the name of a file whose text a template made

_Files = list[tuple[str, YamlMap]]


def read_texts(paths: Iterable[str | Path]) -> dict[str, str]:
    """Return the texts of files by their names. Raises FormatError for a file that cannot be read."""
    return {str(path): read_text(path, what="a YAML file") for path in dict.fromkeys(paths)}


def load_files(
    paths: Iterable[str | Path],
    template_data: Mapping[str, Any] | None = None,
    include: Sequence[str | Path] = (),
) -> _Files:
    """Read files and call `parse_files`."""
    return parse_files(read_texts(paths), template_data, include)


def parse_files(
    given: Mapping[str, str],
    template_data: Mapping[str, Any] | None = None,
    include: Sequence[str | Path] = (),
) -> _Files:
    """Names and contents of the files with the texts `given`, rendered where they are Jinja templates.

    `include`: folders, beside those of the files, in which templates may read files. Raises FormatError for
    texts that mean nothing, and for templates that ask for what they may not have.
    """
    names, texts = list(given), dict(given)
    shown = {name: name for name in names}
    renderer = None
    if templates := [name for name in names if any(mark in texts[name] for mark in _TEMPLATE_MARKS)]:
        from sparsim.files.timeloop_v4.jinja_rendering import (
            Templates,
        )  # this imports Jinja, which most files do not need

        renderer = Templates(names, template_data or {}, include)
        for name in templates:
            texts[name], shown[name] = renderer.render(name, texts[name]), name + _RENDERED
    files = [(shown[name], _parse(name, texts[name], shown[name])) for name in names]
    for name, (_, document) in zip(names, files, strict=True):
        if CUSTOM_FUNCTIONS not in texts[name]:
            continue
        searched = renderer.searched.get(name, ()) if renderer is not None else ()
        find_custom_functions(document, [Path(name).parent, *searched, *map(Path, include)])
    if renderer is not None and renderer.functions:
        named = mapping_of({CUSTOM_FUNCTIONS: list(dict.fromkeys(renderer.functions))})
        files.append((", ".join(templates), mapping_of({"globals": named})))
    return files


def _parse(path: str, text: str, name: str) -> YamlMap:
    if os.path.splitext(path)[1] != ".cfg":
        return _parse_yaml(text, name)
    from sparsim.files.libconfig_reading import parse_libconfig  # most files are YAML

    return parse_libconfig(text, name)


def _parse_yaml(text: str, name: str) -> YamlMap:
    """Parse YAML with a cache, because the cases of a suite repeat most of their files, and contents are not
    modified.
    """
    if len(text) > _LONGEST_KEPT or CUSTOM_FUNCTIONS in text:  # function names are replaced by paths
        return parse_tagged(text, name)
    try:
        return _kept_yaml(text)
    except FormatError:
        return parse_tagged(text, name)  # errors name this file


@lru_cache(maxsize=1024)
def _kept_yaml(text: str) -> YamlMap:
    return parse_tagged(text, "")


def documents_of(
    files: _Files,
    *,
    for_search: bool = False,
    needs_problem: bool = True,
    trust: bool = False,
    given: GivenNumbers = _NOTHING,
    has_energies: bool = False,
) -> Documents:
    """The records of files that are loaded. Raises SpecError for what is wrong or missing.

    `for_search`: also the constraints, as a mapspace, and the mapper's options, in place of the mapping.
    Without `needs_problem` an accelerator may stand alone. `trust`: run Python files that documents name.
    Where there is no ERT, the components of Accelergy's documents are estimated, after what is `given`.
    `has_energies`: whether energies are given elsewhere.
    """
    version3, warnings, functions = _version3(files, for_search, trust)
    described = None
    if not has_energies and not any("ERT" in data for _, data in version3):
        described, notes = _estimated(version3, functions, is_version4(files), given)
        warnings += notes
    documents = documents_from(
        version3, for_search=for_search, needs_problem=needs_problem,
        has_energies=has_energies or described is not None,
    )  # fmt: skip
    if version3 is files and described is None and not warnings:
        return documents
    where = ", ".join(name for name, _ in files)
    warnings += [warning for warning in documents.warnings if warning not in warnings]
    documents = replace(
        documents, where=where, warnings=tuple(dict.fromkeys(warnings)),
        components=described.components if described is not None else (),
    )  # fmt: skip
    return documents.accounted("timeloop-4") if is_version4(files) else documents


def components_of(
    files: _Files, *, trust: bool = False, given: GivenNumbers = _NOTHING
) -> tuple[Described, dict[str, Estimate]]:
    """Return every component of the architecture in loaded files, and its estimate. Raises SpecError."""
    from sparsim.files.accelergy.component_documents import describe_components, guesses

    version3, _, functions = _version3(files, for_search=True, trust=trust, with_constraints=False)
    described = describe_components(
        version3, is_version4=is_version4(files), given=given, functions=functions
    )
    estimates = _estimates(described, files)
    return described._replace(warnings=(*described.warnings, *guesses(estimates))), estimates


def _estimates(described: Described, files: _Files) -> dict[str, Estimate]:
    from sparsim.estimate import estimate_all

    try:
        return estimate_all(described.components)
    except SpecError as error:
        raise error.within(", ".join(name for name, _ in files)) from None


def _version3(
    files: _Files, for_search: bool, trust: bool, with_constraints: bool = True
) -> tuple[_Files, list[str], Functions]:
    """Return documents in the form of version 0.3, warnings, and functions for expressions."""
    if not is_version4(files):
        return files, [], {}
    from sparsim.files.timeloop_v4.version3_documents import to_version3

    return to_version3(files, for_search=for_search, trust=trust, with_constraints=with_constraints)


def _estimated(
    files: _Files, functions: Functions, of_version4: bool, given: GivenNumbers
) -> tuple[Described | None, list[str]]:
    """The components where documents are meant for Accelergy, and warnings.

    Definitions of components say that they are, and those of version 0.4 always are. Where something cannot
    be estimated the built-in energies stand in, unless numbers of users are given.
    """
    if not (has_definitions(files) or any(given) or of_version4):
        return None, []
    from sparsim.files.accelergy.component_documents import describe_components, guesses

    try:
        described = describe_components(files, is_version4=of_version4, given=given, functions=functions)
        notes = guesses(_estimates(described, files))
    except SpecError as error:
        if any(given):
            raise
        return None, [f"{error}; the components are not estimated"]
    return described, [*described.warnings, *notes]


def is_version4(files: _Files) -> bool:
    """Return whether files hold an architecture in the form of version 0.4, a list of nodes."""
    architectures = (data.get("architecture") for _, data in files)
    return any(isinstance(found, YamlMap) and "nodes" in found for found in architectures)


def read_documents(
    paths: Iterable[str | Path],
    *,
    for_search: bool = False,
    needs_problem: bool = True,
    template_data: Mapping[str, Any] | None = None,
    include: Sequence[str | Path] = (),
    trust: bool = False,
    given: GivenNumbers = _NOTHING,
) -> Documents:
    """Read files whose top-level keys together describe one evaluation or one search, in any order.

    Parameters
    ----------
    paths : iterable of str or Path
    for_search : bool
        Whether to read the constraints, as a mapspace, and the mapper's options, in place of the mapping.
    needs_problem : bool
        Whether a problem must be there. Without one only the accelerator is read.
    template_data : mapping, optional
        Values by name for Jinja templates.
    include : sequence of str or Path
        Folders, beside those of the files, in which templates may read files.
    trust : bool
        Whether to run the Python files that documents name, whose functions expressions may use.
    given : GivenNumbers, optional
        Energies and areas of components that come before our estimates.

    Raises
    ------
    FormatError
        For files that cannot be read.
    SpecError
        For contents that are wrong.
    """
    files = load_files(paths, template_data, include)
    return documents_of(files, for_search=for_search, needs_problem=needs_problem, trust=trust, given=given)
