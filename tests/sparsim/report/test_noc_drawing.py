"""The drawing shows every loaded link in the colour of its load, and says the mode."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.collections import LineCollection
from support.noc_patterns import loops
from support.published_nocs import eyeriss_v1_noc, eyeriss_v2_noc

from sparsim.machines.eyeriss.noc import Noc, deliver, groups
from sparsim.report.noc_figures import draw_delivery

SMALL = eyeriss_v2_noc(clusters=(2, 2))


@pytest.mark.parametrize(
    ("noc", "role", "dims", "relevant"),
    [
        (SMALL, "iact", "MQRP", ["P", "Q"]),
        (SMALL, "weight", "MQRP", ["M", "R"]),
        (SMALL, "psum", "CMCM", ["M"]),
        (eyeriss_v1_noc(3, 4), "iact", "MMRP", [{"P": 1, "R": 1}]),
        (eyeriss_v1_noc(3, 4), "psum", "MMRP", ["P"]),
    ],
    ids=["iact", "weight", "psum", "bus iact", "bus psum"],
)
def test_every_loaded_link_is_drawn_with_its_load(
    noc: Noc, role: str, dims: str, relevant: list[str], tmp_path: Path
) -> None:
    pattern = groups(noc, loops(noc, *dims), relevant)
    delivery = deliver(noc, role, pattern)
    figure = draw_delivery(delivery, pattern)
    axes, bar = figure.axes
    (lines,) = (c for c in axes.collections if isinstance(c, LineCollection))
    assert sorted(np.asarray(lines.get_array())) == sorted(delivery.loads.values())
    left, right, bottom, top = *axes.get_xlim(), *axes.get_ylim()
    for line in lines.get_segments():
        assert ((left <= line[:, 0]) & (line[:, 0] <= right)).all()
        assert ((bottom <= line[:, 1]) & (line[:, 1] <= top)).all()
    assert f"{role} network: {delivery.mode}\n" in axes.get_title()
    assert bar.get_ylabel() == "load of a link (bits per cycle)"
    assert sorted(int(text.get_text()) for text in axes.texts if text.get_text()) == sorted(pattern.ravel())
    figure.savefig(tmp_path / "noc.svg")
    assert (tmp_path / "noc.svg").stat().st_size > 10_000
