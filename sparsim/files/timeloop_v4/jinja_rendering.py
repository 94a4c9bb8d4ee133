"""Templates of version 0.4 documents, with the helpers that Timeloop's front end gives them.

A template sees the data of the caller and the helpers below, and reads files in the folders of the files that
the command names, in folders that the caller allows, and below.
"""

import os
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import jinja2
from jinja2.sandbox import SecurityError

from sparsim.errors import FormatError
from sparsim.fileio.reading import read_text
from sparsim.files.timeloop_v4.bounded_operations import TooLargeError, checked
from sparsim.files.timeloop_v4.custom_functions import find_custom_functions
from sparsim.files.timeloop_v4.jinja_sandbox import SandboxedTemplates
from sparsim.files.timeloop_v4.tagged_yaml import flow_text, parse_tagged, part_of

_MAX_FILES = 500  # most files that templates include
_MAX_DEPTH = 20  # deepest inclusion
_OUTSIDE = "lies outside of the folders of the files that are read (--include DIR allows another folder)"


class Templates:
    """Renders the documents of one set.

    Parameters
    ----------
    paths : list of str
        The files of the set; what is in their folders and below may be included.
    data : mapping
        Values by name that templates see.
    include : sequence of str
        Further folders in which files are searched and may be included.
    """

    def __init__(self, paths: list[str], data: Mapping[str, Any], include: Sequence[str | Path] = ()) -> None:
        self.include = [Path(folder) for folder in include]
        self.roots = [*(Path(path).resolve().parent for path in paths), *(f.resolve() for f in self.include)]
        self.data = dict(data)
        self.searched: dict[str, list[Path]] = {}  # the folders that each document adds
        self.functions: list[str] = []  # the Python files that included documents name
        self.files = 0
        self.environment = SandboxedTemplates()

    def render(self, path: str | Path, text: str) -> str:
        """The document that the template `text`, of the file `path`, describes. Raises FormatError."""
        return self.render_part(Path(path), text, self.searched.setdefault(str(path), []), 0)

    def render_part(self, path: Path, text: str, folders: list[Path], depth: int) -> str:
        """Render a file that a template includes, `depth` deep, with its search folders."""
        if depth > _MAX_DEPTH:
            raise FormatError(f"templates include each other more than {_MAX_DEPTH} deep", path=str(path))
        helpers = _Helpers(self, path, folders if depth == 0 else list(folders), depth)
        try:
            return self.environment.from_string(text, globals=helpers.functions()).render(self.data)
        except FormatError:
            raise
        except jinja2.TemplateSyntaxError as error:
            raise FormatError(
                f"is not a Jinja template: {error.message}", path=f"{path}:{error.lineno}"
            ) from None
        except (TooLargeError, SecurityError) as error:
            raise FormatError(f"the Jinja template is refused: {error}", path=str(path)) from None
        except jinja2.UndefinedError as error:
            hint = "give values for templates with --set NAME=VALUE"
            raise FormatError(f"Jinja: {error.message}", path=str(path), hint=hint) from None
        except (RecursionError, MemoryError):
            raise FormatError("the Jinja template is nested too deep", path=str(path)) from None
        except Exception as error:  # mistakes in templates can raise any exception
            reason = (str(error).splitlines() or [""])[0][:200]
            raise FormatError(f"the Jinja template fails: {reason}", path=str(path)) from None

    def read(self, path: Path) -> str:
        """The text of a file that a template includes."""
        self.files += 1
        if self.files > _MAX_FILES:
            raise TooLargeError(f"more than {_MAX_FILES} files are included")
        if not path.is_file():  # opening a pipe would wait for a writer
            raise FormatError("is not a file", path=str(path))
        text = read_text(path, what="a YAML file")
        self.environment.output.take(len(text))
        return text

    def allowed(self, path: Path) -> bool:
        """Return whether `path`, with links resolved, is in a folder of the files that the command names."""
        real = path.resolve()
        return any(real == root or root in real.parents for root in self.roots)


class _Helpers:
    """The functions that a template of the file `path` may call."""

    def __init__(self, templates: Templates, path: Path, folders: list[Path], depth: int) -> None:
        self.templates, self.path, self.folders, self.depth = templates, path, folders, depth

    def functions(self) -> dict[str, Any]:
        return {
            "cwd": lambda: str(self.path.resolve().parent),
            "add_to_path": self.add_to_path,
            "include": self.include,
            "include_all": self.include_all,
            "include_text": self.include_text,
            "find_path": lambda name: str(self.find(name)),
            "path_exists": lambda name: bool(self.matches(name)),
            "setenv": lambda name, value: "",  # documents must not depend on the environment
            "range": lambda *bounds: checked(range(*bounds)),
        }

    def add_to_path(self, folder: str) -> str:
        if len(self.folders) >= _MAX_FILES:
            raise TooLargeError(f"more than {_MAX_FILES} folders are searched")
        self.folders.append(self.path.parent / str(folder))
        return ""

    def matches(self, pattern: str) -> list[Path]:
        """The files of the first folder that has any. Raises SecurityError if they may not be read."""
        pattern = str(pattern)
        for folder in [self.path.parent, *self.folders, *self.templates.include]:
            self.templates.environment.steps.take(10)
            if any(sign in pattern for sign in "*?["):
                found = self._listed(folder / pattern)
            else:
                found = [folder / pattern] if (folder / pattern).exists() else []
            for path in found:
                if not self.templates.allowed(path):
                    raise SecurityError(f"'{pattern}' {_OUTSIDE}")
            if found:
                return found
        return []

    def _listed(self, pattern: Path) -> list[Path]:
        """The files that a pattern names; wildcards stand in the last part only."""
        if any(sign in str(pattern.parent) for sign in "*?["):
            raise SecurityError(f"'{pattern}' has wildcards in the name of a folder")
        if not pattern.parent.is_dir():
            return []
        if not self.templates.allowed(pattern.parent):
            raise SecurityError(f"'{pattern}' {_OUTSIDE}")
        listed = (path for path in pattern.parent.iterdir() if fnmatchcase(path.name, pattern.name))
        names = sorted(path for path in listed if path.is_file())
        if len(names) > _MAX_FILES:
            raise TooLargeError(
                f"'{pattern}' stands for {len(names)} files, at most {_MAX_FILES} are allowed"
            )
        return names

    def find(self, name: str) -> Path:
        found = self.matches(name)
        if not found:
            raise FormatError(f"there is no file '{name}' to include", path=str(self.path))
        if len(found) > 1:
            raise FormatError(
                f"'{name}' must stand for one file, but stands for {len(found)}", path=str(self.path)
            )
        return found[0]

    def include_text(self, name: str) -> str:
        return self._rendered(self.find(name))

    def include(self, name: str, place: str = "") -> str:
        path = self.find(name)
        return self._part(path, place)

    def include_all(self, pattern: str, place: str = "") -> str:
        return "[" + ", ".join(self._part(path, place) for path in self.matches(pattern)) + "]"

    def _rendered(self, path: Path) -> str:
        return self.templates.render_part(path, self.templates.read(path), self.folders, self.depth + 1)

    def _part(self, path: Path, place: str) -> str:
        name = os.fspath(path)
        document = parse_tagged(self._rendered(path), name)
        folders = [path.parent, *self.folders, *self.templates.include]
        self.templates.functions += find_custom_functions(document, folders)
        return flow_text(part_of(document, str(place), name))
