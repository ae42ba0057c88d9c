"""Whole servers over MongoDB: two on one catalog, a catalog that goes away, commands."""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from iuserver.catalog.mongo_commits import Steps
from iuserver.errors import Fault
from iuserver.records import Claim
from tests import pictures
from tests.conftest import LogGuard
from tests.mongo_server import mongo_server
from tests.running import DEADLINE, RunningServer, eventually, running
from tests.surfaces.test_cli import command, told
from tests.surfaces.test_viewing import moved, shortened, swept

PICTURE = pictures.jpeg()


@pytest.fixture
def two_servers(tmp_path: Path, mongo_database: str) -> Iterator[tuple[RunningServer, RunningServer]]:
    """Two nodes with a catalog and a blob folder in common, each with a data folder of its own."""
    sections = {"catalog": {"url": mongo_database}, "limits": {"api_per_minute": 0}, "imaging": {"workers": 1}}
    folders = tmp_path / "one", tmp_path / "two"
    for folder in folders:
        folder.mkdir(0o700)
    (folders[0] / "blobs").mkdir(0o700)
    (folders[1] / "blobs").symlink_to(folders[0] / "blobs")
    with running(folders[0], **sections) as one, running(folders[1], **sections) as two:
        yield one, two


def test_two_servers_share_accounts_pictures_and_links(two_servers: tuple[RunningServer, RunningServer]) -> None:
    one, two = two_servers
    key = one.new_key("pro")
    uploaded = one.upload(key, pictures.phone_jpeg()).json()
    assert uploaded["ok"]
    assert not (one.data / "catalog.db").exists()
    path = f"/f/{uploaded['slug']}.{uploaded['ext']}"
    assert two.get(path).content == one.get(path).content
    assert two.get("/api/quota", key).json()["used"] == 1
    link = uploaded["delete_url"].removeprefix(one.url)
    assert requests.post(two.url + link, timeout=DEADLINE).status_code == 200
    assert one.get(path).status_code == 404
    assert eventually(lambda: one.get("/api/quota", key).json()["storage"]["used"] == 0, 1)


def test_a_key_rotated_through_one_server_is_dead_in_the_other_within_a_second(
    two_servers: tuple[RunningServer, RunningServer],
) -> None:
    one, two = two_servers
    email, key = one.new_email("pro")
    assert two.get("/api/quota", key).status_code == 200
    rotated = one.call(one.server.accounts.rotate_key(email)).key
    since = time.monotonic()
    assert one.get("/api/quota", key).status_code == 401
    assert two.upload(key, pictures.jpeg()).status_code == 401, "the commit judges at once"
    eventually(lambda: two.get("/api/quota", key).status_code == 401, 1)
    assert time.monotonic() - since < 1
    assert two.get("/api/quota", rotated).status_code == 200


def test_64_uploads_at_once_through_two_servers_get_the_ten_places_of_a_month(
    two_servers: tuple[RunningServer, RunningServer],
) -> None:
    key = two_servers[0].new_key("free")
    picture = pictures.jpeg()
    with ThreadPoolExecutor(32) as threads:
        answers = list(threads.map(lambda number: two_servers[number % 2].upload(key, picture), range(64)))
    assert sorted(answer.status_code for answer in answers) == [200] * 10 + [429] * 54
    assert {answer.json()["quota"]["used"] for answer in answers if answer.ok} == set(range(1, 11))
    eventually(lambda: two_servers[1].get("/api/quota", key).json()["used"] == 10, 1)


@pytest.mark.parametrize("transactions", [True, False], ids=["transactions", "steps"])
def test_of_a_hundred_at_once_through_two_servers_one_sees_a_picture_that_may_be_seen_once(
    two_servers: tuple[RunningServer, RunningServer], monkeypatch: pytest.MonkeyPatch, transactions: bool
) -> None:
    one, two = two_servers
    if not transactions:
        for server in two_servers:
            catalog = server.server._services.viewing.catalog
            monkeypatch.setattr(catalog, "_atomic", Steps(catalog._store, server.clock))
    key = one.new_key("pro")
    uploaded = one.upload(key, PICTURE, expiration="burn").json()
    path = f"/f/{uploaded['slug']}.{uploaded['ext']}"
    with ThreadPoolExecutor(100) as threads:
        answers = list(threads.map(lambda number: two_servers[number % 2].get(path), range(100)))
    assert sorted(answer.status_code for answer in answers) == [200] + [404] * 99
    assert [answer.content for answer in answers if answer.ok] == [PICTURE]
    seen = two.get(f"/api/images/{uploaded['slug']}", key).json()
    assert (seen["views"], seen["size"]) == (1, len(PICTURE))
    for server in two_servers:
        swept(server)
    assert one.files("blobs") == []
    stone = two.get(f"/api/images/{uploaded['slug']}", key).json()
    assert (stone["views"], stone["viewed_at"], stone["size"]) == (1, seen["viewed_at"], 0)
    assert eventually(lambda: one.get("/api/quota", key).json()["storage"]["used"] == 0, 1)


def test_viewers_are_counted_once_each_whichever_server_they_ask(
    two_servers: tuple[RunningServer, RunningServer],
) -> None:
    one, two = two_servers
    key = one.new_key("pro")
    uploaded = one.upload(key, PICTURE, expiration="views", view_limit="3").json()
    path = f"/f/{uploaded['slug']}.{uploaded['ext']}"
    servers = itertools.cycle(two_servers)
    statuses = [next(servers).get(path, **{"User-Agent": f"Firefox {who}"}).status_code for who in "aabacda"]
    assert statuses == [200, 200, 200, 200, 200, 404, 404]
    assert two.get(f"/api/images/{uploaded['slug']}", key).json()["views"] == 3


