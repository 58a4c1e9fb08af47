"""Pieces of a range over the cores."""

import threading

import numpy as np
import pytest

from rlgrid.parallel import in_pieces, num_threads


@pytest.mark.parametrize("threads", ["1", "2", "7"])
@pytest.mark.parametrize("size", [0, 1, 5, 1000])
def test_pieces_cover_a_range_once(monkeypatch, threads, size):
    monkeypatch.setenv("RLGRID_NUM_THREADS", threads)
    touched = np.zeros(size, int)

    def work(first, last):
        touched[first:last] += 1
        return last - first

    assert sum(in_pieces(work, size, smallest=10)) == size
    assert (touched == 1).all()


def test_an_error_in_a_piece_is_raised(monkeypatch):
    monkeypatch.setenv("RLGRID_NUM_THREADS", "4")

    def work(first, last):
        if first > 0:
            raise ArithmeticError("in a later piece")

    with pytest.raises(ArithmeticError, match="later piece"):
        in_pieces(work, 100, smallest=1)


@pytest.mark.parametrize("threads", ["0", "-1", "two", "1.5", ""])
def test_a_wrong_number_of_threads_is_named(monkeypatch, threads):
    monkeypatch.setenv("RLGRID_NUM_THREADS", threads)
    with pytest.raises(ValueError, match="RLGRID_NUM_THREADS must be a whole number of at least 1"):
        num_threads()


def test_a_core_that_is_busy_holds_up_nothing(monkeypatch):
    monkeypatch.setenv("RLGRID_NUM_THREADS", "2")
    busy, main = threading.Event(), threading.current_thread()

    def occupy(first, last):
        if threading.current_thread() is main:
            return in_pieces(lambda first, last: (first, last), 100, smallest=1)  # while the other thread waits
        busy.wait(10.0)
        return None

    def work(first, last):
        found = occupy(first, last)
        if found is not None:
            busy.set()
        return found

    for ranges in in_pieces(work, 2, smallest=1):
        if ranges is not None:
            assert [first for first, _ in ranges] == [0, *(last for _, last in ranges[:-1])]
            assert ranges[-1][1] == 100
