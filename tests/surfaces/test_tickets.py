"""Upload tickets: a link that takes one picture for the account that made it."""

from __future__ import annotations

import contextlib
import logging
import socket
import sqlite3
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests

from tests import pictures
from tests.agents import LEGACY, MODERN, Agent
from tests.running import DEADLINE, RunningServer, bearer, eventually, running
from tests.surfaces.test_upload import multipart, received, request_head

PICTURE = pictures.phone_jpeg()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    limits = {"api_per_minute": 0, "mcp_per_minute": 0}
    with running(tmp_path_factory.mktemp("data"), limits=limits, imaging={"workers": 2}) as server:
        yield server


@pytest.fixture(params=[LEGACY, MODERN])
def agent(server: RunningServer, request: pytest.FixtureRequest) -> Agent:
    return Agent(server, server.new_key("pro"), request.param)


def send(url: str, data: bytes = PICTURE, name: str = "photo.jpg", **fields: str) -> requests.Response:
    return requests.post(url, files={"file": (name, data)}, data=fields, timeout=DEADLINE)


def test_a_ticket_from_its_making_to_its_picture(server: RunningServer, agent: Agent) -> None:
    result = agent.call("create_upload_ticket", expiration="1w", password="s3cret").json()["result"]
    ticket = result["structuredContent"]
    assert ticket["upload_url"].startswith(f"{server.url}/u/{ticket['ticket']}")
    assert ticket["curl"].endswith(ticket["upload_url"])
    assert 0 < ticket["expires_at"] - server.clock() <= 15 * 60
    for word in (ticket["upload_url"], ticket["curl"], ticket["ticket"]):
        assert word in result["content"][0]["text"]
    assert result["content"][1]["uri"] == ticket["upload_url"]

    waiting = agent.refused("get_image", slug=ticket["ticket"])
    assert waiting["reason"] == "not_found"
    assert "15 more minutes" in waiting["message"]

    answer = send(ticket["upload_url"], expiration="forever", password="other")
    image = answer.json()
    assert answer.status_code == 200
    assert (image["expiration"], image["password_protected"], image["upload_source"]) == ("1w", True, "mcp")
    assert image["quota"]["used"] == 1
    direct = server.get(image["direct_url"], **{"X-Image-Password": "s3cret"})
    assert direct.status_code == 200
    for word in (ticket["ticket"], ticket["upload_url"].rpartition("/")[2]):
        assert agent.done("get_image", slug=word)["slug"] == image["slug"]


def test_curl_as_the_ticket_says(server: RunningServer, agent: Agent, tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(PICTURE)
    ticket = agent.done("create_upload_ticket")
    done = subprocess.run(["bash", "-c", ticket["curl"]], cwd=tmp_path, capture_output=True, timeout=DEADLINE)
    assert b'"slug"' in done.stdout
    put = f"curl -T photo.jpg {agent.done('create_upload_ticket')['upload_url']}/"
    done = subprocess.run(["bash", "-c", put], cwd=tmp_path, capture_output=True, timeout=DEADLINE)
    assert b'"filename":"photo.jpg"' in done.stdout


@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_the_bare_bytes_will_do(server: RunningServer, agent: Agent, method: str) -> None:
    url = agent.done("create_upload_ticket")["upload_url"]
    image = requests.request(method, url, data=PICTURE, timeout=DEADLINE).json()
    assert image["filename"] == "image.jpg"
    named = agent.done("create_upload_ticket", filename="mine.jpg")["upload_url"]
    assert (
        requests.request(method, f"{named}/other.jpg", data=PICTURE, timeout=DEADLINE).json()["filename"] == "mine.jpg"
    )


def test_a_browser_gets_pages(server: RunningServer, agent: Agent) -> None:
    url = agent.done("create_upload_ticket")["upload_url"]
    page = server.get(url, Accept="text/html")
    assert page.status_code == 200
    assert 'type="file"' in page.text
    assert page.headers["Referrer-Policy"] == "no-referrer"
    files = {"file": ("photo.jpg", PICTURE)}
    sent = requests.post(url, files=files, headers={"Accept": "text/html,*/*"}, timeout=DEADLINE)
    assert sent.status_code == 200
    assert f"{server.url}/i/" in sent.text
    assert server.get(url, Accept="text/html").status_code == 409


def test_a_ticket_works_once(server: RunningServer, agent: Agent) -> None:
    url = agent.done("create_upload_ticket")["upload_url"]
    assert send(url).status_code == 200
    again = send(url)
    assert (again.status_code, again.json()["code"]) == (409, "ticket_used")
    assert agent.done("get_quota")["used"] == 1


def test_of_eight_at_once_one_is_stored(server: RunningServer, agent: Agent) -> None:
    url = agent.done("create_upload_ticket")["upload_url"]
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: send(url), range(8)))
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 7
    assert {answer.json().get("code") for answer in answers} <= {None, "ticket_used", "in_progress"}
    assert agent.done("get_quota")["used"] == 1


