"""The one decorator of all kernels: compiled once, kept on disk, no fast-math, never raising."""

from numba import njit

kernel = njit(cache=True, nogil=True, error_model="numpy")
