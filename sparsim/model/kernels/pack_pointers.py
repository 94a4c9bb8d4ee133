"""Packs by pointer: what keeps compile times low.

A NamedTuple of thirty arrays costs every function that takes it some 300 machine values, and LLVM about a
second; a pointer to the same arrays costs nothing. Entry kernels take NamedTuples and hand pointers inward;
without compilation (NUMBA_DISABLE_JIT) `by_pointer` is the identity.
"""

from numba import types
from numba.core.extending import overload
from numba.experimental import structref


@structref.register
class PackPointer(types.StructRef):
    """A reference to a heap object with the fields of a pack."""

    def preprocess_fields(self, fields):
        return tuple((name, types.unliteral(kind)) for name, kind in fields)


def by_pointer(pack):
    """The pack, for kernels to pass on. Same fields, same arrays."""
    return pack


@overload(by_pointer)
def _by_pointer(pack):
    pointer_type = PackPointer(list(zip(pack.fields, pack.types, strict=True)))
    lines = [f"    p.{name} = pack.{name}" for name in pack.fields]
    source = "\n".join(["def build(pack):", "    p = new(pointer_type)", *lines, "    return p"])
    scope = {"new": structref.new, "pointer_type": pointer_type}
    exec(source, scope)
    return scope["build"]