def test_a_failed_upload_leaves_the_ticket_good(server: RunningServer, agent: Agent) -> None:
    url = agent.done("create_upload_ticket")["upload_url"]
    assert send(url, b"no picture").status_code == 415
    assert send(url, pictures.jpeg()[:-9]).status_code == 400
    assert requests.put(url, data=b"", timeout=DEADLINE).status_code == 400
    assert send(url).status_code == 200


def test_while_one_is_under_way_others_wait(server: RunningServer, agent: Agent) -> None:
    ticket = agent.done("create_upload_ticket")
    path = ticket["upload_url"].removeprefix(server.url)
    body, headers = multipart(PICTURE)
    with socket.create_connection(server.address, timeout=DEADLINE) as connection:
        connection.sendall(request_head("unused", headers, len(body), path=path) + body[:100])
        eventually(lambda: server.server._services.uploads.queue.receiving == 1)
        for refused in (send(ticket["upload_url"]), server.get(ticket["upload_url"])):
            assert (refused.status_code, refused.json()["code"]) == (409, "in_progress")
        assert "ticket" in refused.json()["error"]
        looked = agent.refused("get_image", slug=ticket["ticket"])
        assert (looked["reason"], looked["retryable"]) == ("in_progress", True)
        connection.sendall(body[100:])
        assert received(connection).startswith(b"HTTP/1.1 200")
    assert agent.done("get_image", slug=ticket["ticket"])["filename"] == "photo.jpg"


def test_to_look_does_not_stand_in_the_way(server: RunningServer, agent: Agent) -> None:
    """Many looks while the picture comes: nobody is told to wait for a look."""
    ticket = agent.done("create_upload_ticket")
    for _ in range(3):
        assert agent.refused("get_image", slug=ticket["ticket"])["reason"] == "not_found"
        assert server.get(ticket["upload_url"]).status_code == 200
    assert send(ticket["upload_url"]).status_code == 200


def test_to_look_at_a_ticket_writes_nothing(server: RunningServer, agent: Agent) -> None:
    """While somebody else has locked the catalog, nobody can write."""
    ticket = agent.done("create_upload_ticket")
    with contextlib.closing(sqlite3.connect(server.data / "catalog.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert server.get(ticket["upload_url"]).status_code == 200
        assert agent.refused("get_image", slug=ticket["ticket"])["reason"] == "not_found"
        other.execute("ROLLBACK")


def test_a_ticket_ends(server: RunningServer, agent: Agent) -> None:
    ticket = agent.done("create_upload_ticket")
    try:
        server.clock.advance(15 * 60 - 5)
        assert server.get(ticket["upload_url"]).status_code == 200
        server.clock.advance(10)
        for refused in (server.get(ticket["upload_url"]), send(ticket["upload_url"])):
            assert (refused.status_code, refused.json()["code"]) == (404, "not_found")
        assert "over" in agent.refused("get_image", slug=ticket["ticket"])["message"]
    finally:
        server.clock.offset = 0


def test_a_ticket_dies_with_its_key(server: RunningServer) -> None:
    email, key = server.new_email("pro")
    url = Agent(server, key).done("create_upload_ticket")["upload_url"]
    server.call(server.server.accounts.rotate_key(email))
    assert send(url).status_code == 404
    assert server.get(url).status_code == 404


def test_what_a_ticket_says_cannot_be_read_or_changed(server: RunningServer, agent: Agent) -> None:
    url = agent.done("create_upload_ticket", password="hunter2hunter2")["upload_url"]
    word = url.rpartition("/")[2]
    assert "hunter2" not in word
    for position in (0, 3, 10, 20, 60, len(word) - 2):
        other = "A" if word[position] != "A" else "B"
        changed = word[:position] + other + word[position + 1 :]
        assert server.get(f"/u/{changed}").status_code == 404, position
    for nonsense in ("tk_", "tk_AAAA", "x", "tk_" + "A" * 200, word + "A", word[:-1]):
        assert server.get(f"/u/{nonsense}").status_code == 404


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"expiration": "soon"}, "bad_field"),
        ({"folder": "no-such-folder"}, "bad_field"),
        ({"custom_slug": "a b"}, "bad_field"),
        ({"expiration": "views"}, "bad_field"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "bad_field"),
        ({"password": []}, "bad_field"),
    ],
)
def test_what_could_not_be_uploaded_gets_no_ticket(
    server: RunningServer, agent: Agent, arguments: dict[str, Any], reason: str
) -> None:
    assert agent.refused("create_upload_ticket", **arguments)["reason"] == reason


