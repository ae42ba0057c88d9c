"""`iuserver upload` as it is typed: a real process against a real server, or against one that only writes down."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from iuserver.records import MB
from tests import pictures
from tests.running import DEADLINE, RunningServer, eventually, running
from tests.surfaces.test_cli import RUN
from tests.surfaces.test_upload import multipart, request_head

KEY = "iu_live_" + "k" * 38
QUICK = ("--pace", "0")


def environment(url: str, key: str | None, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("IMAGEUPLOAD_")}
    return {**kept, "IMAGEUPLOAD_URL": url, **({"IMAGEUPLOAD_API_KEY": key} if key else {}), **more}


def upload(url: str, key: str | None, *arguments: str | Path, **more: str) -> subprocess.CompletedProcess[str]:
    command = [*RUN, "upload", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment(url, key, **more))


def started(url: str, key: str, *arguments: str | Path) -> subprocess.Popen[str]:
    command = [*RUN, "upload", *map(str, arguments)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environment(url, key))


def answers(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    assert (done.returncode, done.stderr) == (0, "")
    return [json.loads(line) for line in done.stdout.splitlines()]


def photos(folder: Path, count: int) -> list[Path]:
    """Pictures that differ in content and size, the largest first, so that it is not the first to be done."""
    files = [folder / f"photo {number}.jpg" for number in range(count)]
    for number, file in enumerate(files):
        file.write_bytes(pictures.jpeg(pictures.noise(400 >> number, 300, seed=number)))
    return files


class Recorder(ThreadingHTTPServer):
    """A server that keeps nothing of an upload but its headers and its size, and answers as it is told."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), RecordingHandler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.seen: list[dict[str, str]] = []
        self.answers: list[tuple[int, dict[str, Any], dict[str, str]]] = []
        self.hang = threading.Event()
        self.hang.set()

    @property
    def keys(self) -> list[str]:
        return [headers["idempotency-key"] for headers in self.seen]


class RecordingHandler(BaseHTTPRequestHandler):
    server: Recorder

    def do_POST(self) -> None:
        left = int(self.headers["Content-Length"])
        while left and (data := self.rfile.read(min(left, 65536))):
            left -= len(data)
        self.server.seen.append({name.lower(): value for name, value in self.headers.items()})
        self.server.hang.wait(DEADLINE)
        default: tuple[int, dict[str, Any], dict[str, str]] = (200, {"direct_url": "http://x/f/aaaaaaaa.jpg"}, {})
        status, answer, headers = self.server.answers.pop(0) if self.server.answers else default
        with contextlib.suppress(ConnectionError):
            self._send(status, json.dumps(answer).encode(), headers)

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        """Be silent."""


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    with Recorder() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.hang.set()
        server.shutdown()
        thread.join()


# What is printed


def test_links_are_printed_in_the_order_of_the_files(server: RunningServer, tmp_path: Path) -> None:
    key, files = server.new_key(), photos(tmp_path, 6)
    done = upload(server.url, key, *files)
    assert (done.returncode, done.stderr) == (0, "")
    links = done.stdout.splitlines()
    assert len(links) == 6
    sent = [pictures.pixels(file.read_bytes()) for file in files]
    assert [pictures.pixels(server.get(link).content) for link in links] == sent


def test_with_json_the_servers_answers_are_printed_one_a_line(server: RunningServer, tmp_path: Path) -> None:
    files = photos(tmp_path, 3)
    told = answers(upload(server.url, server.new_key(), "--json", "--parallel", "1", *files))
    assert [answer["filename"] for answer in told] == [file.name for file in files]
    assert all(answer["ok"] and answer["direct_url"] and answer["delete_url"] for answer in told)


def test_the_options_reach_the_server(server: RunningServer, tmp_path: Path) -> None:
    key, files = server.new_key("pro"), photos(tmp_path, 1)
    options = ("--json", "--expiration", "views", "--view-limit", "7", "--password", "sesame")
    [answer] = answers(upload(server.url, key, *options, *files))
    assert (answer["expiration"], answer["view_limit"], answer["password_protected"]) == ("views", 7, True)


