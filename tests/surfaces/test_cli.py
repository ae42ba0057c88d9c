"""The commands, run as an operator runs them: real processes, real signals."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests

from tests import pictures
from tests.backends import environ_of
from tests.running import DEADLINE, bearer, eventually

ROOT = Path(__file__).parents[2]
RUN = [sys.executable, str(ROOT / "run.py")]


def command(*arguments: str, stdin: str = "", **environ: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **_backends(arguments, environ), **environ}
    return subprocess.run([*RUN, *arguments], capture_output=True, text=True, timeout=60, env=environment, input=stdin)


def _backends(arguments: tuple[str, ...], environ: dict[str, str]) -> dict[str, str]:
    """Where the records and blobs of the data folder are that a command names."""
    following = dict(itertools.pairwise(arguments))
    data = following.get("--data", environ.get("IUSERVER_SERVER_DATA"))
    return environ_of(data) if data else {}


def told(*arguments: str, **environ: str) -> dict[str, Any]:
    """The one JSON object that a command prints."""
    done = command(*arguments, **environ)
    assert (done.returncode, done.stderr) == (0, "")
    line: dict[str, Any] = json.loads(done.stdout)
    return line


@contextlib.contextmanager
def serving(data: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server process and its URL; its standard output is at the line after that."""
    arguments = [*RUN, "serve", "--data", str(data), "--port", "0", *options]
    environ = {**os.environ, **environ_of(data)}
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environ)
    try:
        assert process.stdout
        line = process.stdout.readline()
        assert line.startswith("listening on http://127.0.0.1:"), process.communicate()[1]
        yield process, line.split()[-1]
    finally:
        process.kill()
        process.communicate()


def upload(url: str, key: str) -> requests.Response:
    files = {"file": ("photo.jpg", pictures.phone_jpeg())}
    return requests.post(f"{url}/api/upload", headers=bearer(key), files=files, timeout=DEADLINE)


def test_accounts_are_managed_while_the_server_runs(tmp_path: Path) -> None:
    data = ("--data", str(tmp_path))
    with serving(tmp_path) as (_, url):
        made = told("user", "add", "a@example.org", "--plan", "starter", *data)
        assert re.fullmatch(r"iu_live_[0-9A-Za-z]{38}", made["api_key"])
        assert (made["email"], made["plan"]) == ("a@example.org", "starter")
        assert upload(url, made["api_key"]).json()["quota"]["limit"] == 50
        assert told("user", "plan", "a@example.org", "pro", *data)["plan"] == "pro"
        assert upload(url, made["api_key"]).json()["quota"]["unlimited"] is True
        rotated = told("user", "rotate-key", "a@example.org", *data)
        assert upload(url, made["api_key"]).status_code == 401
        assert upload(url, rotated["api_key"]).status_code == 200
        told("user", "disable", "a@example.org", *data)
        assert upload(url, rotated["api_key"]).json() == {"error": "Invalid API key", "code": "invalid_key"}
        told("user", "enable", "a@example.org", *data)
        assert upload(url, rotated["api_key"]).status_code == 200
    listed = command("user", "list", *data).stdout
    assert "iu_live_" not in listed
    assert json.loads(listed)["uploads"] == 4
    assert not any(rotated["api_key"].encode() in file.read_bytes() for file in tmp_path.glob("catalog*"))


