"""The classifiers that can be trained, by preset."""

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from pointnet.errors import ConfigError
from pointnet.model import PointNet2
from pointnet.network_config import PRESETS, Config, check
from pointnet.sparse.sparse_classifier import SPARSE_PRESETS, SparseClassifier, SparseConfig
from sparsim.errors import near

AnyConfig = Config | SparseConfig
Classifier = PointNet2 | SparseClassifier

ALL_PRESETS: Mapping[str, AnyConfig] = {**PRESETS, **SPARSE_PRESETS}


def classifier_config(name: str, **changes: Any) -> AnyConfig:
    """The preset of a classifier with some fields changed; a field that its kind lacks is left out.

    Raises ConfigError if there is no preset of this name, or if the network cannot be built.
    """
    if name not in ALL_PRESETS:
        raise ConfigError(f"unknown network preset '{name}'", hint=near(name, ALL_PRESETS))
    config = ALL_PRESETS[name]
    known = {field.name for field in fields(config)}
    found: AnyConfig = replace(config, **{key: value for key, value in changes.items() if key in known})
    if isinstance(found, Config):
        check(found)
    return found


def classifier(config: AnyConfig) -> Classifier:
    """Return the network of a configuration."""
    return PointNet2(config) if isinstance(config, Config) else SparseClassifier(config)
