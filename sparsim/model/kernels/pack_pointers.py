"""Packs by pointer: what keeps compile times low.

A NamedTuple of thirty arrays costs every function that takes it some 300 machine values; a pointer to the
same arrays costs nothing. Entries take NamedTuples and hand pointers inward; without compilation
(NUMBA_DISABLE_JIT) `by_pointer` is the identity. What is pointed at lies in the frame of the function that
makes the pointer, which therefore has to be an entry.
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.imputils import impl_ret_borrowed
from numba.core.typing import signature
from numba.core.typing.templates import AttributeTemplate
from numba.extending import (
    infer_getattr,
    lower_builtin,
    lower_getattr_generic,
    models,
    register_model,
    type_callable,
)
from numba.np.arrayobj import getitem_arraynd_intp


def by_pointer(pack):
    """The pack, for kernels to pass on. Same fields, same arrays."""
    return pack


def row_by_pointer(pack, i):
    """Row i of a pack whose arrays have a leading axis, for kernels to pass on."""
    return type(pack)(*(field[i] for field in pack))


class PackPointer(types.Type):
    """A reference to the fields of a pack."""

    def __init__(self, pack):
        self.pack = pack
        super().__init__(f"PackPointer({pack.name})")

    @property
    def key(self):
        return self.pack


@register_model(PackPointer)
class _Model(models.PrimitiveModel):
    def __init__(self, manager, kind):
        super().__init__(manager, kind, ir.PointerType(manager[kind.pack].get_value_type()))


@infer_getattr
class _Fields(AttributeTemplate):
    key = PackPointer

    def generic_resolve(self, kind, name):
        return kind.pack.types[kind.pack.fields.index(name)] if name in kind.pack.fields else None


@lower_getattr_generic(PackPointer)
def _field(context, builder, kind, value, name):
    i = kind.pack.fields.index(name)
    field = builder.load(cgutils.gep_inbounds(builder, value, 0, i))
    return impl_ret_borrowed(context, builder, kind.pack.types[i], field)


@type_callable(by_pointer)
def _type_of_pointer(context):
    return lambda pack: PackPointer(pack)


@lower_builtin(by_pointer, types.NamedTuple)
def _point(context, builder, sig, arguments):
    place = cgutils.alloca_once(builder, arguments[0].type)
    builder.store(arguments[0], place)
    return place


def _row_of(array):
    return array.copy(ndim=array.ndim - 1)


@type_callable(row_by_pointer)
def _type_of_row(context):
    def kind(pack, i):
        return PackPointer(types.NamedTuple([_row_of(array) for array in pack.types], pack.instance_class))

    return kind


@lower_builtin(row_by_pointer, types.NamedTuple, types.Integer)
def _point_to_row(context, builder, sig, arguments):
    pack, i = sig.args
    place = cgutils.alloca_once(builder, context.get_value_type(sig.return_type.pack))
    for n, (array, row) in enumerate(zip(pack.types, sig.return_type.pack.types, strict=True)):
        fields = builder.extract_value(arguments[0], n), arguments[1]
        value = getitem_arraynd_intp(context, builder, signature(row, array, i), fields)
        builder.store(value, cgutils.gep_inbounds(builder, place, 0, n))
    return place
