"""What a client's text costs the event loop: at most in proportion to its length, whatever stands in it.

A new field is one row of a table: how a request is made that carries so many bytes of the worst for it.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import orjson
import pytest

from tests import pictures
from tests.agents import MODERN, Agent
from tests.running import DEADLINE, RunningServer, running

TIMES = 4
"""The longer text is so many times as long as the shorter one."""
GENEROUS = 2.5
"""What is quadratic costs TIMES as much beyond linear; noise does not come up to this."""
UNNOTICED = 0.010
"""Seconds of processor time below which a request is cheap enough, whatever its ratio to a shorter one."""
HEAD, PART, BODY, MESSAGE = 3_500, 1_900, 15_000, 60_000
"""Shorter lengths, so that TIMES as much still fits into a head, a part's head, a small body, a message of MCP."""
MARKS = "\u0301\u0316"
"""Two combining marks, out of their canonical order: what to normalise takes longest."""


class Target:
    """A server, and what requests to it need."""

    def __init__(self, server: RunningServer) -> None:
        self.server = server
        self.key = server.new_key("business")
        self.slug = server.upload(self.key, pictures.jpeg(), password="pw").json()["slug"]
        self.open = server.upload(self.key, pictures.jpeg()).json()["slug"]
        self.ticket = Agent(server, self.key).done("create_upload_ticket")["upload_url"].rpartition("/")[2]

    @property
    def bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"}

    def exchange(self, request: bytes) -> bytes:
        """What a request is answered."""
        with socket.create_connection(self.server.address, timeout=DEADLINE) as connection:
            connection.sendall(request)
            return b"".join(iter(lambda: connection.recv(1 << 16), b""))

    def cost(self, request: bytes) -> float:
        """The least processor time of the event loop that a request took of a few."""
        costs = []
        for _ in range(3):
            before = self.server.loop_seconds()
            assert self.exchange(request).startswith(b"HTTP/1.1 "), "an answer"
            costs.append(self.server.loop_seconds() - before)
        return min(costs)


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    settings = {"limits": {"api_per_minute": 0, "mcp_per_minute": 0, "web_per_minute": 0}, "imaging": {"workers": 1}}
    with running(tmp_path_factory.mktemp("data"), **settings) as server:
        yield Target(server)


Make = Callable[[Target, int], bytes]


