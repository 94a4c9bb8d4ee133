"""Names of the devices that networks run on: cpu, cuda, cuda:N or mps."""

import re

import torch

from pointnet.errors import ConfigError

NAME = re.compile(r"cpu|cuda(:\d{1,4})?|mps")


def check_name(name: str) -> None:
    """Raise ConfigError for a name that is no kind of device."""
    if not NAME.fullmatch(name):
        raise ConfigError(f"unknown device '{name}'; choose one of cpu, cuda, cuda:N and mps")


def device_called(name: str) -> torch.device:
    """Return the device. Raises ConfigError if this machine, or this build of torch, has none of that
    name.
    """
    check_name(name)
    kind, _, number = name.partition(":")
    if kind == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if int(number or 0) >= count:
            raise ConfigError(f"there is no device '{name}'; torch sees {count} CUDA devices here")
    if kind == "mps" and not torch.backends.mps.is_available():
        raise ConfigError("there is no device 'mps'; torch sees no Metal device here")
    return torch.device(name)


def device_of(model: torch.nn.Module) -> torch.device:
    """Return the device of the parameters of a model, or the CPU for a model without parameters."""
    return next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
