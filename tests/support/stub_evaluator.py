"""A model that takes no time, and little to import: its metrics are drawn from the values of axes."""

from __future__ import annotations

import ctypes
import hashlib
import os
import signal
import sys
import time
from collections.abc import Mapping

from sparsim.sweep.sweep_row import Point, Row


def drawn(point: Point, salt: str) -> float:
    """A number from 0 to 1 that depends on the values of a point."""
    said = repr((salt, sorted((name, repr(value)) for name, value in point.items())))
    return int.from_bytes(hashlib.blake2b(said.encode(), digest_size=6).digest(), "big") / 2**48


class StubEvaluator:
    """Metrics of few values, so that there are ties; bounds are shares of them.

    Parameters
    ----------
    faults : dict of (glb, bits) to {"raise", "exit", "segfault", "kill", "hang", "stuck"}
    seconds : float
        That each point takes.
    tightness : float
        The least share of a metric that its bound is.
    open_share : float
        The share of points that the smallest budget leaves open.
    levels : int
        How many values a metric has.
    """

    def __init__(
        self, faults: Mapping[tuple[int, int], str] | None = None, *, seconds: float = 0.0,
        tightness: float = 0.5, open_share: float = 0.0, levels: int = 12, folder: str = "",
    ) -> None:  # fmt: skip
        self.faults, self.seconds, self.tightness = dict(faults or {}), seconds, tightness
        self.open_share, self.levels, self.folder = open_share, levels, folder

    def metrics(self, point: Point) -> dict[str, float]:
        energy, cycles, area = (1.0 + int(drawn(point, name) * self.levels) for name in ("e", "c", "a"))
        return {"energy_pj": energy, "cycles": cycles, "edp_j_cycles": energy * cycles, "area_mm2": area}

    def evaluate(self, point: Point, budget: int = 0) -> Row:
        time.sleep(self.seconds)
        self._misbehave(point)
        metrics = self.metrics(point)
        if drawn(point, "infeasible") < 0.1:
            return Row("", "infeasible", "no mapping ä\n")
        is_open = budget == 0 and drawn(point, "open") < self.open_share
        if is_open:
            metrics = {name: value * (1.0 if name == "area_mm2" else 2.0) for name, value in metrics.items()}
        gap = 0.5 if is_open else 0.0
        return Row("", "ok", "", {**metrics, "gap": gap}, {"glb": metrics["energy_pj"]}, is_final=not is_open)

    def bound(self, point: Point) -> Row:
        metrics = self.metrics(point)
        share = self.tightness + (1.0 - self.tightness) * drawn(point, "share")
        bounds = {name: share * metrics[name] for name in ("energy_pj", "cycles")}
        bounds["edp_j_cycles"] = bounds["energy_pj"] * bounds["cycles"]
        if drawn(point, "unbuilt") < 0.05:
            return Row("", "infeasible", "cannot be built")
        return Row("", "bound", "", {"area_mm2": metrics["area_mm2"]}, bounds=bounds, is_final=False)

    def _misbehave(self, point: Point) -> None:
        fault = self.faults.get((point.get("glb"), point.get("bits")))  # type: ignore[arg-type]
        if fault == "raise":
            raise RuntimeError("told to")
        if fault == "exit":
            os._exit(3)
        if fault == "quit":
            sys.exit(4)
        if fault == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if fault == "segfault":
            ctypes.string_at(0)
        if fault == "hang":
            time.sleep(1000)
        if fault == "stuck":  # with the lock of the interpreter held
            ctypes.PyDLL(None).sleep(1000)
