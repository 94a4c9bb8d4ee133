"""Pruning at once with calibration data and without training.

calibrated_pruning  prune_with_data: layer by layer, on the inputs that the pruned layers before it give
calibration_inputs  second moments of the inputs of a layer, of convolutions too
kept_weights        selection of weights: by magnitude, Wanda's score, or optimal brain surgeon
least_squares       the kept weights that reproduce the layer's outputs best
sparse_gpt          SparseGPT: columns left to right, errors pushed to the right
"""

from gmp.oneshot.calibrated_pruning import METHODS, prune_with_data

__all__ = ["METHODS", "prune_with_data"]
