"""Energy per action and area of hardware components from their attributes, each with its source.

`estimate(component)` estimates one component, and `estimate_table(components)` makes the table that the model
uses. Numbers come from public tables and a sweep of CACTI 7 (`data/`); docs/how-to/estimate.md is the guide.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
