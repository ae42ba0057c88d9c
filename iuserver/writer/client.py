"""Client of the writer process: puts and commits go over a socket; reads stay in the server."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import logging
import os
import socket
import sys
from asyncio.subprocess import Process
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from iuserver.blobs.disk import DiskBlobs
from iuserver.catalog.read_only import READING
from iuserver.catalog.sqlite import SqliteCatalog
from iuserver.errors import ClientGone, Fault, OutcomeUnknown
from iuserver.ports import WholeCatalog
from iuserver.records import Account, Charge, Claim, Image
from iuserver.writer.wire import LARGEST, READY, packet, parts_of

log = logging.getLogger("iuserver.writer")

PROGRAM = "iuserver.writer.process"
PACKAGE_ROOT = Path(__file__).parents[2]
START_SECONDS = 30.0
AGAIN_SECONDS = 0.5
"""Pause between attempts to start a replacement."""
END_SECONDS = 5.0


class WriterCrash(RuntimeError):
    """The writer process met a bug of ours; the text is its traceback."""


class WriterProcess:
    """The writer process of a SQLite file and of a blob folder (None: it does not write that one).

    A process that ends is replaced. The outcome of its pending requests is unknown: they fail with
    Fault("storage_unavailable"), as when the response of a database is lost.
    """

    def __init__(self, catalog: Path | None, blobs: Path | None, sync: bool, group: int | None = None) -> None:
        shared = "" if group is None else str(group)
        self.has_both = bool(catalog and blobs)
        self._arguments = (str(catalog or ""), str(blobs or ""), "sync" if sync else "", shared)
        self._numbers = itertools.count()
        self._asked: dict[int, asyncio.Future[Any]] = {}
        self._unsent: deque[bytes] = deque()
        self._closing = False
        self._loop = asyncio.get_running_loop()
        self._ready = asyncio.Event()

    async def start(self) -> None:
        """Start the process and wait until it is ready. Raises OSError, TimeoutError."""
        await self._start_process()
        self._supervising = self._loop.create_task(self._supervise())

    async def close(self) -> None:
        """Let the process finish its requests and exit."""
        self._closing = True
        if self._ready.is_set():
            self._close_connection()
        _, late = await asyncio.wait({self._supervising}, timeout=END_SECONDS)
        if late:
            self._process.kill()
            await self._supervising

    @property
    def pid(self) -> int:
        """The id of the process that runs, or ran last."""
        return self._process.pid

    async def ask(self, owner: str, method: str, *arguments: Any, **named: Any) -> Any:
        """Have a method of the "catalog", the "blobs" or the "uploads" called. Raises what it raises, and
        OutcomeUnknown."""
        if not self._ready.is_set():
            await self._until_ready()
        number, answer = next(self._numbers), self._loop.create_future()
        question = packet(number, owner, method, arguments, named)
        if len(question) > LARGEST:
            raise ValueError(f"{owner}.{method} is asked with {len(question)} bytes")
        self._asked[number] = answer
        self._send(question)
        return await answer

    async def _until_ready(self) -> None:
        try:
            await asyncio.wait_for(self._ready.wait(), START_SECONDS)
        except TimeoutError as error:
            raise _unavailable() from error

    # The process.

    async def _start_process(self) -> None:
        self._connection, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._connection.setblocking(False)
        try:
            with theirs:
                self._process = await self._run_program(theirs.fileno())
        except OSError:
            self._connection.close()
            raise
        try:
            await asyncio.wait_for(self._receive_ready(), START_SECONDS)
        except (OSError, TimeoutError):
            self._connection.close()
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
            raise
        self._ready.set()
        self._loop.add_reader(self._connection, self._read)

    async def _run_program(self, connection: int) -> Process:
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "LD_LIBRARY_PATH", "TZ") if name in os.environ}
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", PROGRAM, *self._arguments),
            stdin=connection,
            stdout=asyncio.subprocess.DEVNULL,
            env={**kept, "PYTHONPATH": str(PACKAGE_ROOT), "MALLOC_ARENA_MAX": "2"},
            start_new_session=True,  # a Ctrl-C in the terminal is the server's to handle
        )

    async def _receive_ready(self) -> None:
        if await self._loop.sock_recv(self._connection, LARGEST) != READY:
            raise OSError("the writer process ended while it was starting")

    async def _supervise(self) -> None:
        """Replace the process whenever it ends."""
        while True:
            returncode = await self._process.wait()
            if not self._closing:
                self._close_connection()
            self._give_up_answers()
            if self._closing:
                return
            log.warning("the writer process ended with %s; starting another", returncode)
            await self._start_another()
            if self._closing and self._ready.is_set():
                self._close_connection()

    async def _start_another(self) -> None:
        while not (self._closing or self._ready.is_set()):
            try:
                await self._start_process()
            except (OSError, TimeoutError) as error:
                log.error("the writer process could not be started: %r", error)
                await asyncio.sleep(AGAIN_SECONDS)

    def _close_connection(self) -> None:
        self._ready.clear()
        self._loop.remove_reader(self._connection)
        self._loop.remove_writer(self._connection)
        self._connection.close()

    def _give_up_answers(self) -> None:
        self._unsent.clear()
        asked, self._asked = self._asked, {}
        for answer in asked.values():
            if not answer.done():
                answer.set_exception(_unavailable())

    # Questions and answers.

    def _send(self, question: bytes) -> None:
        self._unsent.append(question)
        if len(self._unsent) == 1:
            self._flush()

    def _flush(self) -> None:
        try:
            while self._unsent:
                self._connection.send(self._unsent[0])
                self._unsent.popleft()
            self._loop.remove_writer(self._connection)
        except BlockingIOError:
            self._loop.add_writer(self._connection, self._flush)
        except ConnectionError:  # it has ended: `_supervise` gives the answers up
            self._loop.remove_writer(self._connection)

    def _read(self) -> None:
        try:
            while received := self._connection.recv(LARGEST):
                number, kind, result = parts_of(received)
                self._settle(self._asked.pop(number), kind, result)
        except BlockingIOError:
            return
        except ConnectionError:
            pass
        self._loop.remove_reader(self._connection)  # it has ended

    def _settle(self, answer: asyncio.Future[Any], kind: str, result: Any) -> None:
        if answer.done():
            return
        if kind == "done":
            answer.set_result(result)
        elif kind == "fault":
            answer.set_exception(_caused(*result))
        else:
            answer.set_exception(WriterCrash(result))


class WriterStore:
    """The port StoresUploads in the writer process that has blobs and catalog: one request an upload."""

    def __init__(self, writer: WriterProcess) -> None:
        self._writer = writer

    async def store(
        self, path: str, image: Image, charge: Charge, claim: Claim | None, is_here: Callable[[], bool]
    ) -> Account:
        if not is_here():
            raise ClientGone
        account: Account = await self._writer.ask("uploads", "store", path, image, charge, claim)
        return account


class WriterBlobs(DiskBlobs):
    """Blobs on a local disk that the writer process puts."""

    def __init__(self, folder: Path, writer: WriterProcess) -> None:
        super().__init__(folder)
        self._writer = writer

    async def put(self, key: str, path: str) -> int:
        size: int = await self._writer.ask("blobs", "put", key, path)
        return size


def writer_catalog(catalog: SqliteCatalog, writer: WriterProcess) -> WholeCatalog:
    """The same catalog; what changes it is done by the writer process."""
    return cast(WholeCatalog, _WriterCatalog(catalog, writer))


class _WriterCatalog:
    def __init__(self, catalog: SqliteCatalog, writer: WriterProcess) -> None:
        self._catalog = catalog
        self._writer = writer

    def __getattr__(self, name: str) -> Any:
        if name in READING:
            return getattr(self._catalog, name)
        return functools.partial(self._writer.ask, "catalog", name)


def _caused(fault: Fault, cause: str) -> Fault:
    fault.__cause__ = RuntimeError(cause) if cause else None
    return fault


def _unavailable() -> Fault:
    fault = OutcomeUnknown("storage_unavailable", "The server cannot store anything at the moment")
    return _caused(fault, "the writer process is away")
