"""Outcomes of operations whose operands are zero or absent."""

import math


def settled(gating, skipping, total, zero, absent, both_zero, zero_absent, both_absent):
    """Return the (actual, gated, skipped) operations by their operands' states; with both operands absent
    there is none (model 12.3).

    This is a plain Python function: kernels compile it, and the mapper's lower bounds and counts on masks
    call it directly.
    """
    gated, skipped = 0.0, 0.0
    if gating:
        gated += zero
    if skipping:
        skipped += absent
    elif gating:
        gated += absent
    if gating:
        gated += both_zero
    if skipping:
        skipped += zero_absent
    elif gating:
        gated += zero_absent
    n_gated, n_skipped = int(math.floor(gated)), int(math.floor(skipped))
    return int(total) - n_skipped - n_gated - int(math.floor(both_absent)), n_gated, n_skipped
