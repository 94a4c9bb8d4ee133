"""Pointers to packs, which keep compile times low.

A NamedTuple of thirty arrays costs every function that takes it some 300 machine values; a pointer to the
same arrays costs nothing. Packs therefore become pointers, with plain arrays, as soon as Python passes them
to an entry. The data pointed at lie in the frame of the function that makes the pointer, which has to be an
entry.
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.imputils import impl_ret_borrowed
from numba.core.typing.templates import AttributeTemplate
from numba.extending import (
    NativeValue,
    infer_getattr,
    lower_builtin,
    lower_getattr_generic,
    models,
    register_model,
    type_callable,
    typeof_impl,
    unbox,
)

from sparsim.model import arrays
from sparsim.model.kernels.plain_arrays import PlainArray, is_like, place, plain, plain_from_numpy

PACKS = [one for one in vars(arrays).values() if isinstance(one, type) and issubclass(one, tuple)]


def row_of(pack, i):
    """Return row i of a pack whose arrays have a leading axis."""
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


def _typeof(pack, context):
    """Return the type of a pack; None, which numba refuses, if one of its arrays is not C-contiguous."""
    fields = []
    for field in pack:
        kind = typeof_impl(field, context)
        if isinstance(kind, types.Array):
            if kind.layout != "C" or not kind.aligned:
                return None
            kind = PlainArray(kind.dtype, kind.ndim)
        fields.append(kind)
    return PackPointer(types.NamedTuple(fields, type(pack)))


for _one in PACKS:
    typeof_impl.register(_one)(_typeof)


@unbox(PackPointer)
def _unbox(kind, pack, c):
    pointer = cgutils.alloca_once(c.builder, c.context.get_value_type(kind.pack))
    for i, field in enumerate(kind.pack.types):
        found = c.pyapi.tuple_getitem(pack, i)
        if isinstance(field, PlainArray):
            value = plain_from_numpy(c.context, c.builder, field, found)
        else:
            value = c.unbox(field, found).value
        c.builder.store(value, cgutils.gep_inbounds(c.builder, pointer, 0, i))
    return NativeValue(pointer)


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


@type_callable(row_of)
def _type_of_row(context):
    def kind(pointer, i):
        rows = [PlainArray(one.dtype, one.ndim - 1) for one in pointer.pack.types]
        return PackPointer(types.NamedTuple(rows, pointer.pack.instance_class))

    return kind


@lower_builtin(row_of, PackPointer, types.Integer)
def _row(context, builder, sig, arguments):
    rows = sig.return_type.pack
    pointer = cgutils.alloca_once(builder, context.get_value_type(rows))
    for n, (whole, row) in enumerate(zip(sig.args[0].pack.types, rows.types, strict=True)):
        field = builder.load(cgutils.gep_inbounds(builder, arguments[0], 0, n))
        first = place(context, builder, whole, field, sig.args[1], arguments[1])
        lengths = [builder.extract_value(field, (1, axis)) for axis in range(1, whole.ndim)]
        value = plain(context, builder, row, first, lengths)
        builder.store(value, cgutils.gep_inbounds(builder, pointer, 0, n))
    return pointer


# Machine code that is called without numba receives packs as Python objects, and only reads their memory.


def opened(packs, i):
    """A pointer to pack `i` of a tuple of packs; `i` is a constant."""
    return packs[i]


def first_unlike(packs, ints, reals):
    """The place, from 1, of the first pack with an array that is not as declared, or 0.

    `ints` and `reals` are the addresses of the types of their elements.
    """
    return 0


class PackObjects(types.Type):
    """A Python tuple of packs, whose types are `kinds`."""

    def __init__(self, kinds):
        self.kinds = tuple(kinds)
        super().__init__(f"PackObjects({', '.join(kind.name for kind in self.kinds)})")


@register_model(PackObjects)
class _ObjectsModel(models.PrimitiveModel):
    def __init__(self, manager, kind):
        super().__init__(manager, kind, cgutils.voidptr_t)


def _items(builder, tuple_object, number):
    """Pointers to the items of a Python tuple, which begin where its fixed fields end."""
    first = cgutils.pointer_add(builder, tuple_object, tuple.__basicsize__, cgutils.voidptr_t.as_pointer())
    return [builder.load(cgutils.gep(builder, first, i)) for i in range(number)]


@type_callable(opened)
def _type_of_opened(context):
    def kind(packs, i):
        literal = isinstance(packs, PackObjects) and isinstance(i, types.IntegerLiteral)
        return packs.kinds[i.literal_value] if literal else None

    return kind


@type_callable(first_unlike)
def _type_of_unlike(context):
    return lambda packs, ints, reals: types.int64 if isinstance(packs, PackObjects) else None


@lower_builtin(opened, PackObjects, types.IntegerLiteral)
def _open(context, builder, sig, arguments):
    kind = sig.return_type
    pack = _items(builder, arguments[0], len(sig.args[0].kinds))[sig.args[1].literal_value]
    pointer = cgutils.alloca_once(builder, context.get_value_type(kind.pack))
    fields = kind.pack.types
    for i, (field, found) in enumerate(zip(fields, _items(builder, pack, len(fields)), strict=True)):
        value = plain_from_numpy(context, builder, field, found)
        builder.store(value, cgutils.gep_inbounds(builder, pointer, 0, i))
    return pointer


@lower_builtin(first_unlike, PackObjects, types.Integer, types.Integer)
def _unlike(context, builder, sig, arguments):
    scalars = {types.int64: arguments[1], types.float64: arguments[2]}
    found = ir.Constant(ir.IntType(64), 0)
    kinds = sig.args[0].kinds
    packs = _items(builder, arguments[0], len(kinds))
    for place_of_pack in reversed(range(len(kinds))):
        fields = kinds[place_of_pack].pack.types
        good = cgutils.true_bit
        for field, array in zip(fields, _items(builder, packs[place_of_pack], len(fields)), strict=True):
            like = is_like(context, builder, field, array, scalars[field.dtype])
            good = builder.and_(good, like)
        found = builder.select(good, found, ir.Constant(ir.IntType(64), place_of_pack + 1))
    return found
