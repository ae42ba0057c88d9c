"""`iuserver backup` and `restore`: under load, again and again into one folder, elsewhere, and with damage."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import io
import json
import os
import re
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from iuserver.backup import Manifest, path_of
from iuserver.catalog.schema import MIGRATIONS
from iuserver.catalog.sqlite import SqliteCatalog
from iuserver.cli import main
from tests import pictures
from tests.clients_at_work import ClientsAtWork
from tests.running import DEADLINE, RunningServer, bearer, eventually, running
from tests.signed_in import Browser, signed_in
from tests.surfaces import test_cli

PICTURE = pictures.phone_jpeg()
CLIENTS = 4
SETTINGS: dict[str, Any] = {"limits": {"api_per_minute": 0}, "imaging": {"workers": 1}}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RunningServer]:
    with running(tmp_path / "data", **SETTINGS) as server:
        yield server


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command in this process, which is quicker."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = main(arguments)
    return subprocess.CompletedProcess(arguments, status, out.getvalue(), err.getvalue())


def told(*arguments: str) -> dict[str, int]:
    done = command(*arguments)
    assert (done.returncode, done.stderr) == (0, "")
    line: dict[str, int] = json.loads(done.stdout)
    return line


def upload(server: RunningServer, key: str, **fields: str) -> str:
    """An image's slug."""
    answer = server.upload(key, PICTURE, **{"expiration": "forever", **fields})
    assert answer.status_code == 200
    return str(answer.json()["slug"])


def delete(server: RunningServer, slug: str, key: str) -> None:
    answer = requests.delete(f"{server.url}/api/images/{slug}", headers=bearer(key), timeout=DEADLINE)
    assert answer.status_code == 200


def backed_up(server: RunningServer, folder: Path) -> dict[str, int]:
    return told("backup", str(folder), "--data", str(server.data))


def restored(folder: Path, data: Path) -> dict[str, int]:
    return told("restore", str(folder), "--data", str(data))


def manifest_of(folder: Path) -> Manifest:
    manifest = Manifest.read(folder)
    assert manifest
    return manifest


def fsck(data: Path) -> str:
    done = command("fsck", "--data", str(data))
    assert done.returncode == 0, done.stdout
    return done.stdout


def files(folder: Path) -> set[str]:
    return {path.name for path in (folder / "blobs").rglob("*") if path.is_file()}


class Load(ClientsAtWork):
    """Clients that upload about twenty pictures a second, and which slugs they were told."""

    def __init__(self, server: RunningServer) -> None:
        self._server = server
        self._key = server.new_key("pro")
        super().__init__(CLIENTS)
        self.acknowledged: list[str] = []

    def _run(self) -> None:
        while not self._ended.wait(CLIENTS / 20):
            self.acknowledged.append(upload(self._server, self._key))


def test_a_backup_under_load_has_all_that_was_acknowledged_before(server: RunningServer, tmp_path: Path) -> None:
    load, folder, elsewhere = Load(server), tmp_path / "backup", tmp_path / "elsewhere"
    with load.on():
        eventually(lambda: len(load.acknowledged) >= 20)
        before = list(load.acknowledged)
        assert test_cli.told("backup", str(folder), "--data", str(server.data))["problems"] == 0
        more = len(load.acknowledged) + 10
        eventually(lambda: len(load.acknowledged) >= more)
        again = list(load.acknowledged)
        assert backed_up(server, folder)["present"] >= len(before)
    result = restored(folder, elsewhere)
    assert result["problems"] == 0
    records = result["images"]
    assert re.match(rf"{records} records, {records} blobs, 0 leftovers, 0 problems", fsck(elsewhere))
    with running(elsewhere, **SETTINGS) as restored_server:
        for slug in again:
            assert restored_server.get(f"/f/{slug}.jpg").status_code == 200


