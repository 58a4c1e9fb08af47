"""Where many runs are done: joblib's engines. loky's processes over the cores of this machine, Dask, Ray.

Nothing is scheduled here. An engine is a function that makes a `joblib.Parallel`; what it calls comes back in the order
in which it is done. A task that is lost with its worker is given to another by the scheduler of a cluster. On this
machine joblib says that a worker died, with a `BrokenExecutor`, and whoever called calls again.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import BrokenExecutor, CancelledError
from functools import partial
from typing import Any

import numpy as np

from rlgrid.training import RunError, nearest

BACKENDS = ("loky", "dask", "ray")
CONNECT_SECONDS = 10
PART = 8  # runs for each worker of an engine that gives nothing back before it has all


def check_engine(backend: str, n_jobs: int, address: str | None) -> None:
    """Refuse what no engine can do.

    Raises:
        TypeError, ValueError: naming the remedy.
    """
    if backend not in BACKENDS:
        raise ValueError(
            f"there is no backend {backend!r}{nearest(str(backend), BACKENDS)} (known: {', '.join(BACKENDS)})"
        )
    if isinstance(n_jobs, bool) or not isinstance(n_jobs, int | np.integer):
        raise TypeError(f"n_jobs must be a whole number, not {n_jobs!r}")
    if n_jobs == 0:
        raise ValueError("n_jobs must not be 0: 1 is one run at a time, -1 one for each core")
    if backend == "loky" and address is not None:
        raise ValueError(f"loky runs on this machine and needs no address {address!r}: name a backend, dask or ray")


@contextlib.contextmanager
def engine(backend: str, address: str | None, n_jobs: int, count: int) -> Iterator[tuple[Callable[[], Any], bool]]:
    """(what makes a `joblib.Parallel`, whether the runs stay in this process)."""
    import joblib

    shared: dict[str, Any] = {"return_as": "generator_unordered"}
    if backend == "loky":
        jobs = min(joblib.effective_n_jobs(n_jobs), count)
        # Arrays of models travel by value: read-only maps of files would be other types to a kernel.
        yield partial(joblib.Parallel, n_jobs=jobs, backend="loky", max_nbytes=None, **shared), jobs == 1
    elif backend == "dask":
        with _dask_client(address) as client, joblib.parallel_config(backend="dask", client=client):
            yield partial(joblib.Parallel, n_jobs=-1, **shared), False
    else:
        with _ray(address) as died, joblib.parallel_config(backend="ray"):
            yield partial(_InParts, partial(joblib.Parallel, n_jobs=n_jobs), died), False


@contextlib.contextmanager
def _dask_client(address: str | None) -> Iterator[Any]:
    try:
        from distributed import Client, KilledWorker, get_client
    except ImportError as error:
        raise RunError('the backend dask needs Dask: python -m pip install "dask[distributed]"') from error
    if address is None:
        try:
            yield get_client()
        except ValueError as error:
            raise RunError(
                "the backend dask needs a cluster: give the address of its scheduler, as address='127.0.0.1:8786' "
                "(`dask scheduler` prints it), or make a dask.distributed.Client first"
            ) from error
        return
    try:
        client = Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise RunError(
            f"no Dask scheduler answers at {address}: start one with `dask scheduler`, and workers with `dask worker "
            f"{address}` ({type(error).__name__})"
        ) from error
    with client:
        if not client.scheduler_info()["workers"]:
            raise RunError(f"the Dask scheduler at {address} has no workers: start some with `dask worker {address}`")
        try:
            yield client
        except CancelledError as error:  # of the runs under way, once their scheduler is gone
            raise RunError(
                f"the Dask scheduler at {address} was lost: start it again, and make the same call; runs that are kept "
                "in a folder are not run again"
            ) from error
        except KilledWorker as error:
            raise RunError(
                f"the Dask scheduler gave a run up: the workers that had it died, one after another: {error}"
            ) from error


class _InParts:
    """A `joblib.Parallel` for an engine that gives nothing back before it has all: it is given a few at a time."""

    def __init__(self, parallel: Callable[[], Any], died: type[Exception]) -> None:
        self._parallel, self._died = parallel(), died

    def __call__(self, calls: Iterable[Any]) -> Iterator[Any]:
        waiting = iter(calls)
        size = PART * self._parallel._effective_n_jobs()
        try:
            while part := list(itertools.islice(waiting, size)):
                yield from self._parallel(part)
        except self._died as error:
            raise BrokenExecutor(str(error)) from error


@contextlib.contextmanager
def _ray(address: str | None) -> Iterator[type[Exception]]:
    """A connection to Ray; what it raises when a worker died."""
    try:
        import ray
        from ray.util.joblib import register_ray
    except ImportError as error:
        raise RunError("the backend ray needs Ray: python -m pip install ray") from error
    begun = not ray.is_initialized()
    if begun:
        try:
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise RunError(f"no Ray cluster answers at {address}: start one with `ray start --head`") from error
    try:
        register_ray()
        yield ray.exceptions.RayActorError
    finally:
        if begun:
            ray.shutdown()
