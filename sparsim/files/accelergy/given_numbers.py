"""What users give in place of estimates."""

from typing import NamedTuple


class GivenNumbers(NamedTuple):
    """Energies and areas that take precedence over estimates: folders of users' tables, and hwcomponents."""

    tables: tuple[str, ...] = ()
    hwcomponents: bool = False