def test_accounts_keys_links_and_counts_go_on(server: RunningServer, tmp_path: Path) -> None:
    key = server.new_key("starter")
    made = server.upload(key, PICTURE, expiration="forever", password="open sesame").json()
    backed_up(server, tmp_path / "backup")
    restored(tmp_path / "backup", tmp_path / "elsewhere")
    with running(tmp_path / "elsewhere", **SETTINGS) as elsewhere:
        assert elsewhere.get("/api/quota", key).json() == server.get("/api/quota", key).json()
        path = f"/f/{made['slug']}.jpg"
        assert elsewhere.get(path).status_code == 401
        sent = elsewhere.get(path, **{"X-Image-Password": "open sesame"})
        assert sent.content == server.get(path, **{"X-Image-Password": "open sesame"}).content
        deletion = "/d/" + made["delete_url"].partition("/d/")[2]
        assert requests.post(elsewhere.url + deletion, timeout=DEADLINE).status_code == 200
    assert fsck(tmp_path / "elsewhere").startswith("0 records, 0 blobs, 0 leftovers, 0 problems")


def test_what_is_there_is_not_copied_again_and_what_is_gone_is_removed(server: RunningServer, tmp_path: Path) -> None:
    folder, key = tmp_path / "backup", server.new_key("pro")
    slugs = [upload(server, key) for _ in range(3)]
    first = backed_up(server, folder)
    assert (first["images"], first["linked"], first["copied"], first["bytes"]) == (3, 3, 0, 0)
    for name in files(folder):
        assert os.path.samefile(path_of(folder, name), path_of(server.data, name))
    delete(server, slugs[0], key)
    upload(server, key)
    second = backed_up(server, folder)
    assert {name: second[name] for name in ("images", "linked", "present", "removed", "problems")} == {
        "images": 3,
        "linked": 1,
        "present": 2,
        "removed": 1,
        "problems": 0,
    }
    assert files(folder) == set(manifest_of(folder).blobs) == server.blobs()
    assert len(list(folder.glob("catalog*"))) == 1


def test_what_was_meant_for_few_viewers_or_has_expired_does_not_come_back(
    server: RunningServer, tmp_path: Path
) -> None:
    folder, key = tmp_path / "backup", server.new_key("pro")
    stays = upload(server, key)
    seen = upload(server, key, expiration="burn")
    upload(server, key, expiration="burn")
    upload(server, key, expiration="views", view_limit="3")
    lapses = upload(server, key, expiration="1w")
    assert server.get(f"/f/{seen}.jpg").status_code == 200
    assert backed_up(server, folder)["images"] == 2
    assert len(files(folder)) == 2
    set_expiry(folder, lapses, int(time.time()) - 1)
    assert restored(folder, tmp_path / "elsewhere") == {"images": 1, "left_out": 4, "problems": 0}
    assert fsck(tmp_path / "elsewhere").startswith("1 records, 1 blobs, 0 leftovers, 0 problems")
    with running(tmp_path / "elsewhere", **SETTINGS) as elsewhere:
        listed = elsewhere.get("/api/images", key).json()["images"]
        assert [image["slug"] for image in listed] == [stays]


def set_expiry(folder: Path, slug: str, expires_at: int) -> None:
    """Change an image in a backup, as time would."""
    with changed_catalog(folder) as catalog:
        catalog.execute("UPDATE images SET expires_at = ? WHERE slug = ?", (expires_at, slug))


