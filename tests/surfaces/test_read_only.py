"""server.read_only: pictures are shown, nothing is changed, whoever asks."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from iuserver import janitor
from iuserver.catalog.read_only import READING, read_only
from iuserver.errors import Fault
from iuserver.policy import DAY
from iuserver.ports import Catalog
from tests import pictures
from tests.running import DEADLINE, RunningServer, bearer, eventually, running
from tests.surfaces.test_cli import command
from tests.surfaces.test_idempotency import upload as repeated


@pytest.fixture
def filled(tmp_path: Path) -> tuple[str, dict[str, Any]]:
    """A key, and the answer to its upload, which is to live for a day."""
    with running(tmp_path, imaging={"workers": 1}) as server:
        key = server.new_key("pro")
        return key, server.upload(key, pictures.jpeg()).json()


@pytest.fixture
def reading(tmp_path: Path, filled: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningServer]:
    monkeypatch.setattr(janitor, "PAUSE", 0.01)
    with running(tmp_path, server={"read_only": True}, imaging={"workers": 1}) as server:
        yield server


def files(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file() and "catalog" not in path.name}


def test_what_is_there_is_shown_and_every_change_is_refused(
    reading: RunningServer, filled: tuple[str, dict[str, Any]]
) -> None:
    key, image = filled
    path = f"/f/{image['slug']}.{image['ext']}"
    link = image["delete_url"].rpartition("/d/")[2]
    assert reading.get(path).status_code == 200
    assert reading.get("/api/quota", key).json()["used"] == 1
    assert reading.get("/api/folders", key).json() == {"folders": []}
    before = files(reading.data)
    options: dict[str, Any] = {"headers": bearer(key), "timeout": DEADLINE}
    for refused in (
        reading.upload(key, pictures.jpeg()),
        repeated(reading.url, key, "one"),
        requests.delete(f"{reading.url}/api/images/{image['slug']}", **options),
        requests.post(f"{reading.url}/api/folders", json={"name": "Cats"}, **options),
        requests.patch(f"{reading.url}/api/folders/cats", json={"name": "Dogs"}, **options),
        requests.delete(f"{reading.url}/api/folders/cats", **options),
        requests.patch(f"{reading.url}/api/images/{image['slug']}", json={"folder": None}, **options),
        requests.post(f"{reading.url}/api/images/bulk", json={"action": "delete", "slugs": [image["slug"]]}, **options),
    ):
        assert (refused.status_code, refused.json()["code"]) == (503, "read_only")
        assert int(refused.headers["Retry-After"]) > 0
    page = requests.post(f"{reading.url}/d/{link}", timeout=DEADLINE)
    assert (page.status_code, "html" in page.headers["Content-Type"]) == (503, True)
    assert reading.upload("iu_live_wrong", pictures.jpeg()).status_code == 401
    assert reading.get(path).status_code == 200
    assert files(reading.data) == before


def test_the_janitor_does_not_run(reading: RunningServer, filled: tuple[str, dict[str, Any]]) -> None:
    _, image = filled
    reading.clock.advance(2 * DAY)
    assert reading.get(f"/f/{image['slug']}.{image['ext']}").status_code == 404
    for _ in range(20):  # answers, between which it would have had its turn
        reading.get("/healthz")
    assert len(reading.blobs()) == 1
    reading.call(reading.server.stop())  # the fixture's own stop does nothing more
    with running(reading.data, imaging={"workers": 1}) as writing:
        writing.clock.advance(2 * DAY)
        eventually(lambda: not writing.blobs())


def test_commands_that_change_something_are_refused(tmp_path: Path, filled: tuple[str, dict[str, Any]]) -> None:
    environ = {"IUSERVER_SERVER_READ_ONLY": "true", "IUSERVER_SERVER_DATA": str(tmp_path)}
    listed = command("user", "list", **environ)
    email = json.loads(listed.stdout)["email"]
    for arguments in (
        ("user", "add", "new@example.org"),
        ("user", "rotate-key", email),
        ("user", "plan", email, "free"),
        ("user", "disable", email),
        ("user", "remove", email),
        ("sweep",),
        ("fsck", "--repair"),
    ):
        done = command(*arguments, **environ)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == "iuserver: This server only shows what it has at the moment\n"
    assert command("user", "list", **environ).stdout == listed.stdout
    assert command("fsck", **environ).returncode == 0


def test_what_is_not_known_to_change_nothing_is_refused() -> None:
    """So a method that the port gets is refused until somebody says that it only reads."""
    methods = {name for name, _ in inspect.getmembers(Catalog, inspect.isfunction) if not name.startswith("_")}
    assert methods > READING

    class Anything:
        def __getattr__(self, name: str) -> str:
            return name

    catalog: Any = read_only(Anything())  # type: ignore[arg-type]
    assert {name for name in methods if getattr(catalog, name) == name} == READING
    with pytest.raises(Fault, match="at the moment"):
        catalog.set_plan("a", "b").send(None)
