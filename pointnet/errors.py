"""The errors of `pointnet`; every message is one lower-case sentence.

SparsimError
  PointnetError
    DataError         a file or folder of clouds
    CheckpointError   a stored run that does not fit
    ConfigError       a network or a training that cannot be
"""

from sparsim.errors import SparsimError


class PointnetError(SparsimError, ValueError):
    """Base of the errors of this package."""


class DataError(PointnetError):
    """A data set could not be read, or not be used."""


class CheckpointError(PointnetError):
    """A checkpoint is missing, spoiled, or of another run."""


class ConfigError(PointnetError):
    """A setting is not possible."""
