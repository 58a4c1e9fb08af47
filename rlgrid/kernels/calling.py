"""A compiled function that another one calls by its address.

Numba puts what a function calls into that function's machine code once more, with all that it calls in turn, and
optimises it again at every level. A long rule that several loops call is compiled once where these take its address
(`rlgrid.kernels.address_of`) as an argument.
"""

from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, overload


@intrinsic
def _call_update(typingctx, address, learner, rule, t, stream):
    arguments = (learner, rule, t, stream)

    def codegen(context, builder, signature, values):
        convention, kinds = context.call_conv, signature.args[1:]
        function = builder.inttoptr(values[0], convention.get_function_type(types.boolean, kinds).as_pointer())
        status, healthy = convention.call_function(builder, function, types.boolean, kinds, values[1:])
        with cgutils.if_unlikely(builder, status.is_error):
            convention.return_status_propagate(builder, status)
        return healthy

    return types.boolean(types.intp, *arguments), codegen


def call_update(address, learner, rule, t, stream):
    """What the function at ``address`` returns, a bool, of the arguments of the types that it was compiled for."""
    return address(learner, rule, t, stream)  # without a compiler the function itself


@overload(call_update)
def _call_update_overload(address, learner, rule, t, stream):
    return lambda address, learner, rule, t, stream: _call_update(address, learner, rule, t, stream)  # noqa: PLW0108