def of(worst: str, length: int) -> str:
    """Of a text again and again, at most so many bytes."""
    return worst * (length // len(worst.encode()))


def request(method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> bytes:
    lines = {"Host": "localhost", "Connection": "close", **headers}
    if body:
        lines["Content-Length"] = str(len(body))
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body


def header(name: str, worst: str, path: str = "/api/quota", method: str = "GET", begin: str = "") -> Make:
    def make(target: Target, length: int) -> bytes:
        at = path.format(slug=target.slug, open=target.open, ticket=target.ticket)
        return request(method, at, {**target.bearer, name: begin + of(worst, length)})

    return make


def seen(name: str, worst: str, path: str = "/f/{slug}.jpg", begin: str = "") -> Make:
    """A header that is looked at when somebody without a key wants to see an image."""

    def make(target: Target, length: int) -> bytes:
        at = path.format(slug=target.slug, open=target.open)
        return request("GET", at, {name: begin + of(worst, length)})

    return make


def path(worst: str, begin: str = "/") -> Make:
    return lambda target, length: request("GET", begin + of(worst, length), target.bearer)


def raw_head(worst: str) -> Make:
    return lambda target, length: (
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%s\r\n\r\n" % (of(worst, length).encode())
    )


def sent(path: str, kind: str, before: str, worst: str, after: str = "") -> Make:
    def make(target: Target, length: int) -> bytes:
        body = (before + of(worst, length) + after).encode()
        return request("POST", path.format(slug=target.slug), {**target.bearer, "Content-Type": kind}, body)

    return make


def part(head: str, worst: str, after: str, more: str = "") -> Make:
    """A multipart upload; `head` stands before the worst in the head of its file, or in a field."""

    def make(target: Target, length: int) -> bytes:
        picture = pictures.jpeg().decode("latin-1")
        text = f"--b\r\n{head}".encode() + of(worst, length).encode() + f"{after}".encode()
        text += picture.encode("latin-1") + f"\r\n{more}--b--\r\n".encode()
        kind = {"Content-Type": "multipart/form-data; boundary=b"}
        return request("POST", "/api/upload", {**target.bearer, **kind}, text)

    return make


def argument(tool: str, name: str, worst: str, begin: str = "", **others: Any) -> Make:
    def make(target: Target, length: int) -> bytes:
        return message(target, call(tool, **{**others, name: begin + of(worst, length)}))

    return make


def message(target: Target, body: dict[str, Any], **headers: str) -> bytes:
    kind = {"Content-Type": "application/json", **headers}
    return request("POST", "/mcp", {**target.bearer, **kind}, orjson.dumps(body))


def call(tool: str, **arguments: Any) -> dict[str, Any]:
    params = {"name": tool, "arguments": arguments}
    return {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}


def spoken(name: str, worst: str) -> Make:
    """A header of a request of MCP's modern era."""

    def make(target: Target, length: int) -> bytes:
        agent = Agent(target.server, target.key, MODERN)
        headers = {**agent.headers("server/discover"), name: of(worst, length)}
        return message(target, agent.message("server/discover"), **headers)

    return make


FILE = 'Content-Disposition: form-data; name="file"; filename'
FIELD = 'Content-Disposition: form-data; name="expiration"\r\n\r\n'
AND_FILE = '\r\n--b\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n\r\n'
FORM = "application/x-www-form-urlencoded"
PICTURE = {"filename": "a.jpg", "mime": "image/jpeg", "data_base64": ""}

ROWS: dict[str, tuple[int, Make]] = {
    # Heads.
    "Host": (HEAD, lambda target, length: request("GET", "/i/" + target.open, {"Host": of("1:", length)})),
    "Authorization": (HEAD, header("Authorization", "Bearer ")),
    "Idempotency-Key": (HEAD, header("Idempotency-Key", "! ", "/api/upload", "POST")),
    "Content-Type": (HEAD, header("Content-Type", ';a="', "/api/upload", "POST", "multipart/form-data")),
    "Content-Type, escapes": (HEAD, header("Content-Type", '\\"', "/api/upload", "POST", 'multipart/form-data;a="')),
    "Content-Type, blanks": (HEAD, header("Content-Type", " ", "/api/upload", "POST", "multipart/form-data;a=b")),
    "boundary": (HEAD, header("Content-Type", "-", "/api/upload", "POST", "multipart/form-data; boundary=")),
    "Content-Length": (HEAD, header("Content-Length", "9", "/api/folders", "POST")),
    "Expect": (HEAD, header("Expect", "100-continue,", "/api/upload", "POST")),
    "Accept": (HEAD, header("Accept", "text/", "/u/{ticket}")),
    "Cookie": (HEAD, seen("Cookie", "a=;")),
    "Cookie, quotes": (HEAD, seen("Cookie", '\\"', begin='unlock_page_x="')),
    "Cookie, sessions": (HEAD, seen("Cookie", "session=a;", "/dashboard")),
    "Cookie, one session": (HEAD, seen("Cookie", "a", "/dashboard", "session=")),
    "Origin of a form": (HEAD, header("Origin", "[:", "/login", "POST", "http://")),
    "User-Agent of a form": (HEAD, header("User-Agent", "Edg ", "/login", "POST")),
    "Range": (HEAD, seen("Range", "0", "/f/{open}.jpg", "bytes=")),
    "If-None-Match": (HEAD, seen("If-None-Match", 'W/"', "/f/{open}.jpg")),
    "If-Range": (HEAD, seen("If-Range", '"', "/f/{open}.jpg")),
    "User-Agent": (HEAD, seen("User-Agent", "bot")),
    "User-Agent, slashes": (HEAD, seen("User-Agent", "+http:/")),
    "Accept-Language": (HEAD, seen("Accept-Language", "en;q=")),
    "X-Image-Password": (HEAD, seen("X-Image-Password", "\u00e9")),
    "Sec-Purpose": (HEAD, seen("Sec-Purpose", "prefetch;")),
    "X-Forwarded-For": (HEAD, seen("X-Forwarded-For", "127.0.0.1,")),
    "X-Forwarded-For, brackets": (HEAD, seen("X-Forwarded-For", "[::1]%")),
    "X-Forwarded-Host": (HEAD, seen("X-Forwarded-Host", "a.:1,", "/i/{open}")),
    "X-Forwarded-Proto": (HEAD, seen("X-Forwarded-Proto", "https,", "/i/{open}")),
    "Forwarded": (HEAD, seen("Forwarded", "for=127.0.0.1,")),
    "Forwarded, quotes": (HEAD, seen("Forwarded", 'for="\\')),
    "Origin": (HEAD, header("Origin", "[:", "/mcp", begin="http://")),
    "MCP-Protocol-Version": (HEAD, spoken("MCP-Protocol-Version", "=?base64?")),
    "Mcp-Method": (HEAD, spoken("Mcp-Method", "=?base64?")),
    "path": (HEAD, path("a/")),
    "path of a ticket": (HEAD, path("A", "/u/tk_")),
    "query": (HEAD, path("a&", "/api/images?")),
    "query, escapes": (HEAD, path("%CC%81%CC%96", "/api/images?folder=")),
    "limit": (HEAD, path("9", "/api/images?limit=")),
    "next": (HEAD, path("%CC%81/", "/login?next=/")),
    "where to come back to": (HEAD, path("a/", "/dashboard/")),
    "grant": (HEAD, lambda target, length: request("GET", f"/f/{target.slug}.jpg?grant={of('a', length)}", {})),
    "a header's name": (HEAD, raw_head("a-")),
    "many headers": (HEAD, raw_head("a:\r\n")),
    "one header many times": (HEAD, raw_head("Host: x\r\n")),
    "a folded header": (HEAD, raw_head("a: b\r\n c\r\n d\r\n")),
    # Small bodies.
    "folder, JSON": (BODY, sent("/api/folders", "application/json", '{"name":"', MARKS, '"}')),
    "folder, blanks": (BODY, sent("/api/folders", "application/json", '{"name":"', " ", '"}')),
    "folder, form": (BODY, sent("/api/folders", FORM, "name=", MARKS)),
    "form, fields": (BODY, sent("/api/folders", FORM, "", "a&")),
    "e-mail address": (BODY, sent("/login", FORM, "password=x&email=", MARKS)),
    "e-mail address, signs": (BODY, sent("/login", FORM, "password=x&email=", "a@")),
    "password of a sign-in": (BODY, sent("/login", FORM, "email=a@example.org&password=", MARKS)),
    "next of a form": (BODY, sent("/login", FORM, "next=", "/..")),
    "form, escapes": (BODY, sent("/i/{slug}", FORM, "password=", "%CC%81")),
    "form, multipart": (BODY, sent("/i/{slug}", "multipart/form-data; boundary=b", "", "--b\r\n\r\n\r\n")),
    "form, a part's head": (
        BODY,
        sent("/i/{slug}", "multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data", ';a="', "--b--"),
    ),
    "JSON, depth": (BODY, sent("/api/folders", "application/json", "", "[")),
    "JSON, number": (BODY, sent("/api/folders", "application/json", "", "9")),
    # Uploads.
    "filename": (PART, part(f'{FILE}="', MARKS, '.jpg"\r\n\r\n')),
    "filename, slashes": (PART, part(f'{FILE}="', "/", '.jpg"\r\n\r\n')),
    "filename, dots": (PART, part(f'{FILE}="', " .", '.jpg"\r\n\r\n')),
    "filename*": (PART, part(f"{FILE}*=utf-8''", "%CC%81", ".jpg\r\n\r\n")),
    "filename*, again": (PART, part(f"{FILE}=a.jpg", "; filename*=utf-8'", "\r\n\r\n")),
    "filename, words": (PART, part(f'{FILE}="', "=?utf-8?q?a?= ", '.jpg"\r\n\r\n')),
    "a part's head": (PART, part(f"{FILE}=a.jpg", ';a="\\', "\r\n\r\n")),
    "a field": (PART, part(FIELD, "1d", AND_FILE)),
    "expires_at": (PART, part(FIELD.replace("expiration", "expires_at"), "9", AND_FILE)),
    "custom_slug": (PART, part(FIELD.replace("expiration", "custom_slug"), "a", AND_FILE)),
    "folder of an upload": (PART, part(FIELD.replace("expiration", "folder"), "a-", AND_FILE)),
    "password": (PART, part(FIELD.replace("expiration", "password"), MARKS, AND_FILE)),
    # Messages of MCP.
    "create_folder": (MESSAGE, argument("create_folder", "name", MARKS)),
    "filename by MCP": (BODY, argument("upload_image", "filename", MARKS, **{**PICTURE, "data_base64": "/9j/"})),
    "expires_at by MCP": (BODY, argument("upload_image", "expires_at", "2026-", **PICTURE)),
    "mime": (MESSAGE, argument("upload_image", "mime", "image/", **PICTURE)),
    "client_ref": (MESSAGE, argument("upload_image", "client_ref", "a ", **PICTURE)),
    "slug": (MESSAGE, argument("get_image", "slug", MARKS)),
    "ticket": (MESSAGE, argument("get_image", "slug", "A", "tk_")),
    "the name of a ticket's picture": (MESSAGE, argument("create_upload_ticket", "filename", MARKS)),
    "a ticket's field": (MESSAGE, argument("create_upload_ticket", "view_limit", "9")),
    "data_base64": (MESSAGE, argument("upload_image", "data_base64", " ", **PICTURE)),
    "data_base64 in many portions": (4 << 20, argument("upload_image", "data_base64", " ", **PICTURE)),
    "a data URL": (MESSAGE, argument("upload_image", "data_base64", "data:", **PICTURE)),
    "tool": (MESSAGE, lambda target, length: message(target, call(of(MARKS, length)))),
    "method": (MESSAGE, lambda target, length: message(target, {**call("x"), "method": of(MARKS, length)})),
    "id": (MESSAGE, lambda target, length: message(target, {**call("x"), "id": of(MARKS, length)})),
    "a message's depth": (MESSAGE, sent("/mcp", "application/json", '{"id":1,"params":', "[")),
    "a wrong key's escapes without an end": (
        BODY,
        lambda target, length: request(
            "POST", "/mcp", {"Authorization": "Bearer x"}, b'{"' + of('\\"', length).encode()
        ),
    ),
    "a wrong key's digits": (
        BODY,
        lambda target, length: request(
            "POST", "/mcp", {"Authorization": "Bearer x"}, b'{"id":' + of("9", length).encode() + b","
        ),
    ),
    "a wrong key's blanks": (
        BODY,
        lambda target, length: request(
            "POST", "/mcp", {"Authorization": "Bearer x"}, b'{"id"' + of(" ", length).encode()
        ),
    ),
    "escapes without an end": (MESSAGE, sent("/mcp", "application/json", '{"', '\\"')),
    "blanks behind an id": (MESSAGE, sent("/mcp", "application/json", '{"id"', " ")),
    "an id's digits": (MESSAGE, sent("/mcp", "application/json", '{"id":', "9", ",")),
}


@pytest.mark.parametrize("field", ROWS)
def test_what_a_field_costs_grows_at_most_with_its_length(target: Target, field: str) -> None:
    shorter, make = ROWS[field]
    few, many = target.cost(make(target, shorter)), target.cost(make(target, TIMES * shorter))
    print(f"\n{field}: {1000 * few:.2f} ms for {shorter} bytes, {1000 * many:.2f} ms for {TIMES * shorter}")
    assert many <= max(UNNOTICED, GENEROUS * TIMES * few)
