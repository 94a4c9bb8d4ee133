"""The errors a user can meet, each one lower-case sentence: what, where, seen, allowed, what to try.

SparsimError
  SpecError            a document or record is wrong
    EnergyTableError   no energy for (component, action)
    FormatError        a file could not be read as what it claims to be
  MappingError         a mapping does not fit the layer or the accelerator
  EmptyMapspaceError   constraints leave no mapping
  MissingLibraryError  a library that only a part of the package needs is not installed
"""

from __future__ import annotations

import difflib
import importlib
import warnings
from collections.abc import Iterable
from types import ModuleType

LONGEST_NAME = 200  # of those for which a near match is looked for
MOST_NAMES = 1000  # that are looked at for one


class SparsimError(Exception):
    """Base of everything that this package raises on purpose; `hint` says what to try."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(f"{message} ({hint})" if hint else message)


class SparsimWarning(UserWarning):
    """Base of what this package warns of, a sentence like those of the errors."""


class CacheWarning(SparsimWarning):
    """Something that is kept on disk to save time could not be used; only time is lost."""


class EnergyWarning(SparsimWarning):
    """Energies or areas that were given are not used, or others stand in for those that were not."""


class SpecError(SparsimError, ValueError):
    """A document is wrong.

    `path` says where (`arch.yaml: architecture.subtree[0].local[1].attributes`), `hint` what to try.
    """

    def __init__(self, message: str, *, path: str = "", hint: str = "") -> None:
        self.message, self.path, self.hint = message, path, hint
        super().__init__(f"{path}: {message}" if path else message, hint=hint)

    def within(self, place: str) -> SpecError:
        """The same error with `place`, say a file, in front of its path."""
        path = f"{place}: {self.path}" if self.path else place
        return type(self)(self.message, path=path, hint=self.hint)


class EnergyTableError(SpecError):
    """An action that happens has no energy in the table."""


class FormatError(SpecError):
    """A file could not be read: missing, empty, binary, not YAML, or cut off."""


class MappingError(SparsimError, ValueError):
    """A mapping is invalid: factors, fan-out, capacity, formats.

    `level` names the level, `need` and `have` are in the unit that the message names.
    """

    def __init__(
        self, message: str, *, level: str = "", need: float | None = None, have: float | None = None
    ) -> None:
        self.level, self.need, self.have = level, need, have
        super().__init__(message)


class EmptyMapspaceError(SparsimError, ValueError):
    """Constraints leave nothing to search; `constraint` is the one that removes most candidates."""

    def __init__(self, message: str, *, constraint: str = "") -> None:
        self.constraint = constraint
        super().__init__(message)


class MissingLibraryError(SparsimError, ImportError):
    """A library that only a part of the package needs is not installed."""


def require(library: str, purpose: str, extra: str) -> ModuleType:
    """The module of a library that only `purpose` needs; `extra` is the name under which pip installs it.

    Raises MissingLibraryError if it is not installed.
    """
    try:
        return importlib.import_module(library)
    except ImportError as error:
        raise MissingLibraryError(
            f"{purpose} needs {library}, which is not installed", hint=f"pip install 'sparsim[{extra}]'"
        ) from error


def warn_of_energies(messages: Iterable[str], stacklevel: int = 3) -> None:
    """An `EnergyWarning` for each; `stacklevel` 3: in the name of whoever called the caller."""
    for message in messages:
        warnings.warn(message, EnergyWarning, stacklevel=stacklevel)


def near(name: str, known: Iterable[str]) -> str:
    """A hint for a misspelt `name`: the closest known spelling, or all of them if they are few."""
    name, known = str(name), [str(k) for k in known]
    several = len(name) <= LONGEST_NAME and len(known) <= MOST_NAMES  # a comparison takes microseconds
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6) if several else []
    if close:
        return f"did you mean '{close[0]}'?"
    if 0 < len(known) <= 12:
        return "known: " + ", ".join(known)
    return ""
