"""What systemd does with a server: passes sockets on, restarts it under load, waits for signs of life; its units.

systemd itself does not run here. A launcher does what sd_listen_fds(3) and sd_notify(3) say.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests import pictures
from tests.backends import environ_of
from tests.clients_at_work import ClientsAtWork
from tests.running import DEADLINE, bearer, eventually
from tests.surfaces.test_cli import ROOT, RUN, told

UNITS = [ROOT / "conf/iuserver.service", ROOT / "conf/iuserver.socket"]
CLIENTS = 4
LAUNCHER = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.execve(sys.argv[2], sys.argv[2:], {**os.environ, "LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid())})
"""


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listening:
        yield listening


class Service:
    """A data folder, its socket, and the processes that serve it, one after the other."""

    def __init__(self, data: Path, listening: socket.socket, **environ: str) -> None:
        self._data = data
        self._listening = listening
        self._environ = {**os.environ, **environ_of(data), "IUSERVER_LIMITS_API_PER_MINUTE": "0", **environ}
        self.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        self.process = self._started()

    def _started(self) -> subprocess.Popen[str]:
        """The server, with the socket as its descriptor 3 and its own id in LISTEN_PID."""
        passed = self._listening.fileno()
        command = [sys.executable, "-c", LAUNCHER, str(passed), *RUN, "serve", "--data", str(self._data), "--port", "1"]
        return subprocess.Popen(
            command, pass_fds=[passed], env=self._environ, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )

    def await_start(self) -> None:
        assert self.process.stdout
        assert self.process.stdout.readline() == f"listening on {self.url}\n"

    def restart(self) -> None:
        self.stop()
        self.process = self._started()
        self.await_start()

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.communicate(timeout=60)
        assert self.process.returncode == 0


@contextlib.contextmanager
def service(data: Path, listening: socket.socket, **environ: str) -> Iterator[Service]:
    started = Service(data, listening, **environ)
    try:
        started.await_start()
        yield started
        started.stop()
    finally:
        started.process.kill()
        started.process.communicate()


class Clients(ClientsAtWork):
    """Who upload and read without a pause, each request on a new connection, and what they were answered."""

    def __init__(self, url: str, key: str) -> None:
        self._url = url
        self._key = key
        self.answers: Counter[object] = Counter()
        self.longest = 0.0
        super().__init__(CLIENTS)

    def _run(self) -> None:
        files = {"file": ("a.jpg", pictures.phone_jpeg())}
        while not self._ended.is_set():
            began = time.monotonic()
            try:
                answer = requests.post(f"{self._url}/api/upload", headers=bearer(self._key), files=files, timeout=60)
                self.answers[answer.status_code] += 1
                shown = requests.get(answer.json()["direct_url"], timeout=60)
                self.answers[shown.status_code] += 1
            except (requests.RequestException, KeyError) as error:
                self.answers[repr(error)] += 1
            self.longest = max(self.longest, time.monotonic() - began)


def test_a_restart_under_load_fails_no_request(tmp_path: Path, listening: socket.socket) -> None:
    """Requests wait in the socket while the one process ends and the next begins."""
    key = told("user", "add", "a@example.org", "--plan", "pro", "--data", str(tmp_path))["api_key"]
    with service(tmp_path, listening) as running:
        clients = Clients(running.url, key)
        with clients.on():
            for more in (20, 40):
                eventually(lambda more=more: clients.answers.total() >= more, 60)
                running.restart()
            eventually(lambda: clients.answers.total() >= 80, 60)
    assert set(clients.answers) == {200}


def test_what_is_passed_on_to_another_process_is_not_taken(tmp_path: Path) -> None:
    environ = {**os.environ, **environ_of(tmp_path), "LISTEN_PID": "1", "LISTEN_FDS": "1"}
    command = [*RUN, "serve", "--data", str(tmp_path), "--port", "0"]
    with subprocess.Popen(
        command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout
        assert process.stdout.readline().startswith("listening on http://127.0.0.1:")
        process.terminate()


@pytest.mark.parametrize("abstract", [False, True])
def test_the_manager_is_told(tmp_path: Path, listening: socket.socket, abstract: bool) -> None:
    """That it is ready, that it lives, that it stops."""
    name, told = f"@{tmp_path}/notify" if abstract else f"{tmp_path}/notify", []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(name.replace("@", "\0", 1))
        manager.settimeout(DEADLINE)

        def listen() -> None:
            while not (told and told[-1].startswith("STOPPING=1\n")):
                told.append(manager.recv(1000).decode())

        thread = threading.Thread(target=listen)
        thread.start()
        with service(tmp_path / "data", listening, NOTIFY_SOCKET=name, WATCHDOG_USEC="200000") as running:
            eventually(lambda: told.count("WATCHDOG=1") >= 2)
        thread.join()
    assert told[0] == f"READY=1\nSTATUS=listening on {running.url}"


def test_a_manager_that_does_not_read_holds_up_nothing(tmp_path: Path, listening: socket.socket) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"{tmp_path}/notify")
        environ = {"NOTIFY_SOCKET": f"{tmp_path}/notify", "WATCHDOG_USEC": "2000"}
        with service(tmp_path / "data", listening, **environ) as running:
            for _ in range(10):
                assert requests.get(f"{running.url}/healthz", timeout=DEADLINE).status_code == 200


def test_the_units_are_valid(tmp_path: Path) -> None:
    """As systemd-analyze judges them, where there is one; only the program is not where they expect it."""
    for unit in UNITS:
        text = unit.read_text().replace("/usr/local/bin/iuserver", shutil.which("true") or "/bin/true")
        (tmp_path / unit.name).write_text(text)
    analyze = shutil.which("systemd-analyze")
    if analyze:
        units = [str(tmp_path / unit.name) for unit in UNITS]
        done = subprocess.run([analyze, "verify", *units], capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stderr) == (0, "")
    assert re.search(r"(?m)^Type=notify$", (tmp_path / UNITS[0].name).read_text())