def test_the_password_may_come_from_the_environment(server: RunningServer, tmp_path: Path) -> None:
    files = photos(tmp_path, 1)
    [answer] = answers(upload(server.url, server.new_key(), "--json", *files, IMAGEUPLOAD_PASSWORD="sesame"))
    assert answer["password_protected"] is True


def test_an_unknown_folder_is_told_by_the_server(server: RunningServer, tmp_path: Path) -> None:
    [file] = photos(tmp_path, 1)
    done = upload(server.url, server.new_key(), "--folder", "nowhere", file)
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(rf"{re.escape(str(file))}: [^\n]*[Ff]older[^\n]*\n", done.stderr)


# What goes wrong


def test_a_refusal_is_told_and_the_other_files_are_uploaded(server: RunningServer, tmp_path: Path) -> None:
    first, last = photos(tmp_path, 2)
    text, folder, missing = tmp_path / "notes.jpg", tmp_path / "folder", tmp_path / "missing.jpg"
    text.write_bytes(b"no picture")
    folder.mkdir()
    done = upload(server.url, server.new_key(), "--json", first, text, folder, missing, last)
    assert done.returncode == 1
    assert [json.loads(line)["filename"] for line in done.stdout.splitlines()] == [first.name, last.name]
    told = done.stderr.splitlines()
    assert told[0].startswith(f"{text}: ")
    assert told[1:] == [f"{folder}: Not a regular file", f"{missing}: No such file or directory"]


@pytest.mark.parametrize("key", [None, "", "iu_live_\N{SNOWMAN}", "two\nlines"])
def test_without_a_usable_key_nothing_is_tried(recorder: Recorder, tmp_path: Path, key: str | None) -> None:
    done = upload(recorder.url, key, *photos(tmp_path, 1))
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(r"iuserver: IMAGEUPLOAD_API_KEY [^\n]+\n", done.stderr)
    assert recorder.seen == []


@pytest.mark.parametrize("url", ["127.0.0.1:8080", "ftp://example.org", "http://", "http://[::1"])
def test_an_address_that_is_none_is_told_before_anything_is_tried(tmp_path: Path, url: str) -> None:
    done = upload(url, KEY, *photos(tmp_path, 1))
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(r"iuserver: IMAGEUPLOAD_URL [^\n]+\n", done.stderr)


def test_a_password_in_the_address_is_neither_sent_nor_shown(recorder: Recorder, tmp_path: Path) -> None:
    [file] = photos(tmp_path, 1)
    done = upload(recorder.url.replace("http://", "http://me:s3cret@"), KEY, file)
    assert done.returncode == 0
    assert [headers["authorization"] for headers in recorder.seen] == [f"Bearer {KEY}"]
    refused = upload("http://me:s3cret@127.0.0.1:1", KEY, "--pace", "0", file)
    assert "http://127.0.0.1:1" in refused.stderr
    assert "s3cret" not in refused.stderr


def test_a_wrong_key_is_told_in_the_servers_words(server: RunningServer, tmp_path: Path) -> None:
    [file] = photos(tmp_path, 1)
    done = upload(server.url, KEY, file)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"{file}: Invalid API key\n")


def test_a_server_that_cannot_be_reached_is_told_for_each_file(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    files = photos(tmp_path, 2)
    done = upload(url, KEY, *QUICK, *files)
    assert (done.returncode, done.stdout) == (1, "")
    for file, line in zip(files, done.stderr.splitlines(), strict=True):
        assert re.fullmatch(rf"{re.escape(str(file))}: No answer from {re.escape(url)}.* \(tried 8 times\)", line)


def test_a_server_that_speaks_something_else_is_told(recorder: Recorder, tmp_path: Path) -> None:
    recorder.answers = [(200, {"hello": "\x1b[31m"}, {}), (500, {"error": "a\n\x1b[31mtrap"}, {})]
    done = upload(recorder.url, KEY, "--parallel", "1", *photos(tmp_path, 2))
    assert done.returncode == 1
    assert [line.partition(": ")[2] for line in done.stderr.splitlines()] == [
        "Not the answer of an upload server: 200",
        "a??[31mtrap",
    ]


def test_ctrl_c_ends_it_without_a_traceback(recorder: Recorder, tmp_path: Path) -> None:
    recorder.hang.clear()
    with started(recorder.url, KEY, *photos(tmp_path, 6)) as process:
        eventually(lambda: len(recorder.seen) == 4)
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=DEADLINE) == ("", "")
        assert process.returncode == 130


