"""The yardstick: a bare Tornado handler that streams each body to a new file, or returns a file's bytes from memory.

No parsing, no worker, no record, no sync, no log, no ETag.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import sys
from pathlib import Path
from typing import BinaryIO

import uvloop
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler, stream_request_body

MAX_BODY = 1 << 30


class BareGetHandler(RequestHandler):
    """The bytes of a file, read once."""

    folder: Path

    def get(self, name: str) -> None:
        self.set_header("Content-Type", "image/jpeg")
        self.write(_contents(self.folder / name))

    def compute_etag(self) -> None:
        return None


@functools.lru_cache
def _contents(path: Path) -> bytes:
    return path.read_bytes()


@stream_request_body
class BareHandler(RequestHandler):
    """A body to a new file, as it arrives."""

    numbers = itertools.count()
    folder: Path
    file: BinaryIO

    def prepare(self) -> None:
        self.file = (self.folder / f"{next(self.numbers)}").open("wb", buffering=0)

    def data_received(self, chunk: bytes) -> None:
        self.file.write(chunk)

    def post(self) -> None:
        self.file.close()
        self.write({"ok": True})


async def serve(folder: Path) -> None:
    """Listen on a free port, say which, and go on until killed."""
    BareHandler.folder = BareGetHandler.folder = folder
    routes = [("/", BareHandler), ("/(.+)", BareGetHandler)]
    http = HTTPServer(Application(routes, log_function=lambda handler: None), max_body_size=MAX_BODY)
    sockets = bind_sockets(0, "127.0.0.1", backlog=1024)
    http.add_sockets(sockets)
    print(f"listening on http://127.0.0.1:{sockets[0].getsockname()[1]}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve(Path(sys.argv[1])))
