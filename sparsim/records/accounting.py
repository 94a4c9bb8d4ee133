"""Conventions of accounting: how first touches of results count, and which energies are charged."""

from typing import Literal

Accounting = Literal["timeloop-3", "timeloop-4", "timeloop-2022", "count-all"]
