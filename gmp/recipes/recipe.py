"""Training recipes in sparseml's format: what is set, pruned and frozen at which epoch.

    num_epochs: 15.0
    pruning_end: eval(num_epochs * 2 / 3)
    modifiers:
      - !EpochRangeModifier
        start_epoch: 0.0
        end_epoch: eval(num_epochs)

Top-level values are variables; `eval(...)` computes with them, `eval(name)` stands for a value of any kind.
Modifiers are listed under keys with "modifiers" in their name. gmp.recipes.modifiers has their fields.
"""

import dataclasses
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from numbers import Integral, Real
from pathlib import Path
from typing import Any, NamedTuple

from torch import nn
from torch.optim import Optimizer

from gmp.errors import PruningWarning, RecipeError
from gmp.recipes.modifier_fields import TO_THE_END, NotAllowedError
from gmp.recipes.modifiers import MODIFIERS, RATE_FUNCTIONS, Modifier, SetLearningRateModifier
from gmp.recipes.recipe_arithmetic import Number, evaluate
from gmp.recipes.recipe_yaml import Located, Tagged, read_recipe
from gmp.recipes.running_recipe import RunningRecipe
from sparsim.errors import near
from sparsim.fileio.reading import reading
from sparsim.report.tables import Table

_EVAL = re.compile(r"eval\((.*)\)", re.DOTALL)
_MAX_CHAIN = 50  # variables that depend on one another
_MAX_VALUES = 100_000  # most values of a list or mapping, those repeated by `eval(name)` included
_NAME = re.compile(r"\s*([A-Za-z_]\w*)\s*")
_UNSUPPORTED = (
    "ACDCPruningModifier",
    "LayerPruningModifier",
    "MFACPruningModifier",
    "MovementPruningModifier",
    "OBSPruningModifier",
    "RigLPruningModifier",
    "StructuredPruningModifier",
    "TopKASTPruningModifier",
)
"""These choose other weights to prune than the modifiers that are supported."""
_NOT_RUN = (
    "DistillationModifier",
    "GradualParamModifier",
    "LegacyQuantizationModifier",
    "PerLayerDistillationModifier",
    "QuantizationModifier",
    "SetParamModifier",
)
"""These leave the choice of pruned weights alone: the rest of a recipe is followed without them."""


@dataclass(frozen=True)
class Recipe:
    """Training recipe with all variables filled in, as `load_recipe` reads it.

    Parameters
    ----------
    path : str
        File that it was read from, for messages.
    modifiers : tuple of Modifier
        Modifiers in the order of the file.
    not_run : tuple of str, default ()
        Names and lines of modifiers that do not prune, and are left out.
    """

    path: str
    modifiers: tuple[Modifier, ...]
    not_run: tuple[str, ...] = ()

    @property
    def epochs(self) -> float:
        """Length of the training in epochs: the last epoch that a modifier names."""
        return max(max(modifier.start_epoch, modifier.end_epoch) for modifier in self.modifiers)

    def describe(self) -> Table:
        """Return a table of what happens when.

        Returns
        -------
        Table
            Table to be printed with ``rich.print(recipe.describe())``.
        """
        rows = []
        for modifier in sorted(self.modifiers, key=lambda m: m.start_epoch):
            start, end = f"{modifier.start_epoch:g}", f"{modifier.end_epoch:g}"
            span = f"from {start}" if modifier.end_epoch == TO_THE_END else f"{start} to {end}"
            rows.append((span, modifier.name, modifier.summary()))
        notes = [f"{self.path}: {self.epochs:g} epochs", *([_left_out(self)] if self.not_run else [])]
        return Table(("epochs", "modifier", "effect"), rows, text=(0, 1, 2), notes=notes)

    def attach(self, model: nn.Module, optimizer: Optimizer, *, steps_per_epoch: int) -> RunningRecipe:
        """Start to follow the recipe.

        Parameters
        ----------
        model : nn.Module
            Model to train and prune.
        optimizer : Optimizer
            Its optimizer.
        steps_per_epoch : int
            Optimizer steps of an epoch.

        Returns
        -------
        RunningRecipe
            Object whose `step` is called after each step of the optimizer.

        Raises
        ------
        RecipeError
            If the recipe names parameters or parameter groups that do not exist, or if `steps_per_epoch` is
            not a positive integer.
        PruningError
            If `optimizer` is not a `torch.optim.Optimizer`.
        """
        return RunningRecipe(
            self.modifiers, model, optimizer, epochs=self.epochs, steps_per_epoch=steps_per_epoch
        )


