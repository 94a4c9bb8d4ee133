"""Between the units of the model (pJ, um2) and those that people read."""

PJ_PER_UJ = 1e6
UM2_PER_MM2 = 1e6
