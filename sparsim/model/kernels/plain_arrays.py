"""The type of arrays in packs inside kernels: a pointer to the first element and the lengths of the axes.

Numba's own arrays have seven fields, and test the sign of every index. Plain arrays are C-contiguous, do not
own their memory, and take integer indices from 0 on: -1 is not the last element.
"""

import operator

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.imputils import impl_ret_untracked
from numba.core.typing import signature
from numba.core.typing.templates import AbstractTemplate, AttributeTemplate, infer_global
from numba.extending import (
    infer_getattr,
    lower_builtin,
    lower_getattr,
    models,
    register_model,
)

INT = ir.IntType(64)
_FLAGS = 0x0001 | 0x0100  # of NumPy: C-contiguous, aligned


class PlainArray(types.Type):
    """Numbers of type `dtype` along `ndim` axes."""

    def __init__(self, dtype, ndim):
        self.dtype, self.ndim = dtype, ndim
        super().__init__(f"PlainArray({dtype}, {ndim})")


class Lengths(types.Type):
    """The `shape` of a plain array: one constant index gives the length of an axis."""

    def __init__(self, ndim):
        self.ndim = ndim
        super().__init__(f"Lengths({ndim})")


@register_model(Lengths)
class _LengthsModel(models.PrimitiveModel):
    def __init__(self, manager, kind):
        super().__init__(manager, kind, ir.ArrayType(INT, kind.ndim))


@register_model(PlainArray)
class _ArrayModel(models.StructModel):
    def __init__(self, manager, kind):
        members = [("data", types.CPointer(kind.dtype)), ("shape", Lengths(kind.ndim))]
        super().__init__(manager, kind, members)


@infer_getattr
class _Fields(AttributeTemplate):
    key = PlainArray

    def resolve_shape(self, kind):
        return Lengths(kind.ndim)


def _element(array, index):
    """Return the type of `array[index]`; None if the index is not valid."""
    indices = tuple(index) if isinstance(index, types.BaseTuple) else (index,)
    left = array.ndim - len(indices)
    if left < 0 or not all(isinstance(one, types.Integer) for one in indices):
        return None
    return PlainArray(array.dtype, left) if left else array.dtype


@infer_global(operator.getitem)
class _Get(AbstractTemplate):
    def generic(self, arguments, keywords):
        found, index = None, arguments[1]
        if isinstance(arguments[0], PlainArray):
            found = _element(*arguments)
        elif isinstance(arguments[0], Lengths) and isinstance(index, types.IntegerLiteral):
            found = types.intp
        return None if found is None else signature(found, *arguments)


@infer_global(operator.setitem)
class _Set(AbstractTemplate):
    def generic(self, arguments, keywords):
        array, index, _ = arguments
        if isinstance(array, PlainArray) and _element(array, index) == array.dtype:
            return signature(types.none, array, index, array.dtype)
        return None


@lower_getattr(PlainArray, "shape")
def _shape(context, builder, kind, value):
    return builder.extract_value(value, 1)


@lower_builtin(operator.getitem, Lengths, types.IntegerLiteral)
def _length(context, builder, sig, arguments):
    return builder.extract_value(arguments[0], sig.args[1].literal_value)


def place(context, builder, array, value, kind, index):
    """Return a pointer to the element at `index`, or to the first element of the part that a shorter index
    selects.
    """
    kinds, indices = [kind], [index]
    if isinstance(kind, types.BaseTuple):
        kinds, indices = list(kind), [builder.extract_value(index, i) for i in range(len(kind))]
    offset = None
    for axis in range(array.ndim):
        length = builder.extract_value(value, (1, axis))
        if offset is not None:
            offset = builder.mul(offset, length, flags=["nsw"])
        if axis < len(indices):
            i = context.cast(builder, indices[axis], kinds[axis], types.intp)
            if context.enable_boundscheck:
                cgutils.do_boundscheck(context, builder, i, length, axis)
            offset = i if offset is None else builder.add(offset, i, flags=["nsw"])
    return builder.gep(builder.extract_value(value, 0), [offset], inbounds=True)


def plain(context, builder, kind, data, lengths):
    """Return a plain array of this kind."""
    value = ir.Constant(context.get_value_type(kind), ir.Undefined)
    value = builder.insert_value(value, data, 0)
    for axis, length in enumerate(lengths):
        value = builder.insert_value(value, length, (1, axis))
    return value


def plain_from_numpy(context, builder, kind, array):
    """The plain array of a NumPy array: the fields `data` and `dimensions` of a PyArrayObject."""
    head = object.__basicsize__
    pointer = context.get_value_type(types.CPointer(kind.dtype))
    data = builder.load(cgutils.pointer_add(builder, array, head, pointer.as_pointer()))
    lengths = INT.as_pointer().as_pointer()
    first = builder.load(cgutils.pointer_add(builder, array, head + 16, lengths))
    axes = range(kind.ndim)
    return plain(
        context, builder, kind, data, [builder.load(cgutils.gep(builder, first, axis)) for axis in axes]
    )


def is_like(context, builder, kind, array, scalar):
    """Whether a NumPy array can be a plain array of this kind, whose elements have the type at `scalar`.

    Looks at the fields `nd`, `descr` and `flags` of a PyArrayObject, and `typeobj` and `byteorder` of its
    PyArray_Descr.
    """
    head, word, byte = object.__basicsize__, ir.IntType(32), ir.IntType(8)

    def field(of, offset, kind):
        return builder.load(cgutils.pointer_add(builder, of, head + offset, kind.as_pointer()))

    descr = field(array, 40, cgutils.voidptr_t)
    seen = (
        (field(array, 8, word), word(kind.ndim)),
        (builder.and_(field(array, 48, word), word(_FLAGS)), word(_FLAGS)),
        (field(descr, 0, INT), scalar),
        (field(descr, 10, byte), byte(ord("="))),
    )
    fits = cgutils.true_bit
    for one, other in seen:
        fits = builder.and_(fits, builder.icmp_signed("==", one, other))
    return fits


@lower_builtin(operator.getitem, PlainArray, types.Integer)
@lower_builtin(operator.getitem, PlainArray, types.BaseTuple)
def _get(context, builder, sig, arguments):
    array, index = sig.args
    found = place(context, builder, array, arguments[0], index, arguments[1])
    kind = sig.return_type
    if not isinstance(kind, PlainArray):
        return impl_ret_untracked(context, builder, kind, builder.load(found))
    axes = range(array.ndim - kind.ndim, array.ndim)
    return plain(
        context, builder, kind, found, [builder.extract_value(arguments[0], (1, axis)) for axis in axes]
    )


@lower_builtin(operator.setitem, PlainArray, types.Integer, types.Any)
@lower_builtin(operator.setitem, PlainArray, types.BaseTuple, types.Any)
def _set(context, builder, sig, arguments):
    array, index, _ = sig.args
    builder.store(arguments[2], place(context, builder, array, arguments[0], index, arguments[1]))
    return context.get_dummy_value()