def load_recipe(path: str | Path, overrides: Mapping[str, float] | None = None) -> Recipe:
    """Read a recipe from a YAML file, or from the front matter of a Markdown file.

    Parameters
    ----------
    path : str or Path
        The file.
    overrides : mapping of str to float, optional
        Values that replace those of variables of the recipe, by name.

    Returns
    -------
    Recipe
        The recipe with all variables filled in.

    Raises
    ------
    RecipeError
        If a key, variable or modifier is unknown or invalid, if modifiers contradict one another, or if one
        uses another method of pruning. The message begins with file and line.

    Warns
    -----
    PruningWarning
        If the recipe has modifiers that are not run, such as quantization and distillation.
    """
    with reading(path, "a recipe", RecipeError):
        recipe = _recipe(str(path), read_recipe(path), overrides)
    if recipe.not_run:
        warnings.warn(_left_out(recipe), PruningWarning, stacklevel=2)
    return recipe


def _recipe(path: str, entries: Mapping[str, Located], overrides: Mapping[str, float] | None) -> Recipe:
    lists = {key: entry for key, entry in entries.items() if "modifiers" in key}
    variables = _Variables(path, {key: e for key, e in entries.items() if key not in lists}, overrides)
    items = [item for entry in lists.values() for item in _tagged(entry, variables)]
    if not items:
        raise RecipeError(f"{path}: has no modifiers; list them under a key with 'modifiers' in its name")
    modifiers = [_modifier(item, variables) for item in items if item.tag not in _NOT_RUN]
    not_run = tuple(f"{item.tag} (line {item.line})" for item in items if item.tag in _NOT_RUN)
    if not modifiers:
        raise RecipeError(f"{path}: none of the modifiers is supported: {', '.join(not_run)}")
    _check_rates(modifiers)
    return _with_ends(Recipe(path, tuple(modifiers), not_run))


def _left_out(recipe: Recipe) -> str:
    return f"{recipe.path}: these modifiers do not prune and are ignored: {', '.join(recipe.not_run)}"


class _Sized(NamedTuple):
    """A value, and the number of values that it contains."""

    value: Any
    size: int = 1


class _Variables:
    """The values of top-level keys; every `eval(...)` is computed once, when it is first asked for."""

    def __init__(
        self, name: str, entries: Mapping[str, Located], overrides: Mapping[str, float] | None
    ) -> None:
        self.name, self.entries = name, dict(entries)
        self._values: dict[str, _Sized] = {}
        for key, entry in entries.items():
            self._check(key, entry)
        for key, value in (overrides or {}).items():
            if key not in entries:
                raise RecipeError(
                    f"{name}: unknown variable '{key}' cannot be overridden", hint=near(key, entries)
                )
            self.entries[key] = Located(_plain(value), entries[key].line)
        for key, entry in self.entries.items():
            self._value(key, entry.line, ())

    def place(self, line: int) -> str:
        return f"{self.name}:{line}"

    def resolved(self, value: Any, line: int) -> Any:
        """Return `value` with every `eval(...)` inside computed."""
        return self._resolved(value, line, ()).value

    def _resolved(self, value: Any, line: int, chain: tuple[str, ...]) -> _Sized:
        """Resolve a value; `chain` lists the variables that led to it."""
        if isinstance(value, list | dict):
            parts = value.values() if isinstance(value, dict) else value
            found = [self._resolved(item, line, chain) for item in parts]
            size = 1 + sum(part.size for part in found)
            if size > _MAX_VALUES:
                raise RecipeError(f"{self.place(line)}: eval(...) stands for more than {_MAX_VALUES} values")
            values = [part.value for part in found]
            return _Sized(dict(zip(value, values, strict=True)) if isinstance(value, dict) else values, size)
        if not isinstance(value, str) or not (match := _EVAL.fullmatch(value.strip())):
            return _Sized(value)
        if name := _NAME.fullmatch(match[1]):
            return self._value(name[1], line, chain)
        try:
            return _Sized(evaluate(match[1], lambda name: self._number(name, line, chain)))
        except RecipeError as error:
            message = str(error)
            placed = message.startswith(self.name + ":")
            raise RecipeError(message if placed else f"{self.place(line)}: {message}") from None

    def _value(self, name: str, line: int, chain: tuple[str, ...]) -> _Sized:
        if name in self._values:
            return self._values[name]
        if name not in self.entries:
            text = f"{self.place(line)}: unknown variable '{name}'"
            raise RecipeError(text, hint=near(name, self.entries))
        if name in chain:
            circle = " -> ".join((*chain[chain.index(name) :], name))
            raise RecipeError(f"{self.place(line)}: variable '{name}' depends on itself: {circle}")
        if len(chain) >= _MAX_CHAIN:
            raise RecipeError(
                f"{self.place(line)}: variable '{chain[0]}' depends on more than {_MAX_CHAIN} others in a row"
            )
        entry = self.entries[name]
        found = self._values[name] = self._resolved(entry.value, entry.line, (*chain, name))
        return found

    def _number(self, name: str, line: int, chain: tuple[str, ...]) -> Number:
        value = self._value(name, line, chain).value
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise RecipeError(f"{self.place(line)}: variable '{name}' must be a number, got {value!r}")
        return value

    def _check(self, key: str, entry: Located) -> None:
        """Refuse a variable that is a modifier, or a stage with modifiers inside."""
        if isinstance(entry.value, dict) and any("modifiers" in str(inner) for inner in entry.value):
            raise RecipeError(
                f"{self.place(entry.line)}: '{key}' is a stage with modifiers of its own, and stages are not "
                "supported; list the modifiers at the top level"
            )
        values = entry.value if isinstance(entry.value, list) else [entry.value]
        if any(isinstance(value, Tagged) for value in values):
            raise RecipeError(
                f"{self.place(entry.line)}: '{key}' holds modifiers; list them under a key with 'modifiers' "
                "in its name"
            )


