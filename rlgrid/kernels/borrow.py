"""Arrays without reference counts, for hot loops.

Numba counts references to an array atomically wherever it passes through a function or a branch that its pruning does
not see through; a struct of twenty arrays is counted twenty times. In a loop of 20 ns a step that can take most of
the time. `borrow` gives the same array, or struct of arrays, without an owner: the compiler drops the counting. The
caller of the kernel must hold it until the kernel returns, which a Python caller that passed it does. A function that
the kernel calls takes what is borrowed for counted again, unless it borrows it too.

A kernel that Python calls step after step gets its structs by their address alone: to take one of forty arrays apart
at each call takes longer than a step. `keep` writes the machine's form of it to memory once, `Kept` is its type, and
`borrow` reads it.
"""

from typing import Any

from numba import njit, types
from numba.core import cgutils
from numba.extending import NativeValue, intrinsic, models, overload, register_model, unbox

WRITTEN: dict[str, Any] = {"nogil": True, "cache": True, "no_cfunc_wrapper": True}


class Kept(types.Type):
    """The address, for Python an int, of what `keep` wrote of a value of type ``kind``."""

    def __init__(self, kind):
        self.kind = kind
        super().__init__(f"Kept({kind.name})")


@register_model(Kept)
class _KeptModel(models.PrimitiveModel):
    def __init__(self, manager, kind):
        super().__init__(manager, kind, cgutils.ir.IntType(types.intp.bitwidth))


@unbox(Kept)
def _unbox_kept(kind, obj, c):
    address = c.builder.ptrtoint(c.pyapi.long_as_voidptr(obj), c.context.get_value_type(kind))
    return NativeValue(address, is_error=c.pyapi.c_api_error())


def _without_owner(context, builder, kind, value):
    if isinstance(kind, types.Array):
        view = context.make_helper(builder, kind, value=value)
        view.meminfo = cgutils.get_null_value(view.meminfo.type)
        view.parent = cgutils.get_null_value(view.parent.type)
        return view._getvalue()
    if isinstance(kind, types.BaseTuple):
        members = cgutils.unpack_tuple(builder, value, len(kind))
        freed = [_without_owner(context, builder, k, v) for k, v in zip(kind, members, strict=True)]
        return context.make_tuple(builder, kind, freed)
    return value


@intrinsic
def _borrow(typingctx, given):
    def codegen(context, builder, signature, args):
        return _without_owner(context, builder, signature.args[0], args[0])

    return given(given), codegen


def borrow(given):
    """The same array, or tuple with arrays in it, not counted; for the arguments of a kernel at its beginning."""
    return given


@intrinsic
def _read(typingctx, address):
    def codegen(context, builder, signature, args):
        kind = signature.return_type
        place = builder.inttoptr(args[0], context.get_value_type(kind).as_pointer())
        return builder.load(place)

    return address.kind(address), codegen


@overload(borrow)
def _borrow_overload(given):
    if isinstance(given, Kept):
        return lambda given: _read(given)  # noqa: PLW0108
    return lambda given: _borrow(given)  # noqa: PLW0108 - numba matches an overload by its arguments' names


@intrinsic
def _size(typingctx, given):
    def codegen(context, builder, signature, args):
        return context.get_constant(types.intp, context.get_abi_sizeof(context.get_value_type(signature.args[0])))

    return types.intp(given), codegen


@intrinsic
def _write(typingctx, given, room):
    def codegen(context, builder, signature, args):
        value = _without_owner(context, builder, signature.args[0], args[0])
        data = context.make_array(signature.args[1])(context, builder, args[1]).data
        builder.store(value, builder.bitcast(data, value.type.as_pointer()))
        return context.get_dummy_value()

    return types.void(given, room), codegen


@njit(**WRITTEN)
def write(given, room):
    """The machine's form of ``given`` into room, bytes, if there is room enough; how many bytes it takes."""
    size = _size(given)
    if size <= room.size:
        _write(given, room)
    return size
