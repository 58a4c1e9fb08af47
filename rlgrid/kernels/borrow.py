"""Arrays without reference counts, for hot loops.

Numba counts references to an array atomically wherever it passes through a function or a branch that its pruning does
not see through; a struct of twenty arrays is counted twenty times. In a loop of 20 ns a step that can take most of
the time. `borrow` gives the same array, or struct of arrays, without an owner: the compiler drops the counting. The
caller of the kernel must hold it until the kernel returns, which a Python caller that passed it does. A function that
the kernel calls takes what is borrowed for counted again, unless it borrows it too.
"""

from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, overload


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


@overload(borrow)
def _borrow_overload(given):
    return lambda given: _borrow(given)  # noqa: PLW0108 - numba matches an overload by its arguments' names
