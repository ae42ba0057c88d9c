"""`iuserver doctor`, the public address: a picture goes up, is read and deleted; proxies are tried out on the way."""

from __future__ import annotations

import contextlib
import http.client
import json
import secrets
import socket
import ssl
import struct
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from iuserver.cli.findings import Finding, error, ok, warning

TIMEOUT = 30.0
ANSWER_SECONDS = 5.0
"""A refusal that a proxy does not hold back comes sooner."""
REFUSED_BYTES = 2 * 1024 * 1024
"""More than nginx takes unless it is told to, and more than fits into buffers on the way."""
REFUSALS = 8
GONE_SECONDS = 5.0
SKEW_SECONDS = 5.0
CERTIFICATE_DAYS = 21
FORWARDED = (
    "proxy_set_header X-Forwarded-Proto $scheme; proxy_set_header X-Forwarded-Host $http_host; (conf/nginx.conf)"
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What was answered."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        """The body, if it is a JSON object; else nothing."""
        with contextlib.suppress(ValueError):
            parsed = json.loads(self.body)
            if isinstance(parsed, dict):
                return parsed
        return {}

    @property
    def code(self) -> str:
        return str(self.json.get("code", ""))


class Address:
    """A server at a URL, asked one request after the other, each on a connection of its own."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self.parts = urlsplit(self.url)

    def connect(self) -> http.client.HTTPConnection:
        kind = http.client.HTTPSConnection if self.parts.scheme == "https" else http.client.HTTPConnection
        return kind(self.parts.hostname or "", self.parts.port, timeout=TIMEOUT)

    def ask(self, method: str, path: str, body: bytes = b"", **headers: str) -> Answer:
        """Raises OSError, http.client.HTTPException."""
        with contextlib.closing(self.connect()) as connection:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, self.parts.path + path, body or None, named)
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read())

    def upload(self, key: str, picture: bytes, **headers: str) -> Answer:
        body, content_type = _multipart(picture)
        sent = {"Authorization": f"Bearer {key}", "Content_Type": content_type, **headers}
        return self.ask("POST", "/api/upload", body, **sent)


def public(url: str, key: str, local: str) -> Iterator[Finding]:
    """What is found at a URL. `key` is an account's, or empty; `local` is where the server itself listens, or empty."""
    address = Address(url)
    try:
        healthy = address.ask("GET", "/healthz")
    except ssl.SSLCertVerificationError as reason:
        yield error(f"{url}: the certificate is not valid: {reason.verify_message}", "renew it, with its whole chain")
        return
    except (OSError, http.client.HTTPException) as reason:
        fix = "check its name in DNS, the firewall, and that the proxy runs"
        yield error(f"{url} cannot be reached: {reason}", fix)
        return
    if (healthy.status, healthy.json) != (200, {"ok": True}):
        yield _not_ours(healthy)
        return
    yield ok(f"{url} answers")
    yield from _certificate(address)
    yield _clock(healthy)
    yield from _refusals(address)
    yield _buffering(address)
    if key:
        yield from _picture(address, key, local)
    else:
        yield warning("no picture was sent: IMAGEUPLOAD_API_KEY is not set", "set it to the key of an account")


def _not_ours(answer: Answer) -> Finding:
    if answer.status in (502, 504):
        return error(
            f"the proxy does not reach the server ({answer.status})", "start it; check proxy_pass in the proxy"
        )
    text = f"/healthz is answered {answer.status} by something else"
    return error(text, "pass every path on: location / { proxy_pass http://iuserver; }")


def _certificate(address: Address) -> Iterator[Finding]:
    if address.parts.scheme != "https":
        return
    connection = address.connect()
    with contextlib.closing(connection):
        connection.connect()
        assert isinstance(connection.sock, ssl.SSLSocket)
        found = connection.sock.getpeercert() or {}
    days = (ssl.cert_time_to_seconds(str(found["notAfter"])) - time.time()) / 86400
    text = f"the certificate is valid for {days:.0f} more days"
    yield ok(text) if days > CERTIFICATE_DAYS else warning(text, "renew it: certbot renew, then nginx -s reload")


def _clock(answer: Answer) -> Finding:
    try:
        skew = abs(parsedate_to_datetime(answer.headers.get("Date", "")).timestamp() - time.time())
    except ValueError:
        return warning("the answer has no Date", "let the proxy pass it on")
    if skew <= SKEW_SECONDS:
        return ok("its clock agrees with this one")
    return warning(f"its clock and this one are {skew:.0f} s apart", "timedatectl set-ntp true, on both machines")


def _refusals(address: Address) -> Iterator[Finding]:
    """Bodies that are refused before they are read, by a wrong key: each must get the server's answer."""
    seen = {_refused(address) for _ in range(REFUSALS)}
    if seen == {"invalid_key"}:
        yield ok("a large body that is refused early gets its answer")
    if "413" in seen:
        yield error(f"the proxy refuses a body of {REFUSED_BYTES >> 20} MB (413)", "client_max_body_size 0;")
    if "429" in seen or "rate_limited" in seen:
        yield warning("too many wrong keys came from here lately", "run doctor again in a minute")
    if odd := seen - {"invalid_key", "413", "429", "rate_limited"}:
        text = f"a body that is refused early is answered {', '.join(sorted(odd))}"
        yield error(text, "proxy_request_buffering off; proxy_next_upstream error timeout; (conf/nginx.conf)")


def _refused(address: Address) -> str:
    """The code of a refusal; else the status; else that the connection broke."""
    try:
        answer = address.upload("iu_live_doctor", bytes(REFUSED_BYTES))
    except (OSError, http.client.HTTPException):
        return "not at all"
    return answer.code or str(answer.status)


