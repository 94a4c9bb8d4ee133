"""Networks on chip: the hierarchical mesh of Eyeriss v2 and flat buses, from routers to cycles and energy."""

from sparsim.machines.eyeriss.noc.delivery import Delivery, deliver, deliveries, plan
from sparsim.machines.eyeriss.noc.router_graph import build_graph
from sparsim.machines.eyeriss.noc.routing import Route
from sparsim.machines.eyeriss.noc.traffic_pattern import groups
from sparsim.records.noc_spec import Noc, RouterNetwork, SpatialLoop, Wiring

__all__ = [
    "Delivery", "Noc", "Route", "RouterNetwork", "SpatialLoop", "Wiring", "build_graph", "deliver",
    "deliveries", "groups", "plan",
]  # fmt: skip