def test_accounts_get_roles_passwords_and_links(tmp_path: Path) -> None:
    data = ("--data", str(tmp_path))
    made = told("user", "add", "a@example.org", "--admin", *data)
    assert made["role"] == "admin"
    assert re.fullmatch(r"http://127\.0\.0\.1:8080/login/[\w-]{43}", made["sign_in_url"])
    done = command("user", "add", "b@example.org", "--password-stdin", *data, stdin="correct horse\n")
    assert json.loads(done.stdout)["role"] == "user"
    done = command("user", "passwd", "b@example.org", "--password-stdin", *data, stdin="battery staple\n")
    assert json.loads(done.stdout) == {"email": "b@example.org"}
    link = told("user", "link", "b@example.org", *data, IUSERVER_SERVER_PUBLIC_URL="https://img.example.org/x")
    assert link.keys() == {"email", "sign_in_url", "expires_at"}
    assert link["sign_in_url"].startswith("https://img.example.org/x/login/")
    assert abs(link["expires_at"] - time.time() - 86400) < DEADLINE
    told("user", "role", "b@example.org", "admin", *data)
    told("user", "role", "a@example.org", "user", *data)
    listed = [json.loads(line) for line in command("user", "list", *data).stdout.splitlines()]
    assert {line["email"]: line["role"] for line in listed} == {"a@example.org": "user", "b@example.org": "admin"}
    assert "argon2" not in str(listed)
    secrets = [made["sign_in_url"].rpartition("/")[2], link["sign_in_url"].rpartition("/")[2], "battery staple"]
    kept = b"".join(file.read_bytes() for file in tmp_path.glob("catalog*"))
    assert not any(secret.encode() in kept for secret in secrets)


@pytest.mark.parametrize("password", ["", "too short", "x" * 257])
def test_a_password_that_cannot_be_is_told_in_one_line(tmp_path: Path, password: str) -> None:
    data = ("--password-stdin", "--data", str(tmp_path))
    done = command("user", "add", "a@example.org", *data, stdin=password)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "iuserver: A password must have 10 to 256 characters\n"


def test_what_cannot_be_done_is_told_in_one_line(tmp_path: Path) -> None:
    data = ("--data", str(tmp_path))
    told("user", "add", "a@example.org", *data)
    for arguments in (
        ("user", "add", "a@example.org"),
        ("user", "add", "no address"),
        ("user", "add", "b@example.org", "--plan", "gold"),
        ("user", "plan", "nobody@example.org", "pro"),
        ("user", "disable", "nobody@example.org"),
        ("user", "role", "a@example.org", "owner"),
        ("user", "role", "nobody@example.org", "admin"),
        ("user", "link", "nobody@example.org"),
        ("user", "passwd", "a@example.org"),
    ):
        done = command(*arguments, *data)
        assert (done.returncode, done.stdout) == (1, "")
        assert re.fullmatch(r"iuserver: [^\n]+\n", done.stderr)


