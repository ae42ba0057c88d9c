"""Clients that go on with something in threads while a test does something else."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator


class ClientsAtWork:
    """So many clients; each calls `_run`, which ends soon after `_ended` is set."""

    def __init__(self, count: int) -> None:
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(count)]

    @contextlib.contextmanager
    def on(self) -> Iterator[None]:
        """While this lasts, they are at work."""
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            self._ended.set()
            for thread in self._threads:
                thread.join()

    def _run(self) -> None:
        raise NotImplementedError