def test_the_plan_and_the_month_count_when_a_ticket_is_made(server: RunningServer) -> None:
    agent = Agent(server, server.new_key("free"))
    assert agent.refused("create_upload_ticket", expiration="forever")["reason"] == "plan_required"
    url = agent.done("create_upload_ticket")["upload_url"]
    for _ in range(10):
        agent.upload(PICTURE)
    assert agent.refused("create_upload_ticket")["reason"] == "quota_exceeded"
    assert send(url).json()["code"] == "quota_exceeded"


def test_a_ticket_may_name_a_folder_and_a_slug(server: RunningServer, agent: Agent) -> None:
    agent.done("create_folder", name="Sent")
    slug = f"mine-{agent.version}"
    url = agent.done("create_upload_ticket", folder="sent", custom_slug=slug, expires_at=4102444800)["upload_url"]
    image = send(url).json()
    assert (image["folder"], image["slug"], image["expires_at"]) == ("sent", slug, 4102444800)


def test_somebody_elses_ticket_tells_nothing(server: RunningServer, agent: Agent) -> None:
    ticket = agent.done("create_upload_ticket")
    send(ticket["upload_url"])
    other = Agent(server, server.new_key(), agent.version)
    assert other.refused("get_image", slug=ticket["ticket"])["reason"] == "not_found"
    for nonsense in ("tk_", "tk_x", "tk_" + "ü" * 16, "tk_" + "A" * 16):
        assert other.refused("get_image", slug=nonsense)["reason"] == "not_found"


def test_a_ticket_whose_image_is_gone_stays_used(server: RunningServer, agent: Agent) -> None:
    ticket = agent.done("create_upload_ticket")
    slug = send(ticket["upload_url"]).json()["slug"]
    agent.done("delete_image", slug=slug)
    gone = agent.refused("get_image", slug=ticket["ticket"])
    assert (gone["reason"], "is gone" in gone["message"]) == ("not_found", True)
    again = send(ticket["upload_url"])
    assert (again.status_code, again.json()["code"]) == (409, "ticket_used")


def test_no_client_can_take_a_tickets_place(server: RunningServer, agent: Agent) -> None:
    """Its idempotency key is none that a client may send."""
    ticket = agent.done("create_upload_ticket")
    key = f"ticket {ticket['ticket']}"
    headers = {**bearer(agent.key or ""), "Idempotency-Key": key}
    refused = requests.post(
        f"{server.url}/api/upload", files={"file": ("a.jpg", PICTURE)}, headers=headers, timeout=DEADLINE
    )
    assert refused.status_code == 400
    assert agent.fault(agent.upload(PICTURE, client_ref=key))["reason"] == "bad_field"


def test_a_ticket_is_in_no_log(server: RunningServer, agent: Agent, caplog: pytest.LogCaptureFixture) -> None:
    url = agent.done("create_upload_ticket")["upload_url"]
    with caplog.at_level(logging.INFO):
        send(url)
        server.get(f"{url}/a/b")
        lines = lambda: [getattr(record, "path", "") for record in caplog.records]  # noqa: E731
        eventually(lambda: lines().count("/u/...") == 2)  # a line is written when its answer has left
    assert not any("tk_" in line for line in lines())


def test_uploads_by_ticket_count_as_calls_and_wrong_ones_by_address(tmp_path: Path) -> None:
    with running(tmp_path, imaging={"workers": 1}, limits={"mcp_per_minute": 3}) as server:
        agent = Agent(server, server.new_key("pro"))
        urls = [agent.done("create_upload_ticket")["upload_url"] for _ in range(2)]
        assert send(urls[0]).status_code == 200
        assert send(urls[1]).json()["code"] == "rate_limited"
        assert [server.get("/u/tk_wrong").status_code for _ in range(4)] == [404, 404, 404, 429]
