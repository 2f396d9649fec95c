"""Where batches run: in this process, in others of this host, or on a Dask cluster; all as one ``Executor``."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from importlib import import_module
from multiprocessing.connection import wait
from threading import Thread

from tdvfsh.errors import HostError, MissingError, UsageError
from tdvfsh.lazy_typing import Any, Final, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

CONNECT_SECONDS: Final = 10


class Workers:
    """An executor and how many batches it works on at a time."""

    def __init__(self, executor: Executor, count: int) -> None:
        self.executor = executor
        self.count = count


class _InlineExecutor(Executor):
    """Executor that runs each call at once, in the calling process."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        future: Future[T] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


class _Processes(ProcessPoolExecutor):
    """Processes to which Ctrl-C does not come: they inherit that it is blocked, from before their first instruction."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            return super().submit(fn, *args, **kwargs)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def local_workers(jobs: int) -> Iterator[Workers]:
    """``jobs`` processes of this host; with one job, this process.

    Ctrl-C reaches the parent only, and workers end when it does, even by kill -9.
    """
    if jobs < 1:
        raise UsageError(f"--jobs {jobs}: at least 1")
    if jobs == 1:
        yield Workers(_InlineExecutor(), 1)
        return
    # spawn: nothing of the parent's is inherited, above all not its lock on the results
    context = multiprocessing.get_context("spawn")
    executor = _Processes(jobs, context, _start_worker)
    try:
        yield Workers(executor, jobs)
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


def _start_worker() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)


@contextmanager
def cluster_workers(address: str) -> Iterator[Workers]:
    """The workers of the Dask cluster whose scheduler is at ``address``, such as ``tcp://10.0.0.1:8786``.

    Raises:
        HostError: The ``cluster`` extra is not installed, the scheduler does not answer, or it has no workers.
    """
    try:
        connect: Any = import_module("distributed").Client
    except ImportError:
        raise MissingError("--cluster needs the 'cluster' extra: pip install 'tdvfsh[cluster]'") from None
    try:
        client = connect(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise HostError(f"--cluster {address}: no Dask scheduler answers there ({_first_line(error)})") from None
    try:
        count = sum(client.nthreads().values())
        if not count:
            raise HostError(f"--cluster {address}: the cluster has no workers")
        executor = client.get_executor(pure=False)
        try:
            yield Workers(executor, count)
        finally:
            executor.shutdown(wait=False)
    finally:
        client.close()


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
