"""A whole server on a free port of this machine, in a thread of the test's own process."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import requests
import uvloop

from iuserver.server import Server
from iuserver.settings import Settings
from tests.backends import sections_of

DEADLINE = 20.0


class Clock:
    """The time, until a test sets it."""

    def __init__(self) -> None:
        self.offset = 0.0

    def __call__(self) -> float:
        return time.time() + self.offset

    def set(self, now: float) -> None:
        self.offset = now - time.time()

    def advance(self, seconds: float) -> None:
        self.offset += seconds


class RunningServer:
    """A server that runs, and what tests do with it."""

    def __init__(self, server: Server, loop: asyncio.AbstractEventLoop, clock: Clock, thread: threading.Thread) -> None:
        self.server = server
        self.clock = clock
        self._loop = loop
        self._thread = thread
        self._emails = 0

    @property
    def url(self) -> str:
        return self.server.url

    @property
    def data(self) -> Path:
        return Path(self.server.settings.server.data)

    @property
    def address(self) -> tuple[str, int]:
        host, _, port = self.url.removeprefix("http://").partition(":")
        return host, int(port)

    def call(self, work: Any) -> Any:
        """Run a coroutine on the server's loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(DEADLINE)

    def loop_seconds(self) -> float:
        """The processor time that the server's event loop has used so far."""
        assert self._thread.ident
        return time.clock_gettime(time.pthread_getcpuclockid(self._thread.ident))

    def new_email(self, plan: str = "free", *, admin: bool = False) -> tuple[str, str]:
        """A new account: its address and its key."""
        self._emails += 1
        made = self.call(self.server.accounts.add(f"user{self._emails}@example.org", plan, admin=admin))
        return made.account.email, made.key

    def new_key(self, plan: str = "free") -> str:
        return self.new_email(plan)[1]

    def upload(self, key: str, data: bytes, name: str = "photo.jpg", **fields: str) -> requests.Response:
        return requests.post(
            f"{self.url}/api/upload", headers=bearer(key), files={"file": (name, data)}, data=fields, timeout=DEADLINE
        )

    def get(self, path: str, key: str | None = None, **headers: str) -> requests.Response:
        url = path if path.startswith("http") else self.url + path
        return requests.get(url, headers={**(bearer(key) if key else {}), **headers}, timeout=DEADLINE)

    def blobs(self) -> set[str]:
        """The keys of all blobs, wherever they are."""

        async def listed() -> set[str]:
            return {key async for key, _ in self.server._services.viewing.blobs.listing()}

        keys: set[str] = self.call(listed())
        return keys

    def files(self, folder: str) -> list[Path]:
        """The files below a folder of the data."""
        return [path for path in (self.data / folder).rglob("*") if path.is_file()]


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


@contextlib.contextmanager
def running(folder: Path, **sections: dict[str, Any]) -> Iterator[RunningServer]:
    """Run a server over `folder`; `sections` change settings, as in limits={"api_per_minute": 5}.

    Its backends are those of the folder (backends.py), unless the sections name others.
    """
    settings = changed(Settings(), {"server": {}, **sections_of(folder), **sections})
    settings = changed(settings, {"server": {"data": str(folder), "port": 0}})
    clock = Clock()
    loop = uvloop.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    server = Server(settings, clock)
    on_loop = lambda work: asyncio.run_coroutine_threadsafe(work, loop).result(60)  # noqa: E731
    try:
        on_loop(server.start())
        try:
            yield RunningServer(server, loop, clock, thread)
        finally:
            on_loop(server.stop())
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def changed(settings: Settings, sections: dict[str, dict[str, Any]]) -> Settings:
    """Settings with some values replaced; a plan is given as plans={"free": {"max_file_mb": 1}}."""
    for name, values in sections.items():
        section = getattr(settings, name)
        for key, value in values.items():
            if isinstance(value, dict):
                value = dataclasses.replace(getattr(section, key), **value)
            section = dataclasses.replace(section, **{key: value})
        settings = dataclasses.replace(settings, **{name: section})
    return settings


def eventually(condition: Callable[[], Any], deadline: float = DEADLINE) -> Any:
    """Wait until a condition holds and return what it returned; fail at the deadline."""
    end = time.monotonic() + deadline
    while not (value := condition()):
        if time.monotonic() > end:
            raise AssertionError(f"still not so after {deadline} s: {condition}")
        threading.Event().wait(0.01)
    return value
