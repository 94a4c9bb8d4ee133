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

LONGEST_NAME = 200  # longer names get no near match
MOST_NAMES = 1000  # known names that are compared for a near match


class SparsimError(Exception):
    """Base of all errors that this package raises on purpose.

    Parameters
    ----------
    message : str
        One lower-case sentence that says what is wrong, where, what was seen and what is allowed.
    hint : str, default ""
        What to try; it is put in parentheses behind the message.
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(f"{message} ({hint})" if hint else message)


class SparsimWarning(UserWarning):
    """Base of all warnings of this package, sentences like those of the errors."""


class CacheWarning(SparsimWarning):
    """A file that is kept on disk to save time could not be used. Only time is lost."""


class EnergyWarning(SparsimWarning):
    """Given energies or areas are not used, or others stand in for those that are missing."""


class SpecError(SparsimError, ValueError):
    """A document or record is wrong.

    Parameters
    ----------
    message : str
        What is wrong.
    path : str, default ""
        Where it is wrong, such as `arch.yaml: architecture.subtree[0].local[1].attributes`.
    hint : str, default ""
        What to try.

    Attributes
    ----------
    message, path, hint : str
        The parts of the error's text.
    """

    def __init__(self, message: str, *, path: str = "", hint: str = "") -> None:
        self.message, self.path, self.hint = message, path, hint
        super().__init__(f"{path}: {message}" if path else message, hint=hint)

    def within(self, place: str) -> SpecError:
        """Return the same error with a place, such as a file, in front of its path.

        Parameters
        ----------
        place : str
            What is put in front.

        Returns
        -------
        SpecError
            A new error of the same class.
        """
        path = f"{place}: {self.path}" if self.path else place
        return type(self)(self.message, path=path, hint=self.hint)


class EnergyTableError(SpecError):
    """The energy table lacks an action that happens."""


class FormatError(SpecError):
    """A file could not be read: missing, empty, binary, not YAML, or cut off."""


class MappingError(SparsimError, ValueError):
    """A mapping is invalid, because of its factors, fan-out, capacity or formats.

    Parameters
    ----------
    message : str
        What is wrong; it names the unit of `need` and `have`.
    level : str, default ""
        The level that the mapping does not fit.
    need : float, optional
        How much the mapping needs.
    have : float, optional
        How much the level has.

    Attributes
    ----------
    level : str
        The level that the mapping does not fit.
    need, have : float, optional
        How much the mapping needs, and how much the level has.
    """

    def __init__(
        self, message: str, *, level: str = "", need: float | None = None, have: float | None = None
    ) -> None:
        self.level, self.need, self.have = level, need, have
        super().__init__(message)


class EmptyMapspaceError(SparsimError, ValueError):
    """The constraints of a mapspace leave nothing to search.

    Parameters
    ----------
    message : str
        What is wrong.
    constraint : str, default ""
        The constraint that removes most candidates.

    Attributes
    ----------
    constraint : str
        The constraint that removes most candidates.
    """

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
    """Issue an `EnergyWarning` for each sentence. With `stacklevel` 3 it is attributed to the caller's
    caller.
    """
    for message in messages:
        warnings.warn(message, EnergyWarning, stacklevel=stacklevel)


def near(name: str, known: Iterable[str]) -> str:
    """A hint for a misspelt `name`: the closest known spelling, or all of them if there are few."""
    name, known = str(name), [str(k) for k in known]
    several = len(name) <= LONGEST_NAME and len(known) <= MOST_NAMES  # a comparison takes microseconds
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6) if several else []
    if close:
        return f"did you mean '{close[0]}'?"
    if 0 < len(known) <= 12:
        return "choose one of " + ", ".join(known)
    return ""
