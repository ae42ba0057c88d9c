"""The pool of worker processes: hands each one job at a time, and replaces those that hang or die.

Workers are separate programs (never forks: libvips does not survive them) that hold only one end of a socket pair. A
worker exits when the other end closes, so none outlives the server, even after kill -9. Their answers are checked: a
worker parses untrusted pictures and may have been compromised.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import mmap
import os
import signal
import socket
import sys
from asyncio.subprocess import Process
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import orjson

from iuserver.errors import Fault
from iuserver.imaging.answers import UNDECODABLE, Result, UnexpectedAnswer, WorkerCrash, ready_of, result_of
from iuserver.imaging.plan import Rules
from iuserver.imaging.stderr import Stderr
from iuserver.imaging.wire import DEADLINES, SHARED_BUFFER_BYTES, Kind, Reader, message, send_buffer
from iuserver.policy import overloaded
from iuserver.records import Facts

log = logging.getLogger("iuserver.imaging")

RECYCLE_AFTER = 5000  # a start costs 70 ms of processor time: 14 us a job
START_SECONDS = 30.0
DEATHS_IN_A_ROW = 5
"""After so many, and one more for each worker, without a job finished in between, no picture is to blame: one explains
two, as it is tried twice, and something that kills all workers at once happens."""
MOST_DOUBLINGS = 3
FROM_OUTSIDE = {-signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT}
PROGRAM = "iuserver.imaging.worker"
PACKAGE_ROOT = Path(__file__).parents[2]


@dataclass
class _Job:
    kind: Kind
    origin: bytes | str
    target: str
    done: asyncio.Future[Any]
    retried: bool = False


class Pool:
    """At most `workers` jobs at a time; one that takes longer than `deadline` seconds is cut off with its worker.

    There is one process more than that, warm, so that the loss of one costs nobody the time of a start; but not in the
    `background`, where all of them have what is left of the processors. Of the files they may touch those below
    `folder` only: every origin and target is there.
    """

    def __init__(
        self, workers: int, rules: Rules, folder: str, deadline: float = 2.0, *, background: bool = False
    ) -> None:
        self.workers = workers
        self.rules = rules
        self.folder = folder
        self.deadline = deadline
        self.background = background
        self._busy = 0
        self._waiting: deque[_Job] = deque()
        self._idle: list[_Worker] = []
        self._all: set[_Worker] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._deaths = 0
        self._broken = False
        self._unconfined: list[str] = []
        self._closing = asyncio.Event()

    async def start(self) -> None:
        """Start every worker and wait until they are ready. Raises RuntimeError where one cannot start."""
        starts = [self._start_worker() for _ in range(self.workers + (not self.background))]
        for outcome in await asyncio.gather(*starts, return_exceptions=True):  # none is left behind in its start
            if isinstance(outcome, BaseException):
                raise outcome

    async def submit(self, origin: bytes | str, target: str) -> Facts:
        """Walk, clean and write a picture to the new file `target` (on the same file system as `origin`).

        In memory a picture may have SHARED_BUFFER_BYTES. A file at `origin` may have been cut and be the same file as
        `target` afterwards. Raises Fault: unsupported_type, broken_image, too_many_pixels, too_many_frames,
        too_many_scans, storage_unavailable; overloaded when two workers were killed under the job, or the pool is not
        healthy.
        """
        facts: Facts = await self._do("clean", origin, target)
        return facts

    async def thumbnail(self, origin: bytes | str, target: str) -> int:
        """Write the thumbnail of a clean picture to the new file `target`, and return its size in bytes.

        Raises Fault where there can be none: broken_image, unsupported_type, too_many_pixels,
        too_many_frames, too_many_scans; storage_unavailable and overloaded as `submit` does.
        """
        size: int = await self._do("thumbnail", origin, target)
        return size

    async def likeness(self, origin: bytes | str) -> bytes | None:
        """The perceptual hash of a clean picture; None where it cannot be decoded. Raises Fault: storage_unavailable,
        overloaded, as `submit` does."""
        try:
            found: bytes = await self._do("likeness", origin, "")
        except Fault as fault:
            if fault.code not in UNDECODABLE:
                raise
            return None
        return found

    async def _do(self, kind: Kind, origin: bytes | str, target: str) -> Any:
        assert isinstance(origin, str) or len(origin) <= SHARED_BUFFER_BYTES
        if not self.healthy:
            raise overloaded()
        job = _Job(kind, origin, target, asyncio.get_running_loop().create_future())
        self._waiting.append(job)
        self._assign()
        return await job.done

    async def close(self) -> None:
        """End the workers; jobs that are still waiting get Fault("overloaded")."""
        self._closing.set()
        self._turn_away()
        for worker in list(self._all):
            worker.transport.close()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=self.deadline)
        for worker in list(self._all):  # one that did not notice: stopped, or deep in a job
            worker.kill()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def replace_all(self) -> None:
        """Kill every worker, as one of them, nobody knows which, has been taken over. Jobs go to those that come."""
        log.error("a worker could still change a picture that was to be stored; all workers are replaced")
        for worker in self._all:
            worker.kill()

    @property
    def healthy(self) -> bool:
        """Whether jobs are taken: not while one worker after the other dies, until one has started or done its job."""
        return not (self._broken or self._closing.is_set())

    @property
    def idle_pids(self) -> list[int]:
        """The process ids of the workers that wait for a job; the last one is the next to get one."""
        return [worker.process.pid for worker in self._idle]

    @property
    def busy_pids(self) -> list[int]:
        """The process ids of the workers that have a job."""
        return [worker.process.pid for worker in self._all if worker.job]

    @property
    def pids(self) -> list[int]:
        """The process ids of the workers that are running."""
        return [worker.process.pid for worker in self._all]

    def _assign(self) -> None:
        while self._waiting and self._idle and self._busy < self.workers:
            job = self._waiting.popleft()
            if not job.done.done():
                self._busy += 1
                self._idle.pop().run(job)

    async def _start_worker(self) -> None:
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                process, stderr = await self._run_program(theirs.fileno())
        except OSError:
            ours.close()
            raise
        try:
            buffer = send_buffer(ours)
        except OSError as error:
            ours.close()
            await process.wait()
            await stderr.close()
            raise RuntimeError("a worker ended before it was started") from error
        loop = asyncio.get_running_loop()
        _, worker = await loop.create_unix_connection(lambda: _Worker(self, process, stderr, buffer), sock=ours)
        self._all.add(worker)
        self._spawn(self._reap(worker))
        try:
            await asyncio.wait_for(asyncio.shield(worker.ready), START_SECONDS)
        except TimeoutError:
            process.kill()
            raise

    async def _run_program(self, connection: int) -> tuple[Process, Stderr]:
        reading, writing = os.pipe()
        try:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", PROGRAM),
                *(orjson.dumps(self.rules).decode(), str(self.deadline), self.folder),
                *(["background"] if self.background else []),
                stdin=connection,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=writing,
                env=_environment(self.folder),
                start_new_session=True,  # a Ctrl-C in the terminal is the server's to handle
            )
        except BaseException:
            os.close(reading)
            raise
        finally:
            os.close(writing)
        return process, await Stderr.opened(process.pid, reading)

    async def _reap(self, worker: _Worker) -> None:
        """Wait for a worker's end, settle the job that it held, and replace it."""
        await worker.gone
        returncode = await worker.process.wait()
        self._all.discard(worker)
        lost = worker.started and not worker.expiring and not self._closing.is_set()
        if lost:
            log.warning("worker %d ended with %s; replacing it", worker.process.pid, returncode)
            self._count_death()
        if worker.job:
            self._busy -= 1
            self._settle(worker, worker.job, returncode)
            self._assign()
        if lost:
            await self._start_another()
        await worker.stderr.close()

    async def _start_another(self) -> None:
        """Start a worker, however often that takes."""
        while not self._closing.is_set():
            await self._pause()
            try:
                await self._start_worker()
                return
            except (OSError, RuntimeError, TimeoutError) as error:
                if not self._closing.is_set():
                    log.error("a worker could not be started: %r", error)
                    self._count_death()

    async def _pause(self) -> None:
        """Wait before a start: milliseconds at first, twice as long after each death, a second once too many died."""
        seconds = 2.0 ** min(self._deaths - self.workers - DEATHS_IN_A_ROW, MOST_DOUBLINGS)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._closing.wait(), seconds)

    def _count_death(self) -> None:
        """Take no more jobs when too many died in a row: they would wait for workers that may never come."""
        self._deaths += 1
        if self._deaths >= self.workers + DEATHS_IN_A_ROW and not self._broken:
            self._broken = True
            log.error("%d workers in a row died without finishing a job; uploads are refused", self._deaths)
            self._turn_away()

    def _recover(self) -> None:
        if self._broken:
            self._broken = False
            log.warning("a worker is ready; uploads are taken again")

    def _turn_away(self) -> None:
        """Fail the jobs that wait."""
        for job in self._waiting:
            _fail(job, overloaded())
        self._waiting.clear()

    async def _recycle(self, worker: _Worker) -> None:
        """Retire a worker after many jobs, once another has replaced it."""
        await self._start_another()
        worker.expired = True
        if worker in self._idle:
            self._idle.remove(worker)
            worker.retire()

    def _settle(self, worker: _Worker, job: _Job, returncode: int) -> None:
        """Killed from outside: once more, then 503. Hung, or killed by its own picture: the picture is to blame.

        A worker that died before it read its order says nothing about the picture: that is not counted as a try.
        """
        _remove(job.target)
        if worker.timed_out:
            _fail(job, Fault("broken_image", "The image is broken: reading it takes too long"))
        elif returncode not in FROM_OUTSIDE:
            _fail(job, Fault("broken_image", "The image is broken: it cannot be read"))
        elif not self.healthy or (job.retried and not worker.order_unread):
            _fail(job, overloaded())
        else:
            job.retried = job.retried or not worker.order_unread
            self._waiting.appendleft(job)

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # What a worker tells its pool.

    def worker_ready(self, worker: _Worker, missing: list[str]) -> None:
        """A worker has started, confined but for what is `missing`. One death more is still one too many."""
        self._recover()
        if missing and not (self._unconfined or self.background):  # the other pool has said so
            log.warning("workers are confined without %s", ", ".join(missing))
            self._unconfined = missing
        self.worker_free(worker)

    def worker_done(self, worker: _Worker) -> None:
        """A worker has finished its job."""
        self._busy -= 1
        self._deaths = 0
        self._recover()
        self.worker_free(worker)

    def worker_free(self, worker: _Worker) -> None:
        """A worker waits for a job."""
        if worker.expired:
            return worker.retire()
        if worker.jobs_done >= RECYCLE_AFTER and not worker.expiring:
            worker.expiring = True
            self._spawn(self._recycle(worker))
        self._idle.append(worker)
        return self._assign()