@contextlib.contextmanager
def changed_catalog(folder: Path) -> Iterator[sqlite3.Connection]:
    """A backup's catalog, to be changed without anybody noticing."""
    manifest = json.loads((folder / "manifest.json").read_text())
    path = folder / manifest["catalog"]
    with contextlib.closing(sqlite3.connect(path)) as catalog:
        yield catalog
        catalog.commit()
    manifest["catalog_sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))


def test_nobody_is_signed_in_after_a_restore(server: RunningServer, tmp_path: Path) -> None:
    browser = signed_in(server)
    token = server.call(server.server.accounts.make_link(browser.account)).token
    assert browser.get("/dashboard").status_code == 200
    backed_up(server, tmp_path / "backup")
    restored(tmp_path / "backup", tmp_path / "elsewhere")
    with running(tmp_path / "elsewhere", **SETTINGS) as elsewhere:
        there = Browser(elsewhere, browser.account, browser.key, browser.http)
        assert there.get("/dashboard").status_code == 303
        assert there.post(f"/login/{token}").status_code == 404
        assert elsewhere.get("/api/quota", browser.key).status_code == 200


def test_damage_in_a_backup_is_told_and_left_out(server: RunningServer, tmp_path: Path) -> None:
    folder, key = tmp_path / "backup", server.new_key("pro")
    slugs = sorted(upload(server, key) for _ in range(3))
    backed_up(server, folder)
    damaged, lost, _ = (server.call(server.server._services.library.catalog.image(slug)) for slug in slugs)
    path_of(folder, lost.blob).unlink()
    path = path_of(folder, damaged.blob)
    whole = path.read_bytes()
    path.unlink()
    path.write_bytes(whole[:-1] + b"?")
    done = command("restore", str(folder), "--data", str(tmp_path / "elsewhere"))
    assert done.returncode == 1
    assert json.loads(done.stdout) == {"images": 1, "left_out": 0, "problems": 2}
    line = r"image {0.slug}: blob {0.blob} is damaged or missing in the backup; it is left out"
    assert sorted(done.stderr.splitlines()) == sorted([line.format(damaged), line.format(lost)])
    assert fsck(tmp_path / "elsewhere").startswith("1 records, 1 blobs, 0 leftovers, 0 problems")


def test_a_damaged_catalog_or_manifest_is_not_restored(server: RunningServer, tmp_path: Path) -> None:
    folder, data = tmp_path / "backup", tmp_path / "elsewhere"
    backed_up(server, folder)
    catalog = folder / manifest_of(folder).catalog
    catalog.write_bytes(catalog.read_bytes() + b"?")
    refused("restore", folder, data, rf"{catalog} is damaged: its SHA-256 is not that of the manifest")
    for text in ("{", "[]", '{"iuserver": 1}', (folder / "manifest.json").read_text().replace("catalog-", "../../x-")):
        (folder / "manifest.json").write_text(text)
        refused("restore", folder, data, rf"{folder}/manifest.json is damaged: .+")
    assert not list(data.glob("catalog*"))


def refused(name: str, folder: Path, data: Path, reason: str) -> None:
    done = command(name, str(folder), "--data", str(data))
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(rf"iuserver: {reason}\n", done.stderr), done.stderr


def test_a_newer_schema_is_refused_in_one_line(server: RunningServer, tmp_path: Path) -> None:
    folder, data, newest = tmp_path / "backup", tmp_path / "elsewhere", len(MIGRATIONS)
    backed_up(server, folder)
    with changed_catalog(folder) as catalog:
        catalog.execute(f"PRAGMA user_version = {newest + 1}")
    reason = rf".+: its schema version {newest + 1} is newer than this program's {newest}"
    refused("restore", folder, data, reason)
    assert not list(data.glob("catalog*"))
    data.mkdir(exist_ok=True)
    (data / "catalog.db").write_bytes((folder / manifest_of(folder).catalog).read_bytes())
    done = command("serve", "--data", str(data), "--port", "0")
    assert done.returncode == 2
    assert re.fullmatch(rf"iuserver: {reason}\n", done.stderr)


def test_it_restores_to_a_new_data_folder_alone(server: RunningServer, tmp_path: Path) -> None:
    folder = tmp_path / "backup"
    backed_up(server, folder)
    refused("restore", folder, server.data, r"server\.data: .+ is in use by another server")
    restored(folder, tmp_path / "elsewhere")
    refused("restore", folder, tmp_path / "elsewhere", r".+catalog\.db: there is a catalog already; .+")
    refused("restore", tmp_path / "data", tmp_path / "new", r".+: there is no backup in this folder")


def test_a_folder_with_something_else_in_it_is_left_alone(server: RunningServer, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home/letter.txt").write_text("mine")
    for folder in (tmp_path / "home", server.data):
        refused("backup", folder, server.data, rf"{folder}: there is something else in this folder")
    assert [path.name for path in (tmp_path / "home").iterdir()] == ["letter.txt"]
    done = command("backup", "/proc/nowhere", "--data", str(server.data))
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(r"iuserver: /proc/nowhere: [^\n]+\n", done.stderr)


def test_the_backup_of_another_catalog_is_not_overwritten(server: RunningServer, tmp_path: Path) -> None:
    """So a server that has lost its catalog, and begins with a new one, does not empty its backup too."""
    folder, key = tmp_path / "backup", server.new_key("pro")
    upload(server, key)
    backed_up(server, folder)
    before = files(folder)
    with running(tmp_path / "new", **SETTINGS) as other:
        refused("backup", folder, other.data, rf"{folder}: this is the backup of another catalog; take another folder")
    assert files(folder) == before
    assert restored(folder, tmp_path / "elsewhere")["images"] == 1


def test_an_interrupted_backup_leaves_the_last_one_whole(
    server: RunningServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, key = tmp_path / "backup", server.new_key("pro")
    slugs = [upload(server, key) for _ in range(2)]
    backed_up(server, folder)
    delete(server, slugs[0], key)
    upload(server, key)
    with monkeypatch.context() as patch:
        patch.setattr(os, "sync", raise_full)
        assert main(["backup", str(folder), "--data", str(server.data)]) == 1
    assert restored(folder, tmp_path / "elsewhere") == {"images": 2, "left_out": 0, "problems": 0}
    assert backed_up(server, folder)["removed"] == 1
    assert files(folder) == server.blobs()
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        ["blobs", "backup.lock", "manifest.json", manifest_of(folder).catalog]
    )


def raise_full() -> None:
    raise OSError(28, "No space left on device")


def test_bytes_that_are_missing_are_told(server: RunningServer, tmp_path: Path) -> None:
    key = server.new_key("pro")
    slug = upload(server, key)
    image = server.call(server.server._services.library.catalog.image(slug))
    path_of(server.data, image.blob).unlink()
    done = command("backup", str(tmp_path / "backup"), "--data", str(server.data))
    assert (done.returncode, done.stderr) == (1, f"image {slug}: blob {image.blob} is missing\n")
    assert json.loads(done.stdout)["problems"] == 1


def test_a_picture_that_goes_meanwhile_is_no_problem(
    server: RunningServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is deleted between the snapshot and its turn."""
    folder, key = tmp_path / "backup", server.new_key("pro")
    slug = upload(server, key)
    snapshot = SqliteCatalog.snapshot

    async def then_delete(catalog: SqliteCatalog, path: str) -> None:
        await snapshot(catalog, path)
        await asyncio.to_thread(delete, server, slug, key)

    monkeypatch.setattr(SqliteCatalog, "snapshot", then_delete)
    assert main(["backup", str(folder), "--data", str(server.data)]) == 0
    assert restored(folder, tmp_path / "elsewhere") == {"images": 0, "left_out": 1, "problems": 0}


def test_blobs_on_s3_are_copied_and_come_back_to_disk(
    s3_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "backup"
    with running(tmp_path / "data", **SETTINGS, blobs={"url": s3_url}) as server:
        key = server.new_key("pro")
        slugs = [upload(server, key) for _ in range(3)]
        with monkeypatch.context() as environ:
            environ.setenv("IUSERVER_BLOBS_URL", s3_url)
            made, again = backed_up(server, folder), backed_up(server, folder)
        assert (made["copied"], made["linked"]) == (3, 0)
        assert (again["copied"], again["present"]) == (0, 3)
        sent = [server.get(f"/f/{slug}.jpg").content for slug in slugs]
    assert restored(folder, tmp_path / "elsewhere")["images"] == 3
    with running(tmp_path / "elsewhere", **SETTINGS) as elsewhere:
        assert [elsewhere.get(f"/f/{slug}.jpg").content for slug in slugs] == sent


def test_mongodb_is_backed_up_by_its_own_means(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IUSERVER_CATALOG_URL", "mongodb://127.0.0.1:1/iuserver")
    done = command("backup", str(tmp_path / "backup"), "--data", str(tmp_path / "data"))
    assert done.returncode == 2
    assert re.fullmatch(r"iuserver: catalog\.url: a backup is of SQLite; [^\n]+\n", done.stderr)
    assert not (tmp_path / "backup").exists()


def test_one_backup_at_a_time(server: RunningServer, tmp_path: Path) -> None:
    folder = tmp_path / "backup"
    folder.mkdir()
    with (folder / "backup.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        refused("backup", folder, server.data, rf"{folder}: another backup is under way")
