"""Blocking work on threads of our own: functions go in by one queue, results come back to the loop that asked.

A third of the cost of `run_in_executor`, which counts when every upload passes here twice. A thread takes all that
waits, up to `group`, so that whoever can do many things at the price of one (a commit) gets the chance.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

W = TypeVar("W")


class Job(Generic[W]):
    """A piece of work, and what became of it: whoever performs it sets `result` or `error`."""

    def __init__(self, work: W) -> None:
        self.work = work
        self.loop = asyncio.get_running_loop()
        self.done: asyncio.Future[Any] = self.loop.create_future()
        self.result: Any = None
        self.error: Exception | None = None

    def deliver(self) -> None:
        """Hand the outcome to whoever waits, on the loop's own thread."""
        if self.done.done():
            return
        if self.error:
            self.done.set_exception(self.error)
        else:
            self.done.set_result(self.result)


class Crew(Generic[W]):
    """`size` threads that perform jobs in groups of at most `group`."""

    def __init__(self, name: str, size: int, perform: Callable[[list[Job[W]]], None], group: int = 1) -> None:
        self._perform = perform
        self._group = group
        self._jobs: queue.SimpleQueue[Job[W] | None] = queue.SimpleQueue()
        self._threads = [threading.Thread(target=self._run, name=name, daemon=True) for _ in range(size)]
        for thread in self._threads:
            thread.start()

    async def run(self, work: W) -> Any:
        """Have something done; returns its result, raises its error."""
        job = Job(work)
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
            try:
                self._perform(group)
            except Exception as error:
                for job in group:
                    job.error = job.error or error
            for job in group:
                job.loop.call_soon_threadsafe(job.deliver)

    def _next(self) -> list[Job[W]]:
        job = self._jobs.get()
        group: list[Job[W]] = []
        while job is not None:
            group.append(job)
            if len(group) == self._group or self._jobs.empty():
                return group
            job = self._jobs.get()
        if group:
            self._jobs.put(None)
        return group


def perform_each(jobs: list[Job[Callable[[], Any]]]) -> None:
    """Perform jobs whose work is a function without arguments, one after the other."""
    for job in jobs:
        try:
            job.result = job.work()
        except Exception as error:
            job.error = error
