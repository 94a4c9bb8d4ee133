"""An analytical model of dense and compressed-sparse DNN accelerators.

The public names are listed in
`__init__.pyi`. They are imported when they are first used, so that `import sparsim` is quick and loads no
compiler.
"""

import lazy_loader

__version__ = "0.1.0"
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
