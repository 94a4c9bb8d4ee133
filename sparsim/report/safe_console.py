"""A console of rich on which no name can move the cursor, change colours or ring the bell."""

from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from sparsim.report.printable_text import printable


class SafeConsole(Console):
    """A console that prints texts as `printable` ones; colours and cursor movements are its own."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(printable(segment.text), segment.style)