def test_a_reader_that_leaves_does_not_stop_the_uploads(recorder: Recorder, tmp_path: Path) -> None:
    with started(recorder.url, KEY, *photos(tmp_path, 6)) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        assert (process.stderr.read(), process.wait(DEADLINE)) == ("", 0)
    assert len(recorder.seen) == 6


# Another try


def test_a_full_queue_is_waited_for(tmp_path: Path) -> None:
    receive = {"max_uploads": 1, "max_wait": 0.0}
    with running(tmp_path / "data", receive=receive, imaging={"workers": 1}) as server:
        key, [file] = server.new_key(), photos(tmp_path, 1)
        body, headers = multipart(pictures.jpeg())
        with socket.create_connection(server.address, timeout=DEADLINE) as connection:
            connection.sendall(request_head(key, headers, len(body)) + body[:100])
            queue = server.server._services.uploads.queue
            eventually(lambda: queue.receiving == 1)
            refusals = counted_refusals(queue)
            process = started(server.url, key, "--pace", "0.25", file)
            eventually(lambda: refusals)
        out, err = process.communicate(timeout=DEADLINE)
        assert (process.returncode, err) == (0, "")
        assert server.get(out.strip()).status_code == 200


def counted_refusals(queue: Any) -> list[str]:
    """The accounts that find no place from now on."""
    refused, enter = [], queue.enter

    async def counted(account_id: str) -> Any:
        try:
            return await enter(account_id)
        except Exception:
            refused.append(account_id)
            raise

    queue.enter = counted
    return refused


@pytest.mark.parametrize(
    ("status", "code", "headers"),
    [
        (503, "overloaded", {"Retry-After": "2"}),
        (503, "overloaded", {}),
        (503, "overloaded", {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}),
        (429, "rate_limited", {"Retry-After": "60"}),
        (409, "in_progress", {"Retry-After": "1"}),
    ],
)
def test_what_passes_is_tried_again_with_the_same_key(
    recorder: Recorder, tmp_path: Path, status: int, code: str, headers: dict[str, str]
) -> None:
    recorder.answers = [(status, {"error": "Later", "code": code}, headers)] * 7
    done = upload(recorder.url, KEY, *QUICK, *photos(tmp_path, 1))
    assert (done.returncode, done.stdout, done.stderr) == (0, "http://x/f/aaaaaaaa.jpg\n", "")
    assert len(recorder.seen) == 8
    assert len({(seen["idempotency-key"], seen["content-length"]) for seen in recorder.seen}) == 1


@pytest.mark.parametrize(
    ("status", "code", "headers"),
    [
        (429, "rate_limited", {"Retry-After": "61"}),
        (429, "quota_exceeded", {"Retry-After": "5"}),
        (502, "storage_unavailable", {}),
        (400, "bad_field", {"Retry-After": "1"}),
    ],
)
def test_what_does_not_pass_is_told_at_once(
    recorder: Recorder, tmp_path: Path, status: int, code: str, headers: dict[str, str]
) -> None:
    recorder.answers = [(status, {"error": "No", "code": code}, headers)]
    [file] = photos(tmp_path, 1)
    done = upload(recorder.url, KEY, file)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"{file}: No\n")
    assert len(recorder.seen) == 1


