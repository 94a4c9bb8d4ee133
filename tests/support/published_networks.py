"""Layers of published networks, derived from the tables of their papers: (name, bounds, stride) in order."""

from __future__ import annotations

from collections.abc import Iterator

NamedShape = tuple[str, dict[str, int], int]
CLASSES = 1000


def conv(name: str, out: int, channels: int, window: int, points: int, stride: int = 1) -> NamedShape:
    bounds = {"G": 1, "N": 1, "M": out, "C": channels, "R": window, "S": window, "P": points, "Q": points}
    return name, bounds, stride


def depthwise(name: str, channels: int, points: int, stride: int) -> NamedShape:
    return name, conv(name, 1, 1, 3, points)[1] | {"G": channels}, stride


def googlenet() -> Iterator[NamedShape]:
    """Szegedy et al. 2015, table 1: 1x1, 3x3 reduce, 3x3, 5x5 reduce, 5x5, pool projection."""
    modules = {
        28: {"3a": (64, 96, 128, 16, 32, 32), "3b": (128, 128, 192, 32, 96, 64)},
        14: {
            "4a": (192, 96, 208, 16, 48, 64), "4b": (160, 112, 224, 24, 64, 64),
            "4c": (128, 128, 256, 24, 64, 64), "4d": (112, 144, 288, 32, 64, 64),
            "4e": (256, 160, 320, 32, 128, 128),
        },
        7: {"5a": (256, 160, 320, 32, 128, 128), "5b": (384, 192, 384, 48, 128, 128)},
    }  # fmt: skip
    yield conv("conv1", 64, 3, 7, 112, 2)
    yield conv("conv2_reduce", 64, 64, 1, 56)
    yield conv("conv2", 192, 64, 3, 56)
    channels = 192
    for points, rows in modules.items():
        for name, (one, reduce3, three, reduce5, five, pooled) in rows.items():
            yield conv(f"{name}_1x1", one, channels, 1, points)
            yield conv(f"{name}_3x3_reduce", reduce3, channels, 1, points)
            yield conv(f"{name}_3x3", three, reduce3, 3, points)
            yield conv(f"{name}_5x5_reduce", reduce5, channels, 1, points)
            yield conv(f"{name}_5x5", five, reduce5, 5, points)
            yield conv(f"{name}_pool_proj", pooled, channels, 1, points)
            channels = one + three + five + pooled
    yield conv("fc", CLASSES, channels, 1, 1)


def squeezenet() -> Iterator[NamedShape]:
    """Iandola et al. 2016, table 1: squeeze and expand channels of each fire module of version 1.0."""
    fires = {
        55: {"fire2": (16, 64), "fire3": (16, 64), "fire4": (32, 128)},
        27: {"fire5": (32, 128), "fire6": (48, 192), "fire7": (48, 192), "fire8": (64, 256)},
        13: {"fire9": (64, 256)},
    }
    yield conv("conv1", 96, 3, 7, 111, 2)
    channels = 96
    for points, rows in fires.items():
        for name, (squeeze, expand) in rows.items():
            yield conv(f"{name}_squeeze", squeeze, channels, 1, points)
            yield conv(f"{name}_expand1x1", expand, squeeze, 1, points)
            yield conv(f"{name}_expand3x3", expand, squeeze, 3, points)
            channels = 2 * expand
    yield conv("conv10", CLASSES, channels, 1, 13)


def resnet50() -> Iterator[NamedShape]:
    """He et al. 2016, table 1, with the stride in the 3x3 convolution of a block, as torchvision has it."""
    yield conv("conv1", 64, 3, 7, 112, 2)
    channels, before = 64, 56
    for stage, (blocks, width, points) in enumerate(
        ((3, 64, 56), (4, 128, 28), (6, 256, 14), (3, 512, 7)), start=2
    ):
        for block in range(1, blocks + 1):
            name, stride = f"conv{stage}_{block}", before // points
            yield conv(f"{name}_1x1a", width, channels, 1, before)
            yield conv(f"{name}_3x3", width, width, 3, points, stride)
            yield conv(f"{name}_1x1b", 4 * width, width, 1, points)
            if block == 1:
                yield conv(f"{name}_shortcut", 4 * width, channels, 1, points, stride)
            channels, before = 4 * width, points
    yield conv("fc", CLASSES, channels, 1, 1)


def mobilenet_v1() -> Iterator[NamedShape]:
    """Howard et al. 2017, table 1: output channels and stride of each separable convolution."""
    rows = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *((512, 1),) * 5, (1024, 2), (1024, 1))
    channels, points = 32, 112
    yield conv("conv", channels, 3, 3, points, 2)
    for i, (out, stride) in enumerate(rows, start=1):
        points //= stride
        yield depthwise(f"dw{i}", channels, points, stride)
        yield conv(f"pw{i}", out, channels, 1, points)
        channels = out
    yield conv("fc", CLASSES, channels, 1, 1)


def mobilenet_v2() -> Iterator[NamedShape]:
    """Sandler et al. 2018, table 2: expansion t, channels c, repeats n and stride s of each bottleneck."""
    rows = (
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    )
    channels, points, number = 32, 112, 0
    yield conv("conv1", channels, 3, 3, points, 2)
    for t, c, n, s in rows:
        for repeat in range(n):
            number, wide, stride = number + 1, t * channels, s if repeat == 0 else 1
            if t > 1:
                yield conv(f"block{number}_expand", wide, channels, 1, points)
            points //= stride
            yield depthwise(f"block{number}_dw", wide, points, stride)
            yield conv(f"block{number}_project", c, wide, 1, points)
            channels = c
    yield conv("conv2", 1280, channels, 1, points)
    yield conv("fc", CLASSES, 1280, 1, 1)


NETWORKS = {
    "googlenet": googlenet, "mobilenet_v1_100_224": mobilenet_v1, "mobilenet_v2_100_224": mobilenet_v2,
    "resnet50": resnet50, "squeezenet_v1_0": squeezenet,
}  # fmt: skip