def _plain(value: object) -> object:
    """Return NumPy's numbers as Python's, and other values unchanged."""
    if isinstance(value, bool) or not isinstance(value, Real):
        return value
    return int(value) if isinstance(value, Integral) else float(value)


def _tagged(entry: Located, variables: _Variables) -> list[Tagged]:
    if not isinstance(entry.value, list) or not all(isinstance(item, Tagged) for item in entry.value):
        raise RecipeError(
            f"{variables.place(entry.line)}: modifiers must be a list with items such as '- !Name'"
        )
    return entry.value


def _modifier(item: Tagged, variables: _Variables) -> Modifier:
    place = variables.place(item.line)
    if item.tag in _UNSUPPORTED:
        raise RecipeError(f"{place}: !{item.tag} is not supported; choose one of {', '.join(MODIFIERS)}")
    if item.tag not in MODIFIERS:
        raise RecipeError(f"{place}: unknown modifier !{item.tag}", hint=near(item.tag, MODIFIERS))
    kind = MODIFIERS[item.tag]
    known = {field.name: field for field in dataclasses.fields(kind) if field.name != "place"}
    values = {}
    for key, (value, line) in item.fields.items():
        if key in kind.ignored:
            continue
        if key not in known:
            text = f"{variables.place(line)}: {item.tag} has no field '{key}'"
            raise RecipeError(text, hint=near(key, known))
        value = variables.resolved(value, line)
        try:
            values[key] = known[key].metadata["check"](value)
        except NotAllowedError as allowed:
            raise RecipeError(
                f"{variables.place(line)}: {key} of {item.tag} must be {allowed}, got {value!r}"
            ) from None
    for key, field in known.items():
        if key not in values and field.default is dataclasses.MISSING:
            raise RecipeError(f"{place}: {item.tag} has no '{key}'")
    modifier = kind(place=place, **values)
    if problem := modifier.problem():
        raise RecipeError(f"{place}: {item.tag}: {problem}")
    return modifier


def _with_ends(recipe: Recipe) -> Recipe:
    """Return the recipe with numbers for the ends that a schedule needs."""
    modifiers = []
    for modifier in recipe.modifiers:
        if modifier.needs_end and modifier.end_epoch == TO_THE_END:
            if recipe.epochs <= modifier.start_epoch:
                raise RecipeError(
                    f"{modifier.place}: {modifier.name} ends with the recipe, but no modifier says when "
                    "that is"
                )
            modifier = dataclasses.replace(modifier, end_epoch=recipe.epochs)
        modifiers.append(modifier)
    return dataclasses.replace(recipe, modifiers=tuple(modifiers))


def _check_rates(modifiers: list[Modifier]) -> None:
    """Refuse two modifiers that set the learning rate of the same parameter group at the same time."""
    rates: list[Any] = [m for m in modifiers if isinstance(m, (SetLearningRateModifier, *RATE_FUNCTIONS))]
    for first, second in combinations(sorted(rates, key=lambda m: m.start_epoch), 2):
        shared = not first.param_groups or not second.param_groups
        if not shared and not set(first.param_groups) & set(second.param_groups):
            continue
        same_kind = type(first) is type(second)
        together = first.start_epoch == second.start_epoch and same_kind
        endless = isinstance(first, RATE_FUNCTIONS) and first.end_epoch == TO_THE_END
        inside = first.start_epoch < second.start_epoch and (endless or second.start_epoch < first.end_epoch)
        if together or inside:
            raise RecipeError(
                f"{second.place}: {second.name} starts at epoch {second.start_epoch:g}, while {first.name} "
                f"({first.place}) sets the learning rate"
            )
