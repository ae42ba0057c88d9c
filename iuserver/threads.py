"""Blocking work off the event loop: on threads of our own, or together with that of other threads.

A third of the cost of `run_in_executor`, which counts when every upload passes here twice. Whoever performs takes all
that waits, up to a number, so that what can be done at the price of one (a commit) is.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Generic, Protocol, TypeVar

W = TypeVar("W")
W_contra = TypeVar("W_contra", contravariant=True)


class Executor(Protocol[W_contra]):
    """Whoever has work done."""

    async def run(self, work: W_contra) -> Any:
        """Have something done; returns its result, raises its error."""

    async def close(self) -> None:
        """Finish what waits."""


class Job(Generic[W]):
    """A piece of work, and what became of it: whoever performs it sets `result` or `error`."""

    def __init__(self, work: W) -> None:
        self.work = work
        self.result: Any = None
        self.error: Exception | None = None
        self.performed = False


Perform = Callable[[Sequence[Job[W]]], None]


def _perform(perform: Perform[W], group: Sequence[Job[W]]) -> None:
    try:
        perform(group)
    except Exception as error:
        for job in group:
            job.error = job.error or error
    for job in group:
        job.performed = True


class _Awaited(Job[W]):
    """A job for which a coroutine waits."""

    def __init__(self, work: W) -> None:
        super().__init__(work)
        self.loop = asyncio.get_running_loop()
        self.done: asyncio.Future[Any] = self.loop.create_future()

    def deliver(self) -> None:
        """Hand the outcome to whoever waits, on the loop's own thread."""
        if self.done.done():
            return
        if self.error:
            self.done.set_exception(self.error)
        else:
            self.done.set_result(self.result)


class WorkerThreads(Generic[W]):
    """`size` threads that perform jobs in groups of at most `group`: functions go in by one queue, results come back to
    the loop that asked."""

    def __init__(self, name: str, size: int, perform: Perform[W], group: int = 1) -> None:
        self._perform = perform
        self._group = group
        self._jobs: queue.SimpleQueue[_Awaited[W] | None] = queue.SimpleQueue()
        self._threads = [threading.Thread(target=self._run, name=name, daemon=True) for _ in range(size)]
        for thread in self._threads:
            thread.start()

    async def run(self, work: W) -> Any:
        """Have something done; returns its result, raises its error."""
        job = _Awaited(work)
        self._jobs.put(job)
        return await job.done

    async def close(self) -> None:
        """Finish what waits, then let the threads go."""
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            await asyncio.get_running_loop().run_in_executor(None, thread.join)

    def _run(self) -> None:
        while group := self._next():
            _perform(self._perform, group)
            for job in group:
                job.loop.call_soon_threadsafe(job.deliver)

    def _next(self) -> list[_Awaited[W]]:
        job = self._jobs.get()
        group: list[_Awaited[W]] = []
        while job is not None:
            group.append(job)
            if len(group) == self._group or self._jobs.empty():
                return group
            job = self._jobs.get()
        if group:
            self._jobs.put(None)
        return group


class GroupCommit(Generic[W]):
    """For callers that are threads: each waits here for its own work, and who comes first performs that of all, in
    groups of at most `group`."""

    def __init__(self, perform: Perform[W], group: int) -> None:
        self._perform = perform
        self._group = group
        self._jobs: deque[Job[W]] = deque()
        self._lock = threading.Lock()

    async def run(self, work: W) -> Any:
        """Have something done, without ever leaving the thread; returns its result, raises its error."""
        job = Job(work)
        self._jobs.append(job)
        with self._lock:
            while not job.performed:
                _perform(self._perform, [self._jobs.popleft() for _ in range(min(len(self._jobs), self._group))])
        if job.error:
            raise job.error
        return job.result

    async def close(self) -> None:
        """Nothing waits once its caller has gone on."""


class Inline:
    """For callers that are threads: what is to be done is done in them."""

    async def run(self, work: Callable[[], Any]) -> Any:
        """Do something; returns its result, raises its error."""
        return work()

    async def close(self) -> None:
        """Nothing waits."""


def perform_each(jobs: Sequence[Job[Callable[[], Any]]]) -> None:
    """Perform jobs whose work is a function without arguments, one after the other."""
    for job in jobs:
        try:
            job.result = job.work()
        except Exception as error:
            job.error = error
