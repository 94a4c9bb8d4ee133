"""Mask files: where a tensor's nonzeros are, for densities of distribution `actual`."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sparsim.errors import FormatError


def load_mask(path: str | Path) -> npt.NDArray[Any]:
    """The array of a .npy file, or the only array of a .npz file; nonzero entries count as nonzeros.

    Raises FormatError for files that are missing or hold anything else.
    """
    name = str(path)
    try:
        with open(path, "rb") as file:
            loaded = np.load(file, allow_pickle=False)
            if isinstance(loaded, np.lib.npyio.NpzFile):
                if len(loaded.files) != 1:
                    raise FormatError(f"holds {len(loaded.files)} arrays, exactly one is expected", path=name)
                loaded = loaded[loaded.files[0]]
    except FileNotFoundError:
        raise FormatError("no such file", path=name) from None
    except OSError as error:
        raise FormatError(f"cannot be read: {(error.strerror or str(error)).lower()}", path=name) from None
    except (ValueError, EOFError, zipfile.BadZipFile):
        raise FormatError("holds no plain .npy or .npz array", path=name) from None
    if loaded.dtype.kind not in "biuf":
        raise FormatError(f"holds {loaded.dtype} values, numbers or booleans are expected", path=name)
    array: npt.NDArray[Any] = loaded
    return array
