"""Checks of the fields that a study sets: none is set twice, and no size is set if energies do not depend on
it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sparsim.errors import SpecError
from sparsim.sweep.record_paths import Field, Holder
from sparsim.sweep.study import Study

SIZES = ("size_words", "word_bits", "block_size", "cluster_size", "metadata_width_bits", "metadata_depth")


def check_settings(
    study: Study, settings: Sequence[tuple[str, str]], fields: Mapping[str, Field], holder: Holder, where: str
) -> None:
    """Check the fields that take values, on the records of one combination of choices.

    Parameters
    ----------
    settings : sequence of (value, path)
        The axis or derived value that each path takes.
    fields : dict of str to Field
        By path.

    Raises
    ------
    SpecError
        For a field that takes two values, and for a size that is swept although the energies of its level
        stay as they are, unless the study says that they are meant to.
    """
    seen: dict[tuple[str | int, ...], tuple[str, str]] = {}
    for setting in settings:
        steps = fields[setting[1]].steps
        if steps in seen:
            raise SpecError(f"'{setting[1]}' is set by {seen[steps][0]} and by {setting[0]}", path=where)
        seen[steps] = (setting[0], setting[1])
    meant = study.constant_energies
    if meant is True or not (holder.get("energy") or holder.get("components")):
        return
    priced = {_priced(holder, field) for field in fields.values()}
    for value, path in settings:
        level = _sized_level(holder, fields[path])
        if level is None or level in priced or (meant and level in meant):
            continue
        if level in {component.name for component in holder.get("components", ())}:
            what, hint = "its component stays as it is", f"set components.{level} along with it"
        elif holder.get("energy") and level in holder["energy"].actions:
            what, hint = "its energies are constants", "give the base components in place of an energy table"
        else:
            continue
        raise SpecError(
            f"'{path}' changes the size of {level}, but {what}", path=f"{where}: axes.{value}",
            hint=f"{hint}, or say constant_energies: [{level}]",
        )  # fmt: skip


def _sized_level(holder: Holder, field: Field) -> str | None:
    """Return the level if the field is its size, or None."""
    if field.root != "architecture" or len(field.steps) < 3 or field.steps[-1] not in SIZES:
        return None
    arch = holder["architecture"]
    level = arch.compute if field.steps[1] == "compute" else arch.storage[int(field.steps[2])]
    return str(level.name)


def _priced(holder: Holder, field: Field) -> str:
    """Return the level whose energies a field changes, or ""."""
    if field.root == "components":
        return str(holder["components"][int(field.steps[1])].name)
    if field.root == "energy" and len(field.steps) > 2:
        return str(field.steps[2])
    return ""
