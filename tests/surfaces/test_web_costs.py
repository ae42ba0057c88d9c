"""What the frame of a page costs an account with a hundred thousand images."""

from __future__ import annotations

from pathlib import Path

import pytest
import requests

from tests import pictures
from tests.running import running
from tests.signed_in import Browser, sign_in_by_link
from tests.surfaces.test_cli import command

pytestmark = pytest.mark.slow

SECONDS = 0.025
"""Of processor time; it takes a thousandth."""


def test_the_dashboard_of_a_hundred_thousand_images_is_as_quick_as_any(tmp_path: Path) -> None:
    picture = tmp_path / "photo.jpg"
    picture.write_bytes(pictures.jpeg())
    done = command("seed", "--data", str(tmp_path / "data"), "--records", "100000", "--picture", str(picture))
    assert done.returncode == 0, done.stderr
    with running(tmp_path / "data", imaging={"workers": 1}) as server:
        account = server.call(server.server.accounts.named("seed0@localhost"))
        browser = Browser(server, account, "", requests.Session())
        sign_in_by_link(browser)
        costs = []
        for _ in range(5):
            before = server.loop_seconds()
            assert browser.get("/dashboard").status_code == 200
            costs.append(server.loop_seconds() - before)
        assert min(costs) < SECONDS
