"""Executors for blocking work: threads for an event loop, and group commit for callers that are threads.

It costs a third of `run_in_executor`, which matters when every upload comes through here twice. A performer takes all
waiting jobs, up to a limit, so that work such as a commit is done once for all of them.
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
    """Runs work somewhere and awaits its result."""

    async def run(self, work: W_contra) -> Any:
        """Run work; returns its result, raises its error."""

    async def close(self) -> None:
        """Finish pending work."""


class Job(Generic[W]):
    """A unit of work and its outcome: the performer sets `result` or `error`."""

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
    """A job that a coroutine awaits."""

    def __init__(self, work: W) -> None:
        super().__init__(work)
        self.loop = asyncio.get_running_loop()
        self.done: asyncio.Future[Any] = self.loop.create_future()

    def deliver(self) -> None:
        """Resolve the future, on the thread of its loop."""
        if self.done.done():
            return
        if self.error:
            self.done.set_exception(self.error)
        else:
            self.done.set_result(self.result)


class WorkerThreads(Generic[W]):
    """`size` threads that perform jobs in groups of at most `group`: jobs go in by one queue, results come back to the
    loop that submitted them."""

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
        """Finish pending jobs, then end the threads."""
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
    """Group commit for callers that are threads: each waits for its own job, and the first to get the lock performs all
    pending ones, in groups of at most `group`."""

    def __init__(self, perform: Perform[W], group: int) -> None:
        self._perform = perform
        self._group = group
        self._jobs: deque[Job[W]] = deque()
        self._lock = threading.Lock()

    async def run(self, work: W) -> Any:
        """Run work in this thread or another caller's; returns its result, raises its error."""
        job = Job(work)
        self._jobs.append(job)
        with self._lock:
            while not job.performed:
                _perform(self._perform, [self._jobs.popleft() for _ in range(min(len(self._jobs), self._group))])
        if job.error:
            raise job.error
        return job.result

    async def close(self) -> None:
        """Nothing is pending once its caller has returned."""


class Inline:
    """Runs work in the calling thread."""

    async def run(self, work: Callable[[], Any]) -> Any:
        """Run work; returns its result, raises its error."""
        return work()

    async def close(self) -> None:
        """Nothing is ever pending."""


def perform_each(jobs: Sequence[Job[Callable[[], Any]]]) -> None:
    """Perform jobs whose work is a function without arguments, one after the other."""
    for job in jobs:
        try:
            job.result = job.work()
        except Exception as error:
            job.error = error
