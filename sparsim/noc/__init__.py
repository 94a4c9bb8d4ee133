"""Networks on chip: the hierarchical mesh of Eyeriss v2 and flat buses, from routers to cycles and energy."""

from sparsim.noc.delivery import Delivery, deliver, deliveries, noc_cycles, noc_energy, plan
from sparsim.noc.graph import build_graph
from sparsim.noc.known import eyeriss_v1_noc, eyeriss_v2_noc
from sparsim.noc.pattern import groups
from sparsim.noc.routing import Route
from sparsim.spec.noc import Noc, RouterNetwork, SpatialLoop, Wiring

__all__ = [
    "Delivery", "Noc", "Route", "RouterNetwork", "SpatialLoop", "Wiring", "build_graph", "deliver",
    "deliveries", "eyeriss_v1_noc", "eyeriss_v2_noc", "groups", "noc_cycles", "noc_energy", "plan",
]  # fmt: skip
