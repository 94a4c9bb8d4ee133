"""Compilation of the model's entry to machine code that needs neither numba nor Python at run time."""

from typing import Any

from numba import types
from numba.core.typing.typeof import Purpose, _TypeofContext
from numba.extending import typeof_impl

from sparsim.model.kernels.driver import run_on_objects
from sparsim.model.kernels.pack_pointers import PackObjects


def compile_run(packs: tuple[Any, ...]) -> tuple[str, bytes]:
    """Compile `run_on_objects` for packs like these.

    Returns
    -------
    str
        The symbol of the function. The function takes a pointer to its result, a pointer to numba's record of
        exceptions, and the arguments; it returns numba's status.
    bytes
        An object file.
    """
    context = _TypeofContext(Purpose.argument)
    kinds = PackObjects(typeof_impl(pack, context) for pack in packs)
    number = types.int64
    run_on_objects.compile((number, kinds, number, number, number, number, number, number))
    (made,) = run_on_objects.overloads.values()
    return made.fndesc.llvm_func_name, made.library._get_compiled_object()