def test_a_grant_from_one_server_is_good_at_the_other(two_servers: tuple[RunningServer, RunningServer]) -> None:
    one, two = two_servers
    slug = one.upload(one.new_key("pro"), PICTURE, expiration="burn").json()["slug"]
    page = requests.post(f"{one.url}/i/{slug}", timeout=DEADLINE)
    granted = re.search(rf"/f/{slug}[^\"]+grant=[^\"]+", page.text)
    assert granted, page.status_code
    assert two.get(granted[0]).content == one.get(granted[0]).content == PICTURE
    assert two.get(granted[0].partition("?")[0]).status_code == 404


def test_bytes_that_cannot_be_read_burn_nothing(
    two_servers: tuple[RunningServer, RunningServer], log_guard: LogGuard
) -> None:
    log_guard.allow("^request .*The image's bytes")
    one, two = two_servers
    uploaded = one.upload(one.new_key("pro"), PICTURE, expiration="burn").json()
    path = f"/f/{uploaded['slug']}.{uploaded['ext']}"
    (blob,) = one.files("blobs")
    with shortened(blob):
        assert [server.get(path).status_code for server in two_servers] == [502, 502]
    with moved(blob):
        assert [server.get(path).status_code for server in two_servers] == [404, 404]
    assert two.get(path).content == PICTURE


def test_while_the_database_is_away_the_answer_is_502_and_afterwards_all_goes_on(
    tmp_path: Path, log_guard: LogGuard
) -> None:
    log_guard.allow(r"^request \w+: The catalog is not available")
    log_guard.allow("^MongoClient background task encountered an error")
    with mongo_server(tmp_path / "mongo") as mongo:
        sections = {"catalog": {"url": mongo.url}, "imaging": {"workers": 1}}
        with running(tmp_path / "data", **sections) as server:
            key = server.new_key("pro")
            slug = server.upload(key, pictures.jpeg()).json()["slug"]
            mongo.kill()
            since = time.monotonic()
            with ThreadPoolExecutor() as threads:
                upload = threads.submit(server.upload, key, pictures.jpeg())
                answers = [server.get(f"/f/{slug}.jpg"), upload.result()]
            assert time.monotonic() - since < 7
            assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [
                (502, "storage_unavailable")
            ] * 2
            assert server.get("/healthz").status_code == 200
            mongo.start()
            eventually(lambda: server.get(f"/f/{slug}.jpg").status_code == 200, 5)
            assert server.upload(key, pictures.jpeg()).json()["quota"]["used"] == 2


def test_commands_work_on_the_database(tmp_path: Path, mongo_database: str) -> None:
    environ = {"IUSERVER_CATALOG_URL": mongo_database, "IUSERVER_SERVER_DATA": str(tmp_path / "data")}
    nothing = command("fsck", "--repair", **environ)
    assert (nothing.returncode, nothing.stderr) == (2, "iuserver: catalog.url: there is no catalog in this database\n")
    made = told("user", "add", "a@example.org", "--plan", "pro", **environ)
    sections = {"catalog": {"url": mongo_database}, "imaging": {"workers": 1}}
    with running(tmp_path / "data", **sections) as server:
        assert server.upload(made["api_key"], pictures.jpeg()).status_code == 200
        rotated = told("user", "rotate-key", "a@example.org", **environ)
        eventually(lambda: server.upload(made["api_key"], pictures.jpeg()).status_code == 401, 1)
        assert server.upload(rotated["api_key"], pictures.jpeg()).status_code == 200
        assert told("sweep", **environ)["blobs"] == 0
        assert command("fsck", **environ).stdout == "2 records, 2 blobs, 0 leftovers, 0 problems\n"
        assert told("user", "remove", "a@example.org", **environ)["email"] == "a@example.org"
        assert server.files("blobs") == []
    assert command("user", "list", **environ).stdout == ""


@pytest.mark.parametrize("url", ["mongodb://me:s3cret@127.0.0.1:1/db", "mongodb://me:s3/cret@[", "mongo://me:s3cret@x"])
def test_a_database_that_cannot_be_used_is_told_in_one_line_without_the_password(tmp_path: Path, url: str) -> None:
    environ = {"IUSERVER_CATALOG_URL": url, "IUSERVER_SERVER_DATA": str(tmp_path), "IUSERVER_SERVER_PORT": "0"}
    done = command("serve", **environ)
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(r"iuserver: catalog\.url[^\n]+\n", done.stderr)
    assert "cret" not in done.stderr


def test_a_node_frees_the_keys_it_held_before_it_was_killed_and_no_others(
    two_servers: tuple[RunningServer, RunningServer], mongo_database: str
) -> None:
    """The name by which it knows them stands in its lock."""
    one, two = two_servers
    names = {(server.data / "lock").read_text() for server in two_servers}
    assert len(names) == 2
    catalog = one.server._services.uploads.catalog
    for server, key in ((one, "first"), (two, "second")):
        now = int(time.time())
        claim = server.server._services.uploads.catalog.claim_key("a1", Claim(key, "t"), now, now + 100)
        assert server.call(claim) is None
    one.call(catalog.void_claims())  # as at its next start
    assert one.call(catalog.claim_key("a1", Claim("first", "u"), now, now + 100)) is None
    with pytest.raises(Fault, match="under way"):
        one.call(catalog.claim_key("a1", Claim("second", "u"), now, now + 100))
