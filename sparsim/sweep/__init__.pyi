# The public names and where they live: read by sparsim/sweep/__init__.py and by type checkers.

from .design_space import DesignSpace as DesignSpace
from .design_space_loading import load_design_space as load_design_space
from .pareto import non_dominated as non_dominated
from .point_evaluation import PointEvaluator as PointEvaluator
from .results import SweepResult as SweepResult
from .run_options import Progress as Progress
from .run_sweep import merge as merge, run as run
from .study import Axis as Axis, Network as Network, Sampler as Sampler, Search as Search, Study as Study
from .study_files import load_study as load_study, study_of as study_of
from .sweep_row import Point as Point, Row as Row
