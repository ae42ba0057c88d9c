"""`iuserver copy-blobs`: there and back, once more after an interruption, and what it says where something is wrong."""

from __future__ import annotations

import asyncio
import json
import os
import re
import time
from pathlib import Path

import pytest

from iuserver.cli import main
from tests.conftest import LogGuard
from tests.s3_server import S3Server, connected, free_port, location
from tests.surfaces.test_cli import command

KEYS = [f"{number % 256:02x}{number:030x}" for number in range(40)]
LARGE = 9 * 1024 * 1024  # goes to S3 in parts


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A folder of blobs, with something half made in it."""
    folder = tmp_path / "source"
    for number, key in enumerate(KEYS):
        (folder / key[:2]).mkdir(parents=True, exist_ok=True)
        (folder / key[:2] / key).write_bytes(os.urandom(LARGE if number == 7 else 1000 * number))
    (folder / KEYS[0][:2] / f"{KEYS[0]}.tmp").write_bytes(b"half")
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.suffix != ".tmp"}


def copied(source: object, target: object, *options: str) -> dict[str, int]:
    done = command("copy-blobs", str(source), str(target), *options)
    assert (done.returncode, done.stderr) == (0, "")
    told: dict[str, int] = json.loads(done.stdout)
    return told


def test_blobs_are_the_same_after_a_way_there_and_back(s3_url: str, source: Path, tmp_path: Path) -> None:
    size = sum(map(len, contents(source).values()))
    all_of_them = {"copied": len(KEYS), "present": 0, "problems": 0, "bytes": size}
    assert copied(f"disk:{source}", s3_url) == all_of_them
    assert copied(s3_url, "disk:", "--data", str(tmp_path / "data")) == all_of_them
    assert contents(tmp_path / "data/blobs") == contents(source)
    nothing = {"copied": 0, "present": len(KEYS), "problems": 0, "bytes": 0}
    assert copied(f"disk:{source}", s3_url) == nothing


def test_a_copy_goes_on_where_it_was_interrupted(s3_url: str, source: Path, tmp_path: Path) -> None:
    async def begin() -> None:
        blobs = await connected(s3_url)
        for key in KEYS[:15]:
            await blobs.put(key, str(source / key[:2] / key))
        await blobs.close()

    asyncio.run(begin())
    told = copied(f"disk:{source}", s3_url)
    assert (told["copied"], told["present"]) == (len(KEYS) - 15, 15)


def test_a_blob_that_differs_is_told_and_stays(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    copied(f"disk:{source}", f"disk:{target}")
    path = target / KEYS[3][:2] / KEYS[3]
    path.write_bytes(b"?" * path.stat().st_size)
    done = command("copy-blobs", f"disk:{source}", f"disk:{target}")
    assert done.returncode == 1
    assert done.stderr == f"blob {KEYS[3]}: is not the same on both sides\n"
    assert json.loads(done.stdout) == {"copied": 0, "present": len(KEYS) - 1, "problems": 1, "bytes": 0}
    assert path.read_bytes().startswith(b"???")


def test_a_store_that_goes_away_is_told_and_the_copy_goes_on_later(
    own_s3: S3Server,
    source: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    log_guard: LogGuard,
) -> None:
    log_guard.allow("^Task exception was never retrieved")  # aiohttp's own, for a connection that was cut while it sent
    url = location(own_s3.endpoint)
    from iuserver.blobs.s3 import S3Blobs

    put, puts = S3Blobs.put, []

    async def dying(blobs: S3Blobs, key: str, path: str) -> None:
        puts.append(key)
        if len(puts) == 20:
            own_s3.kill()
        await put(blobs, key, path)

    monkeypatch.setattr(S3Blobs, "put", dying)
    begun = time.monotonic()
    assert main(["copy-blobs", f"disk:{source}", url]) == 1
    assert time.monotonic() - begun < 20
    told = capsys.readouterr()
    assert told.out == ""
    assert re.fullmatch(r"iuserver: The image store is not available \(.+\)\. What has been copied .+\n", told.err)
    own_s3.start()
    again = copied(f"disk:{source}", url)
    assert again["copied"] + again["present"] == len(KEYS)
    assert again["present"] > 0


def test_what_cannot_be_copied_is_told_in_one_line(tmp_path: Path) -> None:
    nowhere = f"s3://bucket?endpoint=http://127.0.0.1:{free_port()}"
    for source, target in (
        (f"disk:{tmp_path}/nowhere", f"disk:{tmp_path}/target"),
        ("disk:", f"disk:{tmp_path}/target"),
        (f"disk:{tmp_path}", "disk:/proc/nowhere"),
        (f"disk:{tmp_path}", nowhere),
        (f"disk:{tmp_path}", "s3://bucket?edge=1"),
    ):
        done = command("copy-blobs", source, target, "--data", str(tmp_path / "data"))
        assert (done.returncode, done.stdout) == (2, "")
        assert re.fullmatch(r"iuserver: [^\n]+\n", done.stderr)
    assert not (tmp_path / "nowhere").exists()
    assert command("copy-blobs", "ftp://a", "disk:").returncode == 2
