"""What confines a worker is tried out in real processes, on this kernel and on one that lacks it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from iuserver.errors import Fault
from iuserver.imaging.pool import Pool
from tests import pictures
from tests.running import RunningServer
from tests.surfaces.test_cli import ROOT, RUN, told, upload

STOPPED = {"Landlock": {"EACCES", "EXDEV"}, "seccomp": {"EPERM", "ENOSYS"}}
OLD_KERNEL = [sys.executable, "-m", "tests.old_kernel"]
PICTURES = {
    "jpg": pictures.phone_jpeg(),
    "png": pictures.phone_png(),
    "gif": pictures.phone_gif(),
    "webp": pictures.phone_webp(),
    "avif": pictures.phone_avif(),
}


def confined(folder: Path, *before: str) -> tuple[list[str], dict[str, dict[str, str]]]:
    """What the kernel lacks, and how the tries of tests/confined.py end, by the part that should stop them."""
    spool, outside = folder / "spool", folder / "secret"
    spool.mkdir()
    outside.write_text("secret")
    for ext, data in PICTURES.items():
        (spool / f"picture.{ext}").write_bytes(data)
    program = [*before, sys.executable, "-m", "tests.confined", str(spool), str(outside)]
    done = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert outside.read_text() == "secret"
    assert sorted(folder.iterdir()) == [outside, spool]
    told: dict[str, Any] = json.loads(done.stdout)
    return told["missing"], told["tries"]


@pytest.fixture(scope="module")
def missing(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What this kernel lacks, in words."""
    return ", ".join(confined(tmp_path_factory.mktemp("confined"))[0])


def test_files_outside_sockets_programs_and_other_processes_are_out_of_reach(tmp_path: Path) -> None:
    missing, tries = confined(tmp_path)
    for part, errors in STOPPED.items():
        assert part in tries or any(lack.startswith(part) for lack in missing)
        assert {name: end for name, end in tries.get(part, {}).items() if end not in errors} == {}


def test_what_a_worker_does_is_allowed_in_all_formats(tmp_path: Path) -> None:
    tried = confined(tmp_path)[1][""]
    assert {f"picture.{ext}" for ext in PICTURES} < set(tried)
    assert set(tried.values()) == {"done"}


def test_a_kernel_that_lacks_a_part_is_told_and_no_reason_to_fail(tmp_path: Path) -> None:
    missing, tries = confined(tmp_path, *OLD_KERNEL)
    assert [lack.split()[0] for lack in missing] == ["Landlock", "seccomp"]
    assert set(tries[""].values()) == {"done"}


def test_workers_are_confined_to_the_last_thread(server: RunningServer, missing: str) -> None:
    """Also those threads that libvips makes for its first pictures."""
    key = server.new_key("business")
    for data in PICTURES.values():
        assert server.upload(key, data).status_code == 200
    expected = ("NoNewPrivs:\t1", *(["Seccomp:\t2"] if "seccomp" not in missing else []))
    for pid in server.server._services.uploads.imaging.pids:
        for status in Path(f"/proc/{pid}/task").glob("*/status"):
            assert set(expected) <= set(status.read_text().splitlines())


def test_a_worker_reads_no_picture_outside_the_spool(server: RunningServer, missing: str, tmp_path: Path) -> None:
    pool: Pool = server.server._services.uploads.imaging
    picture = tmp_path / "picture"
    picture.write_bytes(pictures.jpeg())
    target = server.data / "spool" / "target"
    if "Landlock" in missing:
        assert server.call(pool.submit(str(picture), str(target))).mime == "image/jpeg"
    else:
        with pytest.raises(Fault) as caught:
            server.call(pool.submit(str(picture), str(target)))
        assert caught.value.code == "storage_unavailable"
    target.unlink(missing_ok=True)


def test_what_is_missing_is_logged_once_by_a_server_that_works(tmp_path: Path) -> None:
    key = told("user", "add", "a@example.org", "--data", str(tmp_path))["api_key"]
    arguments = [*OLD_KERNEL, *RUN, "serve", "--data", str(tmp_path), "--port", "0"]
    with subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            assert process.stderr
            url = process.stdout.readline().split()[-1]
            assert upload(url, key).status_code == 200
        finally:
            process.terminate()
        log = process.stderr.read()
    lines = re.findall(r"workers are confined without (.*)", log)
    assert lines == ["Landlock (Function not implemented), seccomp (Function not implemented)"]
    assert process.returncode == 0
