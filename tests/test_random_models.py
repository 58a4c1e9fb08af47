"""Thousands of random models of every class and method: bounds hold the exact optimum, and no false claim passes."""

import os
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest
from random_models import CLASSES, check_many

LIES = ("error_bound", "policy_loss_bound", "lower", "upper", "values", "converged", "policy", "improper policy")
PIECE = 250


def check_coverage(seen, models):
    """Every class and every kind of lie came up."""
    for kind in (*CLASSES, *LIES, "refused"):
        assert seen[kind] > models // 500, kind
    assert seen["solved"] > 0.8 * models


def test_some_random_models():
    check_coverage(check_many(0, 400), 400)


@pytest.mark.slow
def test_ten_thousand_random_models():
    with ProcessPoolExecutor(min(4, os.cpu_count() or 1), mp_context=get_context("spawn")) as pool:
        firsts = range(0, 10_000, PIECE)
        seen = sum(pool.map(check_many, firsts, [first + PIECE for first in firsts]), Counter())
    check_coverage(seen, 10_000)