def _buffering(address: Address) -> Finding:
    """Begin a body with a wrong key: the refusal comes at once, unless a proxy wants to have all of the body first."""
    body, content_type = _multipart(bytes(REFUSED_BYTES))
    with contextlib.closing(address.connect()) as connection:
        connection.putrequest("POST", address.parts.path + "/api/upload")
        for name, value in (
            ("Authorization", "Bearer iu_live_doctor"),
            ("Content-Type", content_type),
            ("Content-Length", str(len(body))),
        ):
            connection.putheader(name, value)
        try:
            connection.endheaders(body[: 64 * 1024])
            assert isinstance(connection.sock, socket.socket)
            connection.sock.settimeout(ANSWER_SECONDS)
            connection.getresponse()
        except TimeoutError:
            text = "a proxy keeps bodies back until they are complete: slow uploads look fast, and fill its disk"
            return warning(text, "proxy_request_buffering off;")
        except (OSError, http.client.HTTPException):
            return warning("a refusal in the middle of a body got lost", "proxy_request_buffering off;")
    return ok("bodies are passed on while they come")


def _picture(address: Address, key: str, local: str) -> Iterator[Finding]:
    """Send a picture, look at it, and delete it."""
    picture = _png()
    sent = address.upload(key, picture)
    if sent.status != 200:
        yield _not_taken(sent)
        return
    yield ok("a picture is taken")
    slug, path = str(sent.json["slug"]), "/f/" + str(sent.json["direct_url"]).rpartition("/f/")[2]
    yield _links(address, sent, key, local)
    yield _shown(address.ask("GET", path), picture)
    deleted = address.ask("DELETE", f"/api/images/{slug}", Authorization=f"Bearer {key}")
    if deleted.status != 200:
        yield error(f"it cannot be deleted: {deleted.status} {deleted.code}", "let the proxy pass DELETE on")
        return
    yield _gone(address, path)


def _not_taken(sent: Answer) -> Finding:
    reason = f"a picture is refused: {sent.status} {sent.code or 'without a code of the server'}"
    fixes = {
        "invalid_key": "set IMAGEUPLOAD_API_KEY to the key of an account (iuserver user rotate-key EMAIL)",
        "missing_key": "let the proxy pass the header Authorization on",
        "quota_exceeded": "iuserver user plan EMAIL PLAN",
        "storage_unavailable": "the server's log says what is away; look at /readyz",
        "read_only": "server.read_only = false",
    }
    return error(reason, fixes.get(sent.code, "the server's log has the reason"))


def _links(address: Address, sent: Answer, key: str, local: str) -> Finding:
    base = _base(sent)
    if base == address.url:
        return ok("links begin with this address")
    text = f"links begin with {base}"
    return error(text, _mend_of_links(address, key, local))


def _mend_of_links(address: Address, key: str, local: str) -> str:
    """Ask the server itself, as a proxy of this machine would, whether it believes proxies."""
    fixed = f'server.public_url = "{address.url}"'
    with contextlib.suppress(OSError, http.client.HTTPException):
        if local and local != address.url:
            direct = Address(local)
            said = {"X_Forwarded_Proto": "https", "X_Forwarded_Host": "doctor.invalid"}
            sent = direct.upload(key, _png(), **said)
            base, slug = _base(sent), str(sent.json.get("slug", ""))
            direct.ask("DELETE", f"/api/images/{slug}", Authorization=f"Bearer {key}")
            if base == "https://doctor.invalid":
                return f"the proxy does not say how it was called: {FORWARDED} Or {fixed}"
            if base == local:
                return f"the server does not believe its proxy: add its address to server.trusted_proxies. Or {fixed}"
            if base:
                return f"server.public_url is another one: {fixed}"
    return f"{fixed}; or {FORWARDED} and server.trusted_proxies"


def _base(sent: Answer) -> str:
    """What the links begin with of a picture that was taken."""
    return str(sent.json.get("share_url", "")).rpartition("/i/")[0]


def _shown(got: Answer, picture: bytes) -> Finding:
    if got.status == 200 and got.body == picture:
        return ok("it is shown")
    if got.status == 200 and not got.body:
        fix = "put the location of X-Accel from conf/nginx.conf into nginx, or delivery.x_accel = false"
        return error("it is shown empty: nobody sends the file that X-Accel-Redirect names", fix)
    if got.status == 403:
        return error("nginx may not read it (403)", "blobs.group to a group of nginx's user (docs/operations.md)")
    if got.status == 404:
        fix = "alias in nginx's location of X-Accel must be server.data/blobs/; several servers need the same blobs"
        return error("it is not found (404)", fix)
    return error(f"it is not shown as it was sent ({got.status})", "no proxy may change pictures (gzip, image filters)")


def _gone(address: Address, path: str) -> Finding:
    end = time.monotonic() + GONE_SECONDS
    while address.ask("GET", path).status != 404:
        if time.monotonic() > end:
            text = f"a deleted picture is still shown after {GONE_SECONDS:.0f} s"
            return error(text, "a cache on the way must heed X-Accel-Expires, or keep nothing of /f/")
        time.sleep(0.2)
    return ok("it is deleted, and gone")


def _multipart(data: bytes) -> tuple[bytes, str]:
    head = b'--doctor\r\nContent-Disposition: form-data; name="file"; filename="doctor.png"\r\n\r\n'
    field = b'\r\n--doctor\r\nContent-Disposition: form-data; name="expiration"\r\n\r\n1d\r\n--doctor--\r\n'
    return head + data + field, "multipart/form-data; boundary=doctor"


def _png() -> bytes:
    """One pixel of a random colour, so that no cache has it."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    pixel = zlib.compress(b"\0" + secrets.token_bytes(3))
    header = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixel) + chunk(b"IEND", b"")
