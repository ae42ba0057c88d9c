"""Random and mutated requests against a running server, by hand: `python -m tests.fuzz_requests NUMBER [SEED]`.

Whatever comes, the server answers with a documented status or closes the connection; it never answers 500, hangs, or
grows. Prints how it stands every few seconds, and ends with 1 at the first finding.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import psutil
import uvloop

from tests import pictures

ROOT = Path(__file__).parents[1]
CONNECTIONS = 12
PATIENCE = 20.0
SETTINGS = {"IUSERVER_LIMITS_API_PER_MINUTE": "0", "IUSERVER_PLANS_BUSINESS_UPLOADS_PER_MONTH": "20000"}
METHODS = ["POST"] * 8 + ["GET", "GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "BREW"]
PATHS = ["/api/upload"] * 9 + [
    "/api/quota",
    "/api/folders",
    "/api/images/aaaaaaaa",
    "/f/aaaaaaaa.jpg",
    "/d/aaaaaaaa/" + "0" * 32,
    "/healthz",
    "/api/upload/",
    "/%00/../\\",
    "/f/..%2f..%2fetc.jpg",
]
PICTURES = [
    pictures.jpeg(pictures.noise(8, 8)),
    pictures.phone_jpeg(image=pictures.noise(8, 8)),
    pictures.png(pictures.noise(8, 8)),
    pictures.phone_gif(2),
    pictures.phone_webp(),
    pictures.phone_avif(),
    b"",
    b"no picture",
]
FIELDS = ["expiration", "view_limit", "password", "folder", "expires_at", "custom_slug", "unknown", "file", ""]
VALUES = [
    "1d",
    "forever",
    "views",
    "burn",
    "3",
    "-1",
    "",
    "x" * 300,
    "\u00fc\u0000",
    "../..",
    "2099-01-01T00:00:00Z",
    "tk_x",
]
HEADERS = [
    ("Accept", "text/plain"),
    ("Range", "bytes=0-5"),
    ("If-None-Match", '"x"'),
    ("Idempotency-Key", "same"),
    ("Idempotency-Key", ""),
    ("X-Forwarded-For", "1.2.3.4, nonsense, ::1"),
    ("X-Forwarded-Proto", "gopher"),
    ("X-Forwarded-Host", "<script>"),
    ("Expect", "100-continue"),
    ("Content-Type", "application/json"),
    ("Transfer-Encoding", "chunked"),
    ("Connection", "close"),
    ("Content-Length", "5"),
    ("Cookie", "a=b; c" * 50),
]


class Fuzzer:
    """One stream of requests after the other, each on connections of its own."""

    def __init__(self, host: str, port: int, key: str, seed: int) -> None:
        self.host, self.port, self.key = host, port, key
        self.random = random.Random(seed)
        self.statuses: Counter[str] = Counter()
        self.findings: list[str] = []
        self.sent = 0

    async def run(self, number: int) -> None:
        await asyncio.gather(*(self._connection(number) for _ in range(CONNECTIONS)))

    async def _connection(self, number: int) -> None:
        while self.sent < number and not self.findings:
            reader, writer = await asyncio.open_connection(self.host, self.port)
            try:
                while self.sent < number and not self.findings and await self._one(reader, writer):
                    pass
            except (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                self.statuses["closed"] += 1
            finally:
                writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Send a request and read its answer; whether the connection can be used for another."""
        self.sent += 1
        request, whole = self._request()
        writer.write(request)
        if not whole:
            self.statuses["cut off"] += 1
            return False
        try:
            status = await asyncio.wait_for(self._answer(reader, request), PATIENCE)
        except TimeoutError:
            self.findings.append(f"no answer to {request[:2000]!r}")
            return False
        self.statuses[status] += 1
        if status.startswith("5") and status not in ("501", "502", "503"):
            self.findings.append(f"{status} to {request[:2000]!r}")
        return self.random.random() < 0.9

    async def _answer(self, reader: asyncio.StreamReader, request: bytes) -> str:
        head = await reader.readuntil(b"\r\n\r\n")
        status = head[9:12].decode("latin-1")
        if status == "100":
            return await self._answer(reader, request)
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:") and not request.startswith(b"HEAD") and status not in ("204", "304"):
                await reader.readexactly(int(line[15:]))
        if b"Content-Length" not in head and status not in ("204", "304"):
            raise ConnectionResetError
        return status

    def _request(self) -> tuple[bytes, bool]:
        chance = self.random.random
        body, content_type = self._body()
        headers = {"Host": "x", "Content-Type": content_type, "Content-Length": str(len(body))}
        key = self.key if chance() < 0.7 else self.random.choice(["", "iu_live_x", "\u00e9", "x" * 3000])
        headers["Authorization"] = f"{self.random.choice(['Bearer', 'Bearer', 'bearer', 'Basic', ''])} {key}"
        headers.update(item for item in self.random.sample(HEADERS, 2) if chance() < 0.15)
        if in_chunks := chance() < 0.15:
            body = self._chunks(body)
            headers["Transfer-Encoding"] = "chunked"
            del headers["Content-Length"]
        lines = [f"{self.random.choice(METHODS)} {self.random.choice(PATHS)} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        request = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace") + body
        if chance() < 0.03:
            return request[: self.random.randrange(len(request))], False
        if chance() < 0.05:
            return self._mutated(request), False
        # A length that is not the body's leaves the two sides with different ideas of where a request ends.
        sized = headers.get("Content-Length") == str(len(body)) and "Transfer-Encoding" not in headers
        return request, in_chunks != sized

    def _chunks(self, body: bytes) -> bytes:
        """A body in chunks of any size, with what may stand between and behind them."""
        coded, place = b"", 0
        while place < len(body):
            chunk = body[place : place + self.random.choice([1, 7, 100, 5000])]
            coded += b"%x%b\r\n%b\r\n" % (len(chunk), self.random.choice([b"", b"", b";a=b"]), chunk)
            place += len(chunk)
        return coded + b"0\r\n" + self.random.choice([b"", b"A: b\r\n"]) + b"\r\n"

    def _body(self) -> tuple[bytes, str]:
        parts = [self._file()]
        for _ in range(self.random.choice([0, 0, 1, 2])):
            name, value = self.random.choice(FIELDS), self.random.choice(VALUES)
            part = f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
            parts.insert(self.random.randrange(len(parts) + 1), part)
        body = b"".join(parts) + b"--b--\r\n"
        if self.random.random() < 0.3:
            body = self._mutated(body)
        return body, self.random.choice(["multipart/form-data; boundary=b"] * 9 + ["text/plain"])

    def _file(self) -> bytes:
        data = self.random.choice(PICTURES)
        if data and self.random.random() < 0.5:
            data = self._mutated(data)
        head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a\xc3\xbc<>.jpg"\r\n\r\n'
        return head + data + b"\r\n"

    def _mutated(self, data: bytes) -> bytes:
        changed = bytearray(data)
        for _ in range(self.random.randint(1, 4)):
            place = self.random.randrange(len(changed) + 1)
            changed[place : place + self.random.choice([0, 1, 1, 8])] = self.random.randbytes(
                self.random.choice([0, 1, 4])
            )
        return bytes(changed)


