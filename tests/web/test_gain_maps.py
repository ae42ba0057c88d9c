"""Chromium on an HDR screen finds the gain map in what is stored, and applies it as it did in the original."""

from __future__ import annotations

import base64
import io
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from PIL import Image, ImageChops

from tests import gain_maps
from tests.running import RunningServer
from tests.web.conftest import CHROMIUM

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def shown(browser: Any) -> Iterator[Callable[[bytes], Image.Image]]:
    """What Chromium paints of a JPEG of 320 x 240 where it takes the screen for one with a higher dynamic range.

    Of a screenshot the brightest part is cut off, but a map changes the rest by a little, too.
    """
    flags = ["--no-sandbox", "--disable-dev-shm-usage", "--force-color-profile=scrgb-linear"]
    path = next(filter(None, map(shutil.which, CHROMIUM)), None)
    hdr = browser.browser_type.launch(executable_path=path, args=flags)
    page = hdr.new_page(viewport={"width": 320, "height": 240})

    def shown(data: bytes) -> Image.Image:
        source = f"data:image/jpeg;base64,{base64.b64encode(data).decode()}"
        page.set_content(f'<body style="margin: 0"><img src="{source}">')
        page.evaluate("document.images[0].decode()")
        return Image.open(io.BytesIO(page.screenshot())).convert("RGB")

    assert page.evaluate("matchMedia('(dynamic-range: high)').matches")
    yield shown
    hdr.close()


@pytest.mark.parametrize("dialect", gain_maps.DIALECTS)
def test_a_gain_map_is_applied_as_in_the_original(
    server: RunningServer, shown: Callable[[bytes], Image.Image], dialect: str
) -> None:
    dirty = gain_maps.photo(dialect)
    stored = server.get(server.upload(server.new_key("pro"), dirty).json()["direct_url"]).content
    original, kept, alone = (shown(data) for data in (dirty, stored, gain_maps.read(stored)[0]))
    assert max(high for _, high in ImageChops.difference(kept, original).getextrema()) <= 1
    assert kept.tobytes() != alone.tobytes()
