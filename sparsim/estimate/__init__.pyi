# The public names and where they live: read by sparsim/estimate/__init__.py and by type checkers.

from .estimate_components import Component as Component, estimate as estimate, estimate_all as estimate_all
from .estimate_components import estimate_table as estimate_table
from .estimator import Area as Area, Energy as Energy
from .estimator import Estimate as Estimate, Estimator as Estimator
from .estimator_registry import register as register
from .technology_scaling import scale_area as scale_area, scale_energy as scale_energy
