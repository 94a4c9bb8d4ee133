"""Energy per action and area of hardware components from their attributes, each with its source.

`estimate(component)` estimates one component, and `estimate_table(components)` makes the table that the model
uses. Numbers come from public tables and a sweep of CACTI 7 (`data/`); docs/how-to/estimate.md is the guide.
"""

from sparsim.estimate.estimate_components import estimate, estimate_all, estimate_table
from sparsim.estimate.estimator import Area, Energy, Estimate, Estimator
from sparsim.estimate.estimator_registry import register
from sparsim.estimate.technology_scaling import scale_area, scale_energy
from sparsim.records.component import Component

__all__ = [
    "Area", "Component", "Energy", "Estimate", "Estimator", "estimate", "estimate_all", "estimate_table",
    "register", "scale_area", "scale_energy",
]  # fmt: skip
