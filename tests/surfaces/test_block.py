"""`iuserver block`: what is on the list cannot be uploaded, and what is purged is gone; nothing else is touched."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from iuserver.moderation import FRESH
from tests import pictures
from tests.running import RunningServer, eventually, running
from tests.surfaces.test_cli import command, told

ORIGINAL = pictures.phone_jpeg()
OTHER = pictures.jpeg(pictures.noise(seed=2))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RunningServer]:
    with running(tmp_path / "data", imaging={"workers": 1}) as server:
        yield server


def block(server: RunningServer, *arguments: str) -> Any:
    return told("block", *arguments, "--data", str(server.data))


def statuses(server: RunningServer, *data: bytes) -> list[int]:
    return [server.upload(server.new_key("pro"), picture).status_code for picture in data]


def is_refused(server: RunningServer, data: bytes) -> bool:
    return statuses(server, data) == [403]


@pytest.fixture
def original(tmp_path: Path) -> Path:
    path = tmp_path / "bad picture.jpg"
    path.write_bytes(ORIGINAL)
    return path


def test_a_blocked_file_is_refused_within_a_second_at_no_cost(server: RunningServer, original: Path) -> None:
    """The file is what somebody once sent: it is cleaned first, as what is stored is."""
    assert statuses(server, ORIGINAL) == [200]
    made = block(server, "add", str(original))
    assert original.read_bytes() == ORIGINAL, "the operator's own file is left alone"
    assert (made["origin"], made["id"]) == ("bad picture.jpg", made["sha256"][:12])
    server.clock.advance(FRESH)
    key, before = server.new_key(), len(server.blobs())
    refused = server.upload(key, ORIGINAL, "another name.png", expiration="burn")
    assert (refused.status_code, refused.json()["code"]) == (403, "blocked")
    quota = server.get("/api/quota", key).json()
    assert (quota["used"], quota["storage"]["used"]) == (0, 0)
    assert len(server.blobs()) == before
    assert server.files("spool") == []
    assert statuses(server, OTHER, pictures.phone_jpeg(orientation=1)) == [200, 200]
    assert block(server, "list") == made
    assert block(server, "remove", made["id"]) == {"id": made["id"], "removed": True}
    server.clock.advance(FRESH)
    assert statuses(server, ORIGINAL) == [200]


def test_a_server_learns_of_a_block_by_itself(server: RunningServer, original: Path) -> None:
    statuses(server, OTHER)  # it knows now that the list is empty
    block(server, "add", str(original))
    eventually(lambda: is_refused(server, ORIGINAL), deadline=2 * FRESH)


def test_a_link_or_a_hash_says_the_same(server: RunningServer) -> None:
    image = server.upload(server.new_key(), OTHER).json()
    digest = hashlib.sha256(server.get(image["direct_url"]).content).hexdigest()
    by_page, by_file = (block(server, "add", image[name]) for name in ("share_url", "direct_url"))
    assert by_page["sha256"] == digest
    assert by_page["size"] == image["size"]
    assert by_file["id"] == by_page["id"]
    server.clock.advance(FRESH)
    assert is_refused(server, OTHER)
    block(server, "remove", by_page["id"])
    assert (block(server, "add", digest.upper())["size"], is_refused(server, OTHER)) == (None, True)


@pytest.mark.parametrize("how", ["file", "hash", "url"])
def test_a_purge_removes_these_bytes_everywhere_and_nothing_else(
    server: RunningServer, original: Path, how: str
) -> None:
    keys = [server.new_key("pro") for _ in range(3)]
    bad = [server.upload(key, ORIGINAL, **fields).json() for key, fields in zip(keys, VARIANTS, strict=True)]
    good = [server.upload(key, OTHER).json() for key in keys]
    digest = hashlib.sha256(server.get(bad[0]["direct_url"]).content)
    target = {"file": str(original), "hash": digest.hexdigest(), "url": bad[1]["share_url"]}[how]
    done = block(server, "add", target, "--purge")
    assert done["purged"] == 3
    for key, gone, kept in zip(keys, bad, good, strict=True):
        assert server.get(f"/api/images/{gone['slug']}", key).status_code == 404
        assert server.get(kept["direct_url"]).content == OTHER
        assert server.get("/api/quota", key).json()["storage"]["used"] == kept["size"]
    assert len(server.blobs()) == 3
    assert command("fsck", "--data", str(server.data)).stdout == "3 records, 3 blobs, 0 leftovers, 0 problems\n"
    if how == "hash":
        assert block(server, "add", target, "--purge")["purged"] == 0


VARIANTS: list[dict[str, str]] = [{}, {"password": "pw"}, {"expiration": "burn"}]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["add", "/nowhere/x.jpg"], "/nowhere/x.jpg: No such file or directory"),
        (["add", "https://example.org/f/nosuchim.jpg"], "There is no image nosuchim"),
        (["add", "https://example.org/about"], "https://example.org/about is no link of this server"),
        (["remove", "nothing"], "There is nothing with the id nothing on the blocklist"),
    ],
)
def test_what_cannot_be_done_is_told_in_one_line(tmp_path: Path, arguments: list[str], said: str) -> None:
    done = command("block", *arguments, "--data", str(tmp_path))
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"iuserver: {said}\n")


def test_what_is_no_picture_cannot_be_blocked_as_one(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("no picture")
    done = command("block", "add", str(tmp_path / "x.txt"), "--data", str(tmp_path / "data"))
    assert (done.returncode, done.stdout) == (1, "")
    assert command("block", "list", "--data", str(tmp_path / "data")).stdout == ""


def test_a_link_of_another_server_is_not_taken_for_ours(tmp_path: Path) -> None:
    ours = {"IUSERVER_SERVER_PUBLIC_URL": "https://img.example.org/x"}
    data = ("--data", str(tmp_path))
    for url in ("https://example.com/x/i/abcdefgh", "https://img.example.org/y/i/abcdefgh"):
        assert command("block", "add", url, *data, **ours).stderr == f"iuserver: {url} is no link of this server\n"
    done = command("block", "add", "https://img.example.org/x/i/abcdefgh", *data, **ours)
    assert done.stderr == "iuserver: There is no image abcdefgh\n"


def test_the_list_is_one_object_a_line(tmp_path: Path) -> None:
    data = ("--data", str(tmp_path))
    for digit in "ab":
        told("block", "add", digit * 64, *data)
    lines = [json.loads(line) for line in command("block", "list", *data).stdout.splitlines()]
    assert [(line["id"], line["origin"], line["size"]) for line in lines] == [
        ("a" * 12, "SHA-256", None),
        ("b" * 12, "SHA-256", None),
    ]