def state(process: psutil.Process) -> str:
    """Memory and descriptors of server and workers."""
    everyone = [process, *process.children()]
    memory = sum(one.memory_info().rss for one in everyone) // (1 << 20)
    return f"{memory} MB, {process.num_fds()} descriptors, {len(everyone) - 1} workers"


async def watch(fuzzer: Fuzzer, process: psutil.Process, number: int) -> None:
    began = time.monotonic()
    while fuzzer.sent < number and not fuzzer.findings:
        await asyncio.sleep(10)
        rate = fuzzer.sent / (time.monotonic() - began)
        print(f"{fuzzer.sent} sent, {rate:.0f}/s, {state(process)}, {dict(fuzzer.statuses)}", flush=True)


async def fuzz(url: str, key: str, process: psutil.Process) -> int:
    number, seed = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1
    host, _, port = url.removeprefix("http://").partition(":")
    fuzzer = Fuzzer(host, int(port), key, seed)
    await asyncio.gather(fuzzer.run(number), watch(fuzzer, process, number))
    print("\n".join(fuzzer.findings) or f"nothing found in {fuzzer.sent} requests: {dict(fuzzer.statuses)}")
    return 1 if fuzzer.findings else 0


def main() -> int:
    run = [sys.executable, str(ROOT / "run.py")]
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as data:
        add = [*run, "user", "add", "fuzz@localhost", "--plan", "business", "--data", data]
        key = json.loads(subprocess.run(add, capture_output=True, check=True).stdout)["api_key"]
        serve = [*run, "serve", "--data", data, "--port", "0"]
        log = open(f"{data}/log", "w")  # noqa: SIM115 - the server writes to it as long as it lives
        server = subprocess.Popen(serve, env={**os.environ, **SETTINGS}, stdout=subprocess.PIPE, stderr=log, text=True)
        try:
            assert server.stdout
            url = server.stdout.readline().split()[-1]
            found = uvloop.run(fuzz(url, key, psutil.Process(server.pid)))
        finally:
            server.terminate()
            server.wait()
        bugs = [
            line for line in Path(f"{data}/log").read_text().splitlines() if " ERROR " in line or "Traceback" in line
        ]
        print("\n".join(bugs[:20]))
        return found or bool(bugs)


if __name__ == "__main__":
    raise SystemExit(main())
