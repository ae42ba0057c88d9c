"""Proxies on this machine, which add a key or a path; and a server of one page."""

from __future__ import annotations

import contextlib
import http.client
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

HOP = {"connection", "transfer-encoding", "keep-alive", "content-length"}


class QuietServer(ThreadingHTTPServer):
    """A server whose clients may leave as they like."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class Target:
    """Where a proxy forwards to, which may become known after it has been started."""

    def __init__(self, address: tuple[str, int] = ("", 0)) -> None:
        self.address = address


@contextlib.contextmanager
def keyed(address: tuple[str, int], key: str) -> Iterator[str]:
    """Forward what comes, with the key, and give the proxy's URL."""
    with _forwarding(Target(address), {"Authorization": f"Bearer {key}"}, "") as url:
        yield url


@contextlib.contextmanager
def below(path: str, target: Target) -> Iterator[str]:
    """Forward what comes below a path, without it, and give the proxy's URL with the path."""
    with _forwarding(target, {}, path) as url:
        yield url + path


@contextlib.contextmanager
def _forwarding(target: Target, headers: dict[str, str], below: str) -> Iterator[str]:

    class Forward(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def forward(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            path = self.path.removeprefix(below)
            with contextlib.closing(http.client.HTTPConnection(*target.address, timeout=60)) as upstream:
                upstream.putrequest(self.command, path, skip_host=True, skip_accept_encoding=True)
                for name, value in self.headers.items():
                    if name.lower() not in HOP:
                        upstream.putheader(name, value)
                for name, value in headers.items():
                    upstream.putheader(name, value)
                upstream.putheader("Content-Length", str(len(body)))
                upstream.endheaders(body)
                self.answer(upstream.getresponse())

        do_GET = do_POST = do_DELETE = do_PUT = do_OPTIONS = forward

        def answer(self, response: http.client.HTTPResponse) -> None:
            body = response.read()
            self.send_response_only(response.status)
            for name, value in response.getheaders():
                if name.lower() not in HOP:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: Any) -> None:
            pass

    with _running(Forward) as url:
        yield url


@contextlib.contextmanager
def serving(body: str) -> Iterator[str]:
    """Serve one page of HTML, and give its URL."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response_only(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *arguments: Any) -> None:
            pass

    with _running(Page) as url:
        yield url


@contextlib.contextmanager
def _running(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    server = QuietServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
