"""Structs of arrays that kernels get by their address, and how kernels are inlined."""

import copy
import gc
from typing import Any, NamedTuple

import numba
import numpy as np
import pytest
from numba import njit
from numba.core import inline_closurecall

from rlgrid import kernels
from rlgrid.kernels import Kept, entry
from rlgrid.kernels.borrow import borrow


class Inner(NamedTuple):
    table: Any
    flag: Any
    share: Any


@njit
def count_up(kept, i, j):
    inner, numbers, step = borrow(kept)
    inner.table[i, j] += step
    numbers[i] = inner.table[i].sum() if inner.flag else inner.share
    return inner.table.shape[0] + numbers.size


def test_a_kept_struct_is_read_and_its_arrays_are_the_callers():
    inner = Inner(np.zeros((3, 4), np.float32)[:, 1:].copy(), True, 0.25)
    numbers = np.zeros(7)
    kept = Kept((inner, numbers, 2))
    run = entry(count_up, kept, 0, 0)
    for _ in range(3):
        assert run(kept.handle, 2, 1) == 10
        gc.collect()
    assert inner.table.tolist() == [[0, 0, 0], [0, 0, 0], [0, 6, 0]]
    assert numbers.tolist() == [0, 0, 6, 0, 0, 0, 0]
    other = Kept((inner._replace(flag=False), numbers, 2))
    assert run(other.handle, 0, 0) == 10
    assert (inner.table[0, 0], numbers[0], numbers[2]) == (2, 0.25, 6)


@njit(inline="always")
def digits(n):
    many = 0
    while n > 0:
        many += 1
        n //= 10
    return many


@njit
def both(first, second):
    return digits(first) + 100 * digits(second)


def test_what_is_inlined_is_copied_with_its_scope_once(monkeypatch: pytest.MonkeyPatch):
    """Numba's inliner still copies by way of what is put in its place."""
    scopes: list[Any] = []

    class Seen(type(inline_closurecall.copy)):  # type: ignore[misc]
        def deepcopy(self, x: Any, memo: Any = None) -> Any:
            made = super().deepcopy(x, memo)
            scopes.append(made.scope)
            return made

    if not numba.__version__.startswith(kernels._TRIED):  # any other numba is left as it is
        assert inline_closurecall.copy is copy
        return
    assert isinstance(inline_closurecall.copy, kernels._OneScope)
    assert inline_closurecall.copy.copy is copy.copy
    assert inline_closurecall.copy.deepcopy({1: [2]}) == {1: [2]}
    monkeypatch.setattr(inline_closurecall, "copy", Seen())
    assert both(31_415, 7) == 105
    assert len({id(scope) for scope in scopes}) == 4  # two calls, each copied twice
    assert len(scopes) > 8
