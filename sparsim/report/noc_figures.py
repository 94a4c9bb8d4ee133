"""Figures of the routes of one delivery and the loads of their links, on the array of clusters.

Every cluster is a box: GLB ports (squares) and routers (circles) on the left, PEs on the right with the
number of their group. Every edge of the graph that carries words is a line, coloured and thickened by its
bits per cycle. Distances are schematic.
"""

import math

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PatchCollection
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Rectangle

from sparsim.machines.eyeriss.noc.delivery import Delivery
from sparsim.machines.eyeriss.noc.router_graph import Edge, Node
from sparsim.machines.eyeriss.noc.traffic_pattern import IDLE, Groups
from sparsim.records.noc_spec import Noc, RouterNetwork
from sparsim.report import figure_style as style

Point = tuple[float, float]
GAP = 0.12  # between clusters, in sizes of a cluster
PE_RIGHT = 0.97  # share of the width of a cluster
PE_BOTTOM, PE_TOP = 0.06, 0.94
GLB_X, ROUTER_X, TRUNK_X = 0.05, 0.14, 0.29
PALE, GROUND = "#8a8f9880", "#8a8f9818"  # also seen in dark mode
# without the pale end of the colour map
COLORS = ListedColormap(colormaps["plasma_r"]([0.12 + 0.8 * k / 255 for k in range(256)]))


@style.styled
def draw_delivery(delivery: Delivery, pattern: Groups) -> Figure:
    """Draw `delivery` as a figure 12 inches wide; `pattern` is the array of groups that it was made for."""
    place = _Places(delivery.noc, delivery.network)
    rows, columns = delivery.noc.clusters
    figure = style.panels(*_figure_size(delivery.noc))
    (axes,) = figure.axes
    axes.set_xlim(-GAP, columns * (1 + GAP))
    axes.set_ylim(-rows * (1 + GAP), GAP)
    axes.axis("off")
    _draw_clusters(axes, delivery.noc, place, pattern)
    _draw_ports(axes, delivery, place)
    lines = _draw_loads(axes, delivery, place)
    bar = figure.colorbar(lines, ax=axes, shrink=0.6, aspect=30, pad=0.01)
    bar.set_label("load of a link (bits per cycle)")
    axes.set_title(_title(delivery), loc="center", fontweight="normal")
    return figure


def _figure_size(noc: Noc) -> tuple[float, float]:
    return 12, min(60, 2 + noc.clusters[0] * max(1.25, 0.3 * noc.pe_rows))  # inches


class _Places:
    """The positions of nodes, in sizes of a cluster: x to the right, y up, cluster (0, 0) below (0, 0)."""

    def __init__(self, noc: Noc, network: RouterNetwork) -> None:
        self.noc, self.network = noc, network
        self.above = network.pe_side == "column"  # routers stand above the PE columns that they serve
        self.pe_top = 0.66 if self.above else PE_TOP
        self.pe_left = 0.05 if self.above else 0.36
        self.pe_width = (PE_RIGHT - self.pe_left) / noc.pe_columns
        self.pe_height = (self.pe_top - PE_BOTTOM) / noc.pe_rows

    def corner(self, row: int, column: int) -> Point:
        """Return the lower left corner of a cluster."""
        return column * (1 + GAP), -row * (1 + GAP) - 1

    def node(self, node: Node) -> Point:
        kind, row, column, *rest = node
        x, y = self.corner(int(row), int(column))
        if kind == "pe":
            left, bottom = self.pe_corner(*map(int, rest))
            across = 0.3 if self.network.role == "psum" else 0.4  # beside the number of the group
            return x + left + across * self.pe_width, y + bottom + 0.36 * self.pe_height
        i = int(rest[0])
        if self.above:
            center = self.pe_left + (i + 0.3) * self.pe_width
            return (x + center, y + 0.8) if kind == "router" else (x + center, y + 0.93)
        n = self.network.routers_per_cluster
        height = y + self.pe_top - (i + 0.88) * (self.pe_top - PE_BOTTOM) / n  # between rows of PEs
        return x + (GLB_X if kind == "glb" else ROUTER_X + 0.05 * i), height

    def pe_corner(self, row: int, column: int) -> Point:
        """Return the lower left corner of a PE within its cluster."""
        return self.pe_left + column * self.pe_width, self.pe_top - (row + 0.78) * self.pe_height

    def line(self, edge: Edge) -> list[Point]:
        """Return the path of an edge as corners."""
        (start, end), kinds = edge, (edge[0][0], edge[1][0])
        a, b = self.node(start), self.node(end)
        if kinds == ("router", "router"):
            return self._mesh_link(start, end)
        if self.network.role != "psum":
            return self._bus_segment(start, end) if kinds[1] == "pe" else [a, b]
        if kinds == ("router", "pe"):  # down beside the column, in at its bottom
            beside = b[0] - 0.35 * self.pe_width
            return [a, (beside, a[1] - 0.08), (beside, b[1]), b]
        if kinds == ("pe", "router") and not self.above:
            top = self.corner(int(start[1]), int(start[2]))[1] + 0.98
            return [a, (a[0], top), (b[0], top), b]
        return [a, b]

    def _mesh_link(self, start: Node, end: Node) -> list[Point]:
        """Return a straight line, shifted to the right of its direction so that both directions are
        visible.
        """
        (ax, ay), (bx, by) = self.node(start), self.node(end)
        if self.above:  # down the gap beside the PE column
            beside = ax + 0.55 * self.pe_width
            return [(ax, ay), (beside, ay - 0.08), (beside, by + 0.1), (bx, by)]
        right, up = math.copysign(0.004, by - ay) if ax == bx else 0.0, -math.copysign(0.02, bx - ax)
        if ax == bx:
            up = 0.0
        return [(ax + right, ay + up), (bx + right, by + up)]

    def _bus_segment(self, start: Node, end: Node) -> list[Point]:
        """Return the part of a router's bus that ends at a PE, from the previous PE in the row."""
        i, row, column = int(start[3]), int(end[3]), int(end[4])
        x, y = self.corner(int(end[1]), int(end[2]))
        left, bottom = self.pe_corner(row, column)
        share = 0.5 if self.network.pe_side == "row" else (i + 1) / (self.network.routers_per_cluster + 1)
        height = y + bottom + (1 - share) * 0.72 * self.pe_height
        if column > 0:
            return [(x + left - 0.2 * self.pe_width, height), (x + left, height)]
        ax, ay = self.node(start)
        trunk = x + TRUNK_X + 0.015 * i
        return [(ax, ay), (trunk, ay), (trunk, height), (x + left, height)]


