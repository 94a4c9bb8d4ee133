"""A console of rich on which control characters in names have no effect."""

from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from sparsim.report.printable_text import printable


class SafeConsole(Console):
    """A console that makes texts `printable`; only its own colours and cursor movements reach the
    terminal.
    """

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(printable(segment.text), segment.style)
