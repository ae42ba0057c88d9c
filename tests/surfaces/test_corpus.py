"""Every file of the extra corpus over real HTTP: what becomes of it is what its manifest says."""

from __future__ import annotations

import io
import warnings

import pytest
from PIL import Image

from tests import pictures
from tests.conftest import corpus, corpus_folder
from tests.running import RunningServer

ROWS = corpus()


@pytest.fixture(scope="module")
def key(server: RunningServer) -> str:
    return server.new_key("business")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["file"])
def test_a_corpus_file_ends_as_its_manifest_says(server: RunningServer, key: str, row: dict[str, str]) -> None:
    folder = corpus_folder()
    assert folder
    data = (folder / row["file"]).read_bytes()
    response = server.upload(key, data, row["file"])
    if row["expected"] == "accept":
        assert response.status_code == 200, response.text
        check_stored(data, server.get(response.json()["direct_url"]).content, response.json(), row)
    else:
        allowed = {"reject-400": {400}, "reject-415": {415}}[row["expected"]]
        if row["format"] == "empty":
            allowed.add(415)
        assert response.status_code in allowed, response.text


def check_stored(data: bytes, stored: bytes, answer: dict[str, object], row: dict[str, str]) -> None:
    """Nothing private is left, and the picture is the same one."""
    turned = row["orientation"] in ("5", "6", "7", "8") and not row["file"].startswith("png_xmp")
    size = (int(row["width"]), int(row["height"]))
    assert (answer["width"], answer["height"]) == (size[::-1] if turned else size)
    assert answer["hdr"] is ("gain map" in row["note"]) or row["format"] != "jpeg"
    assert set(pictures.metadata(stored, with_map=answer["hdr"] is True)) <= {"Orientation"}
    if "pil=ok" in row["judges"]:
        assert first_image(stored) == first_image(data)
        assert profile(stored) == profile(data)


def first_image(data: bytes) -> list[bytes]:
    """The frames of an animation, and only the first image of an MPO, which holds several photos one after another."""
    with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(data)) as image:
        multiple = image.format == "MPO"
    return pictures.pixels(data)[:1] if multiple else pictures.pixels(data)


def profile(data: bytes) -> object:
    with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(data)) as image:
        return image.info.get("icc_profile")
