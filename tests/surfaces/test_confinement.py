"""What confines a worker is tried out in real processes, on this kernel and on one that lacks it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from iuserver.blobs.disk import DiskBlobs
from iuserver.errors import Fault
from iuserver.imaging import sandbox
from iuserver.imaging.pool import Pool
from tests import pictures
from tests.running import RunningServer
from tests.surfaces.test_cli import ROOT, RUN, told, upload

STOPPED = {
    "Landlock": {"EACCES", "EXDEV"},
    "Landlock's scopes": {"EPERM"},
    "seccomp": {"EPERM", "ENOSYS"},
    "buffer": {"EPERM", "EBADF", "EINVAL", "EACCES"},
    "blob": {"EACCES", "EPERM"},
}
OLD_KERNEL = [sys.executable, "-m", "tests.old_kernel", "Landlock,seccomp"]
NO_SECCOMP = [sys.executable, "-m", "tests.old_kernel", "seccomp"]
KEY = "ab" + "0" * 30
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
    pipe = subprocess.PIPE
    with subprocess.Popen(program, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdout
        if process.stdout.readline() == "put\n":
            assert put(folder / "blobs", spool / "handed over") == 5
        told, errors = process.communicate("done\n", timeout=60)
    assert process.returncode == 0, errors
    assert outside.read_text() == "secret"
    assert (folder / "blobs" / KEY[:2] / KEY).read_bytes() == b"clean"
    assert sorted(folder.iterdir()) == [folder / "blobs", outside, spool]
    results: dict[str, Any] = json.loads(told)
    return results["missing"], results["tries"]


def put(folder: Path, path: Path) -> int:
    """Store a file as the blob KEY, and tell its size."""

    async def work() -> int:
        async with contextlib.AsyncExitStack() as stack:
            blobs = DiskBlobs(folder)
            stack.push_async_callback(blobs.close)
            return await blobs.put(KEY, str(path))

    return asyncio.run(work())


@pytest.fixture(scope="module")
def missing(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What this kernel lacks, in words."""
    return ", ".join(confined(tmp_path_factory.mktemp("confined"))[0])


def test_what_is_not_a_workers_is_out_of_its_reach(tmp_path: Path) -> None:
    """Files outside, sockets, programs, other processes, the server's memory, and what has been stored."""
    missing, tries = confined(tmp_path)
    lacking = {lack.rpartition(" (")[0] for lack in missing}
    assert set(tries) >= {*STOPPED, ""} - lacking - ({"blob"} if "seccomp" in lacking else set())
    assert {
        (part, name): end
        for part, errors in STOPPED.items()
        for name, end in tries.get(part, {}).items()
        if end not in errors
    } == {}


def test_without_seccomp_no_signal_leaves_a_worker(tmp_path: Path) -> None:
    """Landlock's scopes alone, with the newest kernels."""
    missing, tries = confined(tmp_path, *NO_SECCOMP)
    assert missing[-1].startswith("seccomp (")
    if len(missing) == 1:
        assert tries["Landlock's scopes"] == {"signal": "EPERM", "abstract socket": "EPERM"}


def test_a_landlock_without_scopes_is_told(tmp_path: Path) -> None:
    program = f"from iuserver.imaging import sandbox; sandbox.SCOPED = 99; print(*sandbox.confine({str(tmp_path)!r}))"
    told = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60).stdout
    assert re.search(r"Landlock's scopes \((version \d+, they came with 99|Function not implemented)\)", told)


def test_what_a_worker_does_is_allowed_in_all_formats(tmp_path: Path) -> None:
    tried = confined(tmp_path)[1][""]
    assert {f"picture.{ext}" for ext in PICTURES} < set(tried)
    assert set(tried.values()) == {"done"}


def test_a_kernel_that_lacks_a_part_is_told_and_no_reason_to_fail(tmp_path: Path) -> None:
    missing, tries = confined(tmp_path, *OLD_KERNEL)
    assert [lack.rpartition(" (")[0] for lack in missing] == ["Landlock", "Landlock's scopes", "seccomp"]
    assert set(tries[""].values()) == {"done"}


def test_workers_are_confined_to_the_last_thread(server: RunningServer, missing: str) -> None:
    """Also those threads that libvips makes for its first pictures."""
    key = server.new_key("business")
    for data in PICTURES.values():
        assert server.upload(key, data).status_code == 200
    expected = ["NoNewPrivs:\t1", *(["Seccomp:\t2"] if "seccomp" not in missing else [])]
    for pid in server.server._services.uploads.imaging.pids:
        for status in Path(f"/proc/{pid}/task").glob("*/status"):
            lines = status.read_text().splitlines()
            assert set(expected) <= set(lines)
            (rights,) = (line.partition("\t")[2] for line in lines if line.startswith("CapPrm:"))
            assert int(rights, 16) in (0, sandbox.DAC_READ_SEARCH)


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
    parts = ("Landlock", "Landlock's scopes", "seccomp")
    assert lines == [", ".join(f"{part} (Function not implemented)" for part in parts)]
    assert process.returncode == 0