def _draw_clusters(axes: Axes, noc: Noc, place: _Places, pattern: Groups) -> None:
    boxes = []
    busy: list[Rectangle] = []
    idle: list[Rectangle] = []
    width, height = 0.8 * place.pe_width, 0.72 * place.pe_height
    aside = 0.75 if place.network.role == "psum" else 0.5  # sums go through the PEs, numbers beside them
    size = _font_size(noc, place)
    for row, column, pe_row, pe_column in np.ndindex(pattern.shape):
        x, y = place.corner(row, column)
        if pe_row == pe_column == 0:
            boxes.append(FancyBboxPatch((x, y), 1, 1, boxstyle="round,pad=0,rounding_size=0.02"))
        left, bottom = place.pe_corner(pe_row, pe_column)
        group = int(pattern[row, column, pe_row, pe_column])
        (idle if group == IDLE else busy).append(Rectangle((x + left, y + bottom), width, height))
        if group != IDLE:
            middle = (x + left + width * aside, y + bottom + height / 2)
            axes.text(*middle, str(group), fontsize=size, ha="center", va="center", zorder=4)
    axes.add_collection(PatchCollection(boxes, facecolor=GROUND, edgecolor=PALE, zorder=0))
    for pes, face, edge in ((busy, style.PAPER, style.INK), (idle, GROUND, PALE)):
        axes.add_collection(PatchCollection(pes, facecolor=face, edgecolor=edge, linewidth=0.7, zorder=3))


def _font_size(noc: Noc, place: _Places) -> float:
    """Return the font size in points for which three digits fit into a PE; title, legend and bar take about a
    tenth of the figure.
    """
    rows, columns = noc.clusters
    width, height = _figure_size(noc)
    inches = min(0.4 * height * place.pe_height / rows, 0.25 * width * place.pe_width / columns)
    return min(9.0, 65 * inches)


def _draw_ports(axes: Axes, delivery: Delivery, place: _Places) -> None:
    """Draw GLB ports and routers, filled where words enter (psum: leave) and where they pass."""
    rows, columns = delivery.noc.clusters
    used = {node for edge in delivery.loads for node in edge}
    for kind, marker, label in (("glb", "s", "GLB port"), ("router", "o", "router")):
        for busy in (True, False):
            nodes = [
                node
                for row in range(rows)
                for column in range(columns)
                for i in range(delivery.network.routers_per_cluster)
                if ((node := (kind, row, column, i)) in used) == busy
            ]
            if nodes:
                x, y = zip(*map(place.node, nodes), strict=True)
                face, name = (style.INK, label) if busy else (style.PAPER, f"{label}, idle")
                edge = style.INK if busy else PALE
                axes.scatter(x, y, s=26, marker=marker, c=face, edgecolors=edge, zorder=6, label=name)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, 0.0), ncols=4)


def _draw_loads(axes: Axes, delivery: Delivery, place: _Places) -> LineCollection:
    loads = sorted(delivery.loads.items(), key=lambda item: item[1])  # busy links are drawn on top
    lines = [place.line(edge) for edge, _ in loads]
    bits = [load for _, load in loads]
    most = delivery.network.port_bits
    widths = [0.5 + 1.7 * load / most for load in bits]
    collection = LineCollection(lines, linewidths=widths, cmap=COLORS, norm=Normalize(0, most), zorder=5)
    collection.set_array(bits)
    axes.add_collection(collection)
    for (start, end), load in loads:
        if start[0] == end[0] == "router":
            corners = place.line((start, end))
            (ax, ay), (bx, by) = corners[-3:-1] if len(corners) > 2 else corners
            tip, tail = ((ax + bx) / 2, (ay + by) / 2), (ax + 0.49 * (bx - ax), ay + 0.49 * (by - ay))
            arrow = {
                "arrowstyle": "-|>",
                "color": COLORS(load / most),
                "shrinkA": 0,
                "shrinkB": 0,
                "mutation_scale": 14,
            }
            axes.annotate("", tip, tail, arrowprops=arrow, zorder=7)
    return collection


def _title(delivery: Delivery) -> str:
    words = "compressed words" if delivery.compressed else "words"
    name = f"{delivery.noc.name}, {delivery.network.role} network: {delivery.mode}"
    rates = (
        f"{delivery.words_per_cycle:.4g} distinct {words}/cycle, {delivery.groups} groups of PEs,"
        f" {delivery.receipts_per_cycle:.4g} words/cycle counted at the PEs"
    )
    costs = (
        f"{delivery.source_ports} GLB ports at {delivery.bits_per_port:.3g} of"
        f" {delivery.network.port_bits} bits/cycle, {delivery.hops:.3g} hops and"
        f" {delivery.wire_um / 1000:.3g} mm of wire per word"
    )
    return f"{name}\n{rates}\n{costs}"
