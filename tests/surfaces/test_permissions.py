"""Who else on the machine may read what the server keeps: nobody, but for pictures the group that a setting names."""

from __future__ import annotations

import grp
import os
import re
import signal
import stat
import subprocess
from pathlib import Path

import pytest
import requests

from iuserver.permissions import group_id
from tests import pictures
from tests.conftest import LogGuard
from tests.running import DEADLINE, bearer, eventually, running
from tests.surfaces.test_cli import RUN, command, serving, told

LARGE = pictures.jpeg(pictures.noise(1000, 700))  # has a spool file of its own
GROUPS = {os.getegid(), *os.getgroups()} | ({12} if os.geteuid() == 0 else set())


def modes(folder: Path) -> set[tuple[str, int]]:
    """The kinds and modes of everything in a folder, itself included."""
    found = [folder, *folder.rglob("*")]
    return {("folder" if path.is_dir() else "file", stat.S_IMODE(path.lstat().st_mode)) for path in found}


CLOSED = {("folder", 0o700), ("file", 0o600), ("file", 0o400)}
"""For the server's user alone; blobs are not even that user's to write to."""


def upload(url: str, key: str, data: bytes) -> dict[str, str]:
    files = {"file": ("a.jpg", data)}
    answer: dict[str, str] = requests.post(
        f"{url}/api/upload", headers=bearer(key), files=files, timeout=DEADLINE
    ).json()
    return answer


def test_what_the_server_and_the_commands_make_is_their_users_alone(tmp_path: Path) -> None:
    """Whatever the umask is that they are started with."""
    data = tmp_path / "new" / "data"
    before = os.umask(0o000)
    try:
        key = told("user", "add", "a@example.org", "--data", str(data))["api_key"]
        assert modes(tmp_path / "new") <= CLOSED
        with serving(data) as (process, url):
            for picture in (pictures.jpeg(), LARGE, LARGE + b"trailer"):
                upload(url, key, picture)
            assert modes(tmp_path / "new") <= CLOSED
            assert (data / "spool").is_dir()
            process.send_signal(signal.SIGTERM)
            assert process.wait(DEADLINE) == 0
        assert command("fsck", "--data", str(data)).returncode == 0
        assert command("copy-catalog", "sqlite:", f"sqlite:{tmp_path}/new/copy.db", "--data", str(data)).returncode == 0
        assert modes(tmp_path / "new") <= CLOSED
    finally:
        os.umask(before)


def test_a_server_that_shares_its_process_is_as_careful(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        with running(tmp_path / "data", imaging={"workers": 1}) as server:
            for picture in (pictures.jpeg(), LARGE, LARGE + b"trailer"):
                assert server.upload(server.new_key("pro"), picture).status_code == 200
            assert modes(tmp_path / "data") <= CLOSED
    finally:
        os.umask(before)


def opened(data: Path) -> None:
    """Leave a data folder as 0.1.0 did."""
    for path in [data, *data.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o640 if "blobs" in path.parts else 0o644)


def test_an_old_data_folder_is_mended_at_the_start_with_one_line(tmp_path: Path) -> None:
    data = tmp_path / "data"
    key = told("user", "add", "a@example.org", "--data", str(data))["api_key"]
    with serving(data) as (_, url):
        upload(url, key, LARGE)
    opened(data)
    (data / "notes").mkdir(0o755)
    with serving(data) as (process, url):
        (data / "notes").rmdir()
        assert modes(data) == CLOSED
        assert upload(url, key, pictures.jpeg())["slug"]
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE) == 0
        assert process.stderr
        lines = [line for line in process.stderr.read().splitlines() if " was open " in line]
    assert len(lines) == 1
    assert re.search(rf"{data} was open to other users of this machine; \d+ files and folders are closed$", lines[0])
    with serving(data) as (process, _):
        process.send_signal(signal.SIGTERM)
        process.wait(DEADLINE)
        assert process.stderr
        assert "open to" not in process.stderr.read(), "once is enough"


def test_what_was_left_undone_is_done_at_the_next_start(tmp_path: Path, log_guard: LogGuard) -> None:
    """The folder above the blobs shows it: that one is closed last."""
    log_guard.allow("was open to other users")
    data = tmp_path / "data"
    with running(data, imaging={"workers": 1}) as server:
        assert server.upload(server.new_key(), LARGE).status_code == 200
    opened(data)
    data.chmod(0o700)
    with running(data, imaging={"workers": 1}):
        eventually(lambda: modes(data) == CLOSED)


@pytest.mark.skipif(len(GROUPS) < 2, reason="this user is in one group alone")
def test_a_group_that_is_named_may_read_the_pictures_and_nothing_else(tmp_path: Path) -> None:
    other = next(number for number in GROUPS if number != os.getegid())
    name, data = grp.getgrgid(other).gr_name, tmp_path / "data"
    with running(data, imaging={"workers": 1}) as server:
        key = server.new_key()
        assert server.upload(key, LARGE).status_code == 200
    with running(data, imaging={"workers": 1}, blobs={"group": name}) as server:
        for picture in (pictures.jpeg(), LARGE, LARGE + b"trailer"):
            assert server.upload(key, picture).status_code == 200
        assert stat.S_IMODE(data.stat().st_mode) == 0o710
        assert modes(data / "blobs") == {("folder", 0o750), ("file", 0o440)}
        found = [data, data / "blobs", *(data / "blobs").rglob("*")]
        assert {path.stat().st_gid for path in found} == {other}
        rest = [path for path in data.rglob("*") if "blobs" not in path.parts]
        assert rest
        assert {stat.S_IMODE(path.stat().st_mode) & 0o077 for path in rest} == {0}
    with running(data, imaging={"workers": 1}):
        assert modes(data) == CLOSED, "without the setting it is closed again"


def test_a_group_that_cannot_be_had_is_told_before_the_port_is_opened(tmp_path: Path) -> None:
    environ = {"IUSERVER_BLOBS_GROUP": "no-such-group"}
    done = subprocess.run(
        [*RUN, "serve", "--data", str(tmp_path), "--port", "0"],
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(r"iuserver: blobs\.group: there is no group 'no-such-group' [^\n]+\n", done.stderr)


def test_a_group_must_be_one_of_the_users_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(os, "getegid", lambda: 1000)
    monkeypatch.setattr(os, "getgroups", lambda: [1000])
    with pytest.raises(ValueError, match="is not in the group"):
        group_id(grp.getgrall()[0].gr_name)
