"""File names at the surface: as real clients send them, and as browsers get them back."""

from __future__ import annotations

import asyncio
import base64
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import httpx
import pytest
import requests

from tests import pictures
from tests.running import DEADLINE, RunningServer, bearer
from tests.surfaces.test_upload import post

PICTURE = pictures.jpeg()
NAMES = [
    "größe 100%.jpg",
    "Привет мир.jpg",
    "写真.jpg",
    "می\u200cشود.jpg",
    "👨\u200d👩\u200d👧.jpg",
    'a "b" (1)!.jpg',
    "plain.jpg",
]


def by_requests(url: str, key: str, name: str) -> Any:
    return requests.post(url, files={"file": (name, PICTURE)}, headers=bearer(key), timeout=DEADLINE).json()


def by_httpx(url: str, key: str, name: str) -> Any:
    return httpx.post(url, files={"file": (name, PICTURE)}, headers=bearer(key), timeout=DEADLINE).json()


def by_aiohttp(url: str, key: str, name: str) -> Any:
    async def send() -> Any:
        form = aiohttp.FormData()
        form.add_field("file", PICTURE, filename=name)
        async with aiohttp.ClientSession() as session, session.post(url, data=form, headers=bearer(key)) as response:
            return await response.json()

    return asyncio.run(send())


def by_dotnet(url: str, key: str, name: str) -> Any:
    """HttpClient's MultipartFormDataContent, and so PowerShell's -Form, byte for byte."""
    word = f"=?utf-8?B?{base64.b64encode(name.encode()).decode()}?="
    boundary = "7ac7cb5f-0a47-4d3e-a4b7-0e3d7a1b2c3d"
    disposition = f"form-data; name=file; filename=\"{word}\"; filename*=utf-8''{quote(name)}"
    if len(name) % 2:  # PowerShell before 7.4
        disposition = f'form-data; name=file; filename="{word}"'
    body = f"--{boundary}\r\nContent-Disposition: {disposition}\r\n\r\n".encode() + PICTURE
    headers = {**bearer(key), "Content-Type": f'multipart/form-data; boundary="{boundary}"'}
    data = body + f"\r\n--{boundary}--\r\n".encode()
    return requests.post(url, data=data, headers=headers, timeout=DEADLINE).json()


CLIENTS: dict[str, Callable[[str, str, str], Any]] = {
    "requests": by_requests,
    "httpx": by_httpx,
    "aiohttp": by_aiohttp,
    "dotnet": by_dotnet,
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("client", CLIENTS)
def test_a_name_comes_as_its_client_had_it(server: RunningServer, client: str, name: str) -> None:
    image = CLIENTS[client](f"{server.url}/api/upload", server.new_key(), name)
    assert image["filename"] == name
    disposition = server.get(image["direct_url"]).headers["Content-Disposition"]
    assert disposition.endswith(f"; filename*=UTF-8''{quote(name, safe='')}")


@pytest.mark.parametrize("escape", [[], ["--form-escape"]], ids=["percent", "backslash"])
def test_curl_escapes_in_two_ways(server: RunningServer, tmp_path: Path, escape: list[str]) -> None:
    (tmp_path / "a.jpg").write_bytes(PICTURE)
    name = 'größe "b" 50%.jpg'
    form = 'file=@a.jpg;filename="{}"'.format(name.replace('"', '\\"'))
    command = ["curl", "-s", *escape, "-H", f"Authorization: Bearer {server.new_key()}", "-F", form]
    done = subprocess.run(
        [*command, f"{server.url}/api/upload"], cwd=tmp_path, capture_output=True, check=True, timeout=DEADLINE
    )
    assert json.loads(done.stdout)["filename"] == name


def test_what_hides_or_turns_text_around_is_gone_whatever_it_was_wrapped_in(server: RunningServer) -> None:
    name = "a\u202e\u2028b\u3164\U000e0041.jpg"
    for client in CLIENTS.values():
        image = client(f"{server.url}/api/upload", server.new_key(), name)
        assert image["filename"] == "ab.jpg"


@pytest.mark.parametrize(
    "content_type", ["multipart/form-data; boundary=--=_Part=1", "multipart/form-data;\tboundary=--=_Part=1"]
)
def test_a_boundary_with_an_equals_sign_or_behind_a_tab(server: RunningServer, content_type: str) -> None:
    body = b'----=_Part=1\r\nContent-Disposition: form-data;\tname="file";\tfilename="a.jpg"\r\n\r\n' + PICTURE
    response = post(server, server.new_key(), (body + b"\r\n----=_Part=1--\r\n", {"Content-Type": content_type}))
    assert (response.status_code, response.json()["filename"]) == (200, "a.jpg")