class _Worker(asyncio.Protocol):
    """This end of one worker's socket."""

    transport: asyncio.Transport

    def __init__(self, pool: Pool, process: Process, stderr: Stderr, buffer: mmap.mmap) -> None:
        loop = asyncio.get_running_loop()
        self.pool = pool
        self.process = process
        self.stderr = stderr
        self.ready: asyncio.Future[None] = loop.create_future()
        self.gone: asyncio.Future[None] = loop.create_future()
        self.job: _Job | None = None
        self.jobs_done = 0
        self.timed_out = False
        self.expiring = False
        self.expired = False
        self.order_unread = False
        self._distrusted = False
        self._loop = loop
        self._buffer = buffer
        self._reader = Reader()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def started(self) -> bool:
        return self.ready.done() and self.ready.exception() is None

    def run(self, job: _Job) -> None:
        self.job = job
        self._timer = self._loop.call_later(self.pool.deadline * DEADLINES[job.kind].all, self._cut_off)
        self.transport.write(message(self._order(job)))

    def _order(self, job: _Job) -> dict[str, Any]:
        order = {"kind": job.kind, "target": job.target}
        if isinstance(job.origin, str):
            return {**order, "source": job.origin}
        self._buffer[: len(job.origin)] = job.origin
        return {**order, "length": len(job.origin)}

    def retire(self) -> None:
        self.transport.close()

    def _cut_off(self) -> None:
        self.timed_out = True
        self.kill()

    def kill(self) -> None:
        """End the process, if it has not ended itself."""
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self._distrusted:
            return
        try:
            answer = self._reader.feed(data)
            if answer is None:
                return
            result = self._judge(answer)
        except (UnexpectedAnswer, ValueError) as error:
            self._distrust(error)
        else:
            self._take(result)

    def _judge(self, answer: dict[str, Any]) -> list[str] | Result | Fault | WorkerCrash:
        """What an answer says, if it is one that is due. Raises UnexpectedAnswer."""
        if not self.ready.done():
            return ready_of(answer)
        if self.job is None:
            raise UnexpectedAnswer("without a job")
        target = None if self.job.done.done() else self.job.target  # nobody waits for it: it may have been removed
        return result_of(answer, self.job.kind, target, self.pool.rules.limits)

    def _distrust(self, error: Exception) -> None:
        """Kill a worker that is not what it was; its job, if it has one, is another's."""
        self._distrusted = True
        log.error("worker %d answered what no worker does: %s; killing it", self.process.pid, error)
        self._leave_line()
        self.kill()

    def _take(self, result: list[str] | Result | Fault | WorkerCrash) -> None:
        if isinstance(result, list):
            self.ready.set_result(None)
            self.pool.worker_ready(self, result)
        else:
            self._finish(result)
            self.pool.worker_done(self)

    def _finish(self, result: Result | Fault | WorkerCrash) -> None:
        job, self.job = self.job, None
        self.jobs_done += 1
        if self._timer:
            self._timer.cancel()
        assert job
        if isinstance(result, Exception):
            _fail(job, result)
        elif not job.done.done():
            job.done.set_result(result)

    def _leave_line(self) -> None:
        """Get no job any more."""
        if self in self.pool._idle:
            self.pool._idle.remove(self)

    def connection_lost(self, error: Exception | None) -> None:
        self._leave_line()  # at once: its process may take a while to end
        self.order_unread = isinstance(error, ConnectionError)  # unix(7): what the peer had not read resets
        if self._timer:
            self._timer.cancel()
        if not self.ready.done():
            self.ready.set_exception(RuntimeError("a worker ended while it was starting"))
        if not self.gone.done():
            self.gone.set_result(None)
        self._buffer.close()


def _remove(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def _fail(job: _Job, error: Exception) -> None:
    if not job.done.done():
        job.done.set_exception(error)


def _environment(folder: str) -> dict[str, str]:
    """What a worker may know: where Python finds things, where there is room for more than fits into memory."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "LD_LIBRARY_PATH") if name in os.environ}
    return {
        **kept,
        "TMPDIR": folder,
        "PYTHONPATH": str(PACKAGE_ROOT),
        "MALLOC_ARENA_MAX": "2",
        "MALLOC_MMAP_THRESHOLD_": str(1024 * 1024),  # what a decoder has taken goes back at once
        "G_MESSAGES_DEBUG": "",
        "VIPS_WARNING": "0",
    }
