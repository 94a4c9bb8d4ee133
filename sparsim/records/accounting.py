"""Conventions of accounting: how first accesses, overlaps and drains are counted, and which energies are
included.
"""

from typing import Literal

Accounting = Literal[
    "timeloop-3", "timeloop-4", "timeloop-4-2024", "timeloop-2022", "count-all", "count-drains"
]  # fmt: skip
OF_TIMELOOP_4 = ("timeloop-4", "timeloop-4-2024")  # since January 2025, and before
