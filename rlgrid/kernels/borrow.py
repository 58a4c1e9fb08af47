"""Arrays without reference counts, for hot loops.

Numba counts references to an array atomically wherever it passes through a function or a branch that its pruning does
not see through; in a loop of 20 ns a step that can take most of the time. `borrow` gives the same array without an
owner: the compiler drops the counting. The caller of the kernel must hold the array until the kernel returns, which
a Python caller that passed it does.
"""

from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, overload


@intrinsic
def _borrow(typingctx, array):
    if not isinstance(array, types.Array):
        return None

    def codegen(context, builder, signature, args):
        view = context.make_helper(builder, signature.args[0], value=args[0])
        view.meminfo = cgutils.get_null_value(view.meminfo.type)
        view.parent = cgutils.get_null_value(view.parent.type)
        return view._getvalue()

    return array(array), codegen


def borrow(array):
    """The same array, not counted; to be called on the arguments of a kernel at its beginning."""
    return array


@overload(borrow)
def _borrow_overload(array):
    return lambda array: _borrow(array)  # noqa: PLW0108 - numba matches an overload by its arguments' names