def test_a_lost_connection_is_tried_again(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(DEADLINE)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with started(url, KEY, *QUICK, *photos(tmp_path, 1)) as process:
            listener.accept()[0].close()
            with listener.accept()[0] as connection:
                connection.settimeout(DEADLINE)
                assert connection.recv(5) == b"POST "
                connection.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{"direct_url": "u"} ')
                assert process.communicate(timeout=DEADLINE) == ("u\n", "")
    assert process.returncode == 0


def test_a_second_run_sends_the_same_idempotency_key(recorder: Recorder, tmp_path: Path) -> None:
    files = photos(tmp_path, 2)
    for _ in range(2):
        assert upload(recorder.url, KEY, "--parallel", "1", "--folder", "trips", *files).returncode == 0
    first, second, *again = recorder.keys
    assert again == [first, second]
    assert first != second
    assert re.fullmatch(r"[\x21-\x7e]{1,255}", first)


def test_with_what_a_server_keeps_no_password_can_be_guessed_from_an_idempotency_key(
    recorder: Recorder, tmp_path: Path
) -> None:
    """A server keeps the SHA-256 of the account's key: none of that makes the idempotency key, only the key itself."""
    [file] = photos(tmp_path, 1)
    assert upload(recorder.url, KEY, "--password", "a", file).returncode == 0
    fields = {"password": "a"}
    kept = [hashlib.sha256(file.read_bytes()).hexdigest(), file.name, fields, hashlib.sha256(KEY.encode()).hexdigest()]
    for parts in (kept, kept[:3]):
        assert hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest() not in recorder.keys


def test_another_name_option_content_or_account_is_another_idempotency_key(recorder: Recorder, tmp_path: Path) -> None:
    [file] = photos(tmp_path, 1)
    renamed, changed = tmp_path / "renamed.jpg", tmp_path / "changed" / file.name
    renamed.write_bytes(file.read_bytes())
    changed.parent.mkdir()
    changed.write_bytes(file.read_bytes() + b"\0")
    options = [(), ("--expiration", "1w"), ("--view-limit", "2"), ("--password", "a"), ("--folder", "a")]
    for arguments in (*((*option, file) for option in options), (renamed,), (changed,)):
        assert upload(recorder.url, KEY, *arguments).returncode == 0
    assert upload(recorder.url, KEY + "2", file).returncode == 0
    assert len(set(recorder.keys)) == len(recorder.keys) == 8


# What it costs, what is seen


def test_memory_does_not_grow_with_the_file(recorder: Recorder, tmp_path: Path) -> None:
    small, large = tmp_path / "small.jpg", tmp_path / "large.jpg"
    small.write_bytes(b"x")
    with large.open("wb") as file:
        file.truncate(60 * MB)
    assert peak(recorder, large) < peak(recorder, small) + 8 * MB
    assert int(recorder.seen[0]["content-length"]) > 60 * MB


def peak(recorder: Recorder, file: Path) -> int:
    """The most memory that the command has had. A child's `ru_maxrss` begins with its parent's, so it tells itself."""
    code = (
        "import pathlib, sys\nfrom iuserver.cli import main\nassert main() == 0\n"
        "print(pathlib.Path('/proc/self/status').read_text())"
    )
    command = [sys.executable, "-c", code, "upload", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment(recorder.url, KEY))
    found = re.search(r"^VmHWM:\s+(\d+) kB", done.stdout, re.MULTILINE)
    assert found, done.stderr
    return int(found[1]) * 1024


def test_no_bar_is_drawn_where_there_is_no_terminal(recorder: Recorder, tmp_path: Path) -> None:
    done = upload(recorder.url, KEY, *photos(tmp_path, 3))
    assert (done.returncode, done.stdout, done.stderr) == (0, "http://x/f/aaaaaaaa.jpg\n" * 3, "")


def test_on_a_terminal_a_bar_is_shown_and_never_among_the_links(recorder: Recorder, tmp_path: Path) -> None:
    screen, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (24, 80))
    command = [*RUN, "upload", *map(str, photos(tmp_path, 3))]
    with open(screen, "rb", buffering=0) as seen:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=terminal, env=environment(recorder.url, KEY))
        os.close(terminal)
        drawn = b""
        with contextlib.suppress(OSError):  # a terminal that nobody writes to any more
            while data := seen.read(65536):
                drawn += data
        assert process.communicate(timeout=DEADLINE)[0] == b"http://x/f/aaaaaaaa.jpg\n" * 3
    assert process.returncode == 0
    assert re.search(rb"%\|.*B/s", drawn)


def test_the_command_says_what_it_can_do() -> None:
    done = upload("", None, "--help")
    assert done.returncode == 0
    assert all(word in done.stdout for word in ("--expiration", "--parallel", "IMAGEUPLOAD_API_KEY"))
    assert "--pace" not in done.stdout