@pytest.mark.parametrize(
    ("arguments", "environ", "named"),
    [
        (("--port", "x"), {}, "server.port"),
        ((), {"IUSERVER_SERVER_PROT": "1"}, "IUSERVER_SERVER_PROT"),
        (("--config", "/nowhere.toml"), {}, "/nowhere.toml"),
        (("--host", "203.0.113.7"), {}, "server.port"),
        (("--host", "no.such.host.invalid"), {}, "server.host"),
        ((), {"IUSERVER_SERVER_DATA": "/proc/nowhere"}, "server.data"),
        (
            (),
            {
                "IUSERVER_SERVER_FILES_URL": "https://Img.example.org",
                "IUSERVER_SERVER_PUBLIC_URL": "https://img.example.org:443/x",
            },
            "server.files_url",
        ),
    ],
)
def test_a_server_that_cannot_start_says_why_in_one_line(
    tmp_path: Path, arguments: tuple[str, ...], environ: dict[str, str], named: str
) -> None:
    done = command(
        "serve", *arguments, **{"IUSERVER_SERVER_DATA": str(tmp_path), "IUSERVER_SERVER_PORT": "0", **environ}
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(r"iuserver: [^\n]+\n", done.stderr)
    assert named in done.stderr


def test_a_second_server_on_the_same_data_or_port_does_not_start(tmp_path: Path) -> None:
    with serving(tmp_path / "one") as (_, url):
        same_data = command("serve", "--data", str(tmp_path / "one"), "--port", "0")
        same_port = command("serve", "--data", str(tmp_path / "two"), "--port", url.rpartition(":")[2])
    for done in (same_data, same_port):
        assert done.returncode == 2
        assert re.fullmatch(r"iuserver: [^\n]+\n", done.stderr)


def test_a_broken_catalog_is_told(tmp_path: Path) -> None:
    (tmp_path / "catalog.db").write_bytes(b"not a database at all" * 100)
    done = command("serve", "--data", str(tmp_path), "--port", "0")
    assert done.returncode == 2
    assert "catalog" in done.stderr
    assert done.stderr.count("\n") == 1


def test_the_demo_account_is_made_once_and_its_line_works(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(pictures.phone_jpeg())
    with serving(tmp_path / "data", "--demo") as (process, url):
        assert process.stdout
        line = eventually(lambda: re.search(r"curl .*", process.stdout.readline()))[0]
        pasted = subprocess.run(line, shell=True, cwd=tmp_path, capture_output=True, timeout=60, check=True)
        assert json.loads(pasted.stdout)["ok"] is True
        link = eventually(lambda: re.search(r"http://\S+/login/([\w-]{43})$", process.stdout.readline()))
        assert link[0].startswith(url)
    with serving(tmp_path / "data", "--demo") as (process, _):
        assert process.stdout
        again = eventually(lambda: re.search(r"\S.* user rotate-key .*", process.stdout.readline()))[0]
        assert eventually(lambda: re.search(r"/login/([\w-]{43})$", process.stdout.readline()))[1] != link[1]
    assert "iu_live_" not in again
    environ = {**os.environ, **environ_of(tmp_path / "data")}
    rotated = subprocess.run(again, shell=True, capture_output=True, timeout=60, check=True, env=environ)
    assert json.loads(rotated.stdout)["api_key"]


def test_sigterm_lets_an_upload_in_progress_finish(tmp_path: Path) -> None:
    key = told("user", "add", "a@example.org", "--data", str(tmp_path))["api_key"]
    picture = pictures.jpeg()
    with serving(tmp_path) as (process, url):
        host, _, port = url.removeprefix("http://").partition(":")
        with socket.create_connection((host, int(port)), timeout=DEADLINE) as connection:
            head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n\r\n'
            body = head + picture + b"\r\n--b--\r\n"
            request = f"POST /api/upload HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n"
            request += f"Content-Type: multipart/form-data; boundary=b\r\nContent-Length: {len(body)}\r\n\r\n"
            connection.sendall(request.encode() + body[:500])
            requests.get(f"{url}/healthz", timeout=DEADLINE)  # what was sent before has arrived by now
            process.send_signal(signal.SIGTERM)
            eventually(lambda: refuses(host, int(port)))
            connection.sendall(body[500:])
            assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        assert process.wait(DEADLINE) == 0


def test_sigterm_ends_connections_that_are_kept_alive_after_their_next_answer(tmp_path: Path) -> None:
    key = told("user", "add", "a@example.org", "--plan", "pro", "--data", str(tmp_path))["api_key"]
    picture = pictures.jpeg()
    statuses: list[int] = []
    cut_off = []

    def client(url: str) -> None:
        with requests.Session() as session:
            while True:
                try:
                    files = {"file": ("a.jpg", picture)}
                    answer = session.post(f"{url}/api/upload", headers=bearer(key), files=files, timeout=DEADLINE)
                except requests.exceptions.ConnectionError as error:
                    if "refused" not in str(error).lower():
                        cut_off.append(error)
                    return
                statuses.append(answer.status_code)

    with serving(tmp_path) as (process, url), ThreadPoolExecutor(4) as threads:
        clients = [threads.submit(client, url) for _ in range(4)]
        eventually(lambda: statuses.count(200) > 10)
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE) == 0
        for one in clients:
            one.result()
    assert len(cut_off) <= 4  # between two requests, never twice
    assert set(statuses) <= {200, 429}


def refuses(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return True
    return False


def test_no_worker_outlives_a_server_that_is_killed(tmp_path: Path) -> None:
    with serving(tmp_path) as (process, _):
        workers = psutil.Process(process.pid).children()
        assert workers
        process.kill()
        eventually(lambda: not any(worker.is_running() for worker in workers))


def test_the_log_has_one_line_a_request_and_nothing_private(tmp_path: Path) -> None:
    key = told("user", "add", "a@example.org", "--data", str(tmp_path))["api_key"]
    with serving(tmp_path, "--log-format", "json") as (process, url):
        headers = {"X-Forwarded-For": "198.51.100.77, 203.0.113.99", **bearer(key)}
        requests.get(f"{url}/api/quota?grant=secret", headers=headers, timeout=DEADLINE)
        requests.get(f"{url}/%0a%1b[31m", timeout=DEADLINE)
        host, _, port = url.removeprefix("http://").partition(":")
        with socket.create_connection((host, int(port)), timeout=DEADLINE) as connection:
            connection.sendall(f"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\r\n\r\n".encode())
            assert connection.recv(65536).startswith(b"HTTP/1.1 400")
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE) == 0
        assert process.stderr
        text = process.stderr.read()
    lines = [json.loads(line) for line in text.splitlines()]
    first = lines[0]
    assert (first["method"], first["path"], first["status"]) == ("GET", "/api/quota", 200)
    assert first["client"] == "203.0.113.0"
    assert first["request_id"]
    assert len(lines) == 2
    assert not any(secret in text for secret in (key, "secret", "113.99", "100.77", "\x1b"))


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_no_link_that_opens_something_stands_in_the_log_whatever_its_form(tmp_path: Path, log_format: str) -> None:
    """A deletion link, an upload ticket, a grant, a sign-in link: as they are, doubled, absolute, escaped, raw."""
    token, ticket = "0123456789abcdef" * 2, "tk_aYmO7y-_Zz09aYmO7y-_Zz09"
    targets = [
        f"{path}{word}" for path in ("/u/", "//u/", "/p/u/", "/U/", "/%75/") for word in (ticket, f"{ticket}/a.jpg")
    ]
    targets += [f"{path}aB3xQf9K/{token}" for path in ("/d/", "//d/", "/p/d/", "/%64/")]
    targets += [f"/login/{token}", f"/signup/{token}", f"/f/aB3xQf9K.jpg?grant={token}", f"/i/{ticket}", f"/d/{token}"]
    targets += [f"http://img.example.org{target}" for target in targets]
    with serving(tmp_path, "--log-format", log_format) as (process, url):
        host, _, port = url.removeprefix("http://").partition(":")
        for target in [*targets, "/\x9b31m/\xad"]:
            with socket.create_connection((host, int(port)), timeout=DEADLINE) as connection:
                connection.sendall(f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode("latin-1"))
                assert connection.recv(65536).startswith(b"HTTP/1.1 4")
        process.send_signal(signal.SIGTERM)
        assert process.stderr
        text = process.stderr.read()
    assert len(text.splitlines()) == len(targets) + 1
    assert not any(secret in text for secret in (token, ticket, ticket[3:], "\x9b", "\xad"))
    assert "/%9B31m/%AD" in text


def test_a_unix_socket_that_is_in_use_is_left_to_its_server(tmp_path: Path) -> None:
    sock = f"unix:{tmp_path}/sock"
    arguments = [*RUN, "serve", "--data", str(tmp_path / "one"), "--host", sock]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout
        process.stdout.readline()
        second = command("serve", "--data", str(tmp_path / "two"), "--host", sock)
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(f"{tmp_path}/sock")
        process.terminate()
    (tmp_path / "file").touch()
    third = command("serve", "--data", str(tmp_path / "two"), "--host", f"unix:{tmp_path}/file")
    for done in (second, third):
        assert done.returncode == 2
        assert re.fullmatch(r"iuserver: [^\n]+\n", done.stderr)


def test_a_data_folder_with_something_else_in_it_is_told(tmp_path: Path) -> None:
    for name in ("blobs", "spool"):
        (tmp_path / name).touch()
        done = command("serve", "--data", str(tmp_path), "--port", "0")
        assert done.returncode == 2
        assert re.fullmatch(r"iuserver: [^\n]+\n", done.stderr)
        (tmp_path / name).unlink()


def test_it_listens_on_ipv6_and_on_a_unix_socket(tmp_path: Path) -> None:
    for host, listening in (
        ("::1", r"http://\[::1\]:\d+"),
        (f"unix:{tmp_path}/sock", re.escape(f"unix:{tmp_path}/sock")),
    ):
        arguments = [*RUN, "serve", "--data", str(tmp_path / "data"), "--port", "0", "--host", host]
        with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
            assert process.stdout
            line = process.stdout.readline()
            process.terminate()
            assert re.fullmatch(f"listening on {listening}\n", line)
        assert process.returncode == 0
