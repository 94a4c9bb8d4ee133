"""Reader and writer of studies in YAML."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sparsim.errors import FormatError, SpecError, near
from sparsim.files.record_conversion import convert_at
from sparsim.files.yaml_reading import YamlMap, load_yaml
from sparsim.sweep.study import METRICS, SHORT_NAMES, Study

_KEY = "sweep"
_STUDIES = Path(__file__).parent / "studies"


def load_study(path: str | Path) -> Study:
    """Load a study that comes with the package, or that of a YAML file.

    Parameters
    ----------
    path : str or Path
        Name of a study, or path of a file that ends in .yaml or .yml. Names of files in it are relative to
        its folder.

    Returns
    -------
    Study

    Raises
    ------
    SpecError
        If a name or field is unknown, or if a value has the wrong type; the message names the line.
    FormatError
        If the file cannot be read or is no study.

    Examples
    --------
    >>> from sparsim.sweep import load_study
    >>> list(load_study("eyeriss_v2").objectives)
    ['energy_pj', 'cycles', 'area_mm2']
    """
    if Path(path).suffix not in (".yaml", ".yml"):
        if str(path) not in study_names():
            raise SpecError(f"unknown study '{path}'", hint=near(str(path), study_names()))
        path = _STUDIES / f"{path}.yaml"
    data = load_yaml(path)
    if _KEY not in data:
        raise FormatError(
            f"there is no '{_KEY}' at the top level, so this is not a study of a sweep", path=str(path)
        )
    for key in data:
        if key not in (_KEY, "sparsim"):
            raise SpecError(f"unknown key '{key}'", path=str(path), hint=f"a study has '{_KEY}'")
    content = data[_KEY]
    if not isinstance(content, YamlMap):
        raise SpecError(f"'{_KEY}' must be a mapping", path=str(path))
    _in_full(content)
    study = convert_at(content, Study, str(path), data, _KEY)
    return relative_to(study, Path(path).parent)


def study_names() -> tuple[str, ...]:
    """Return the names of the studies that come with the package."""
    return tuple(sorted(p.stem for p in _STUDIES.glob("*.yaml") if "sweep:" in p.read_text(encoding="utf-8")))


def study_of(content: Mapping[str, Any], name: str = "study") -> Study:
    """Make a study from plain data of the same form as in a file.

    Parameters
    ----------
    content : mapping of str to object
        The fields of the study, with the short forms of files.
    name : str, default "study"
        What messages call the data.

    Returns
    -------
    Study

    Raises
    ------
    SpecError
        If a name or field is unknown, or if a value has the wrong type.

    Examples
    --------
    >>> from sparsim.sweep import study_of
    >>> study = study_of({
    ...     "base": "eyeriss_like_onchip",
    ...     "workload": "alexnet_sparse",
    ...     "axes": {"architecture.storage.shared_glb.size_words": [16384, 32768]},
    ...     "objectives": ["energy", "cycles"],
    ... })
    >>> study.objectives
    {'energy_pj': 'min', 'cycles': 'min'}
    """
    data = YamlMap()
    data[_KEY] = content = dict(content)
    _in_full(content)
    return convert_at(content, Study, name, data, _KEY)


def _in_full(content: dict[str, Any]) -> None:
    """Expand the short forms: lists of values, networks by name, objectives as a list."""
    if isinstance(axes := content.get("axes"), dict):
        for name, axis in axes.items():
            if isinstance(axis, list | tuple):
                axes[name] = axis = {"values": axis}
            if isinstance(axis, dict) and "path" not in axis and "." in name and "choices" not in axis:
                axis["path"] = name
    networks = content.get("workloads", content.pop("workload", None))
    if isinstance(networks, str):
        networks = [networks]
    if isinstance(networks, list | tuple):
        networks = {Path(str(name)).stem: str(name) for name in networks}
    if isinstance(networks, dict):
        content["workloads"] = {
            name: {"source": given} if isinstance(given, str) else given for name, given in networks.items()
        }
    _objectives(content)


def _objectives(content: dict[str, Any]) -> None:
    given = content.get("objectives", ["energy", "cycles", "area"])
    if isinstance(given, str):
        given = [given]
    if isinstance(given, list | tuple):
        for name in given:
            if given.count(name) > 1:
                raise SpecError(f"objective '{name}' appears twice", path=_KEY)
        given = {name: METRICS.get(SHORT_NAMES.get(name, name), "max") for name in map(str, given)}
    if isinstance(given, dict):
        content["objectives"] = {SHORT_NAMES.get(name, name): way for name, way in given.items()}


def relative_to(study: Study, folder: Path) -> Study:
    """Return the study with file names relative to `folder`."""
    from msgspec.structs import replace

    def placed(source: Any) -> Any:
        if isinstance(source, tuple | list):
            return tuple(map(placed, source))
        named = isinstance(source, str) and Path(source).suffix in (".yaml", ".yml")
        return str(folder / source) if named else source

    axes = {
        name: replace(axis, choices={choice: placed(files) for choice, files in axis.choices.items()})
        if axis.choices is not None
        else axis
        for name, axis in study.axes.items()
    }
    networks = {
        name: replace(network, source=placed(network.source)) for name, network in study.workloads.items()
    }
    mappings = study.search.mappings
    if isinstance(mappings, dict):
        mappings = {layer: placed(file) for layer, file in mappings.items()}
    return replace(
        study, base=placed(study.base), axes=axes, workloads=networks,
        search=replace(study.search, mappings=mappings),
    )  # fmt: skip


def study_text(study: Study) -> str:
    """Return a study as YAML, from which `load_study` makes an equal study independent of the file's
    location.
    """
    import yaml

    placed = relative_to(study, Path.cwd())
    text: str = yaml.safe_dump({_KEY: placed.to_dict()}, sort_keys=False, allow_unicode=True, width=110)
    return text
