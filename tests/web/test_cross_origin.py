"""A web app of another origin in a real browser: it uploads, reads refusals, draws pictures and takes their pixels."""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from PIL import Image

from tests import pictures
from tests.running import RunningServer, running

pytestmark = pytest.mark.slow

Profile = Callable[..., Any]

UPLOAD = """
async ([url, headers, data, name]) => {
  const form = new FormData();
  const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
  form.append("file", new File([bytes], name, { type: "image/jpeg" }));
  const response = await fetch(url, { method: "POST", headers, body: form });
  return { status: response.status, headers: Object.fromEntries(response.headers), body: await response.json() };
}
"""
FETCH = """
async ([url, options]) => {
  const response = await fetch(url, options);
  const body = await response.text();
  return { status: response.status, headers: Object.fromEntries(response.headers), body, length: body.length };
}
"""
PIXEL = """
async (url) => {
  const image = new Image();
  image.crossOrigin = "anonymous";
  image.src = url;
  await image.decode();
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
  const context = canvas.getContext("2d");
  context.drawImage(image, 0, 0);
  return { url: canvas.toDataURL("image/png").slice(0, 22), pixel: [...context.getImageData(1, 1, 1, 1).data] };
}
"""
LOCKED_PIXEL = """
async ([url, password]) => {
  const response = await fetch(url, { headers: { "X-Image-Password": password } });
  const bitmap = await createImageBitmap(await response.blob());
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  const context = canvas.getContext("2d");
  context.drawImage(bitmap, 0, 0);
  return [...context.getImageData(1, 1, 1, 1).data];
}
"""
BLUE = pictures.png(Image.new("RGB", (4, 4), (10, 20, 200)))


class AppPage(BaseHTTPRequestHandler):
    """The app: an empty page."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>app</title><link rel=icon href=data:,>")

    def log_message(self, format: str, *args: Any) -> None:
        """Not in the tests' log."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    limits = {"mcp_per_minute": 0}
    with running(tmp_path_factory.mktemp("data"), limits=limits, imaging={"workers": 1}) as server:
        yield server


@pytest.fixture(scope="module")
def app_url() -> Iterator[str]:
    """Where the app is: another host name, and another port."""
    with ThreadingHTTPServer(("127.0.0.1", 0), AppPage) as app:
        thread = threading.Thread(target=app.serve_forever)
        thread.start()
        yield f"http://localhost:{app.server_port}/"
        app.shutdown()
        thread.join()


@pytest.fixture
def app(profile: Profile, app_url: str) -> Any:
    page = profile()
    page.goto(app_url)
    return page


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def test_an_upload_with_the_headers_that_libraries_add(server: RunningServer, app: Any) -> None:
    """Dropzone's, and those of tracing."""
    key = server.new_key()
    headers = {
        **bearer(key),
        "Accept": "application/json",
        "Cache-Control": "no-cache",
        "X-Requested-With": "XMLHttpRequest",
        "Idempotency-Key": "1",
        "traceparent": f"00-{'a' * 32}-{'b' * 16}-01",
        "sentry-trace": "x",
    }
    name = 'größe "b" 100% 👨\u200d👩\u200d👧.jpg'
    data = base64.b64encode(pictures.jpeg()).decode()
    first, again = (app.evaluate(UPLOAD, [f"{server.url}/api/upload", headers, data, name]) for _ in range(2))
    assert first["status"] == 200, first
    assert first["body"]["filename"] == name
    assert (first["headers"]["x-quota-used"], first["headers"]["x-quota-limit"]) == ("1", "10")
    assert {"x-request-id", "ratelimit", "ratelimit-policy"} <= set(first["headers"])
    assert again["headers"]["idempotent-replay"] == "true"
    assert again["body"]["slug"] == first["body"]["slug"]


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/api/nothing", 404, "not_found"),
        ("PUT", "/api/quota", 405, "method_not_allowed"),
        ("GET", "/api/quota", 401, "invalid_key"),
        ("DELETE", "/api/images/slugslug", 401, "invalid_key"),
    ],
)
def test_a_refusal_is_read(server: RunningServer, app: Any, method: str, path: str, status: int, code: str) -> None:
    options = {"method": method, "headers": {"Authorization": "Bearer wrong", "X-Requested-With": "XMLHttpRequest"}}
    answer = app.evaluate(FETCH, [server.url + path, options])
    assert answer["status"] == status
    assert f'"{code}"' in answer["body"]


def test_a_picture_is_drawn_and_its_pixels_taken(server: RunningServer, app: Any) -> None:
    link = server.upload(server.new_key(), BLUE, "blue.png").json()["direct_url"]
    assert app.evaluate(PIXEL, link) == {"url": "data:image/png;base64,", "pixel": [10, 20, 200, 255]}
    part = app.evaluate(FETCH, [link, {"headers": {"Range": "bytes=1-3"}}])
    assert (part["status"], part["body"]) == (206, "PNG")
    assert part["headers"]["content-range"] == f"bytes 1-3/{len(server.get(link).content)}"


def test_a_picture_with_a_password_is_for_whom_has_it(server: RunningServer, app: Any) -> None:
    link = server.upload(server.new_key(), BLUE, "blue.png", password="swordfish").json()["direct_url"]
    assert app.evaluate(LOCKED_PIXEL, [link, "swordfish"]) == [10, 20, 200, 255]
    for headers, code in (({}, "password_required"), ({"X-Image-Password": "sword"}, "wrong_password")):
        answer = app.evaluate(FETCH, [link, {"headers": headers}])
        assert answer["status"] == 401
        assert f'"{code}"' in answer["body"]


def test_the_only_view_reaches_the_page_that_spends_it(server: RunningServer, app: Any) -> None:
    link = server.upload(server.new_key("pro"), BLUE, "blue.png", expiration="burn").json()["direct_url"]
    assert app.evaluate(PIXEL, link)["pixel"] == [10, 20, 200, 255]
    assert app.evaluate(FETCH, [link, {}])["status"] == 404


def test_an_agents_page_on_this_machine_reads_its_answers(server: RunningServer, app: Any) -> None:
    body = '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get_quota"}}'
    headers = {"Content-Type": "application/json", "MCP-Protocol-Version": "2025-11-25", "X-Custom-Auth": "x"}
    answer = app.evaluate(FETCH, [f"{server.url}/mcp", {"method": "POST", "body": body, "headers": headers}])
    assert (answer["status"], answer["headers"]["www-authenticate"]) == (401, 'Bearer realm="iuserver"')


@pytest.mark.parametrize("name", ["größe 100%.png", "می\u200cشود.png", "👨\u200d👩\u200d👧.png", "it's (1)!.png"])
def test_a_saved_picture_has_its_name(server: RunningServer, profile: Profile, name: str) -> None:
    image = server.upload(server.new_key(), BLUE, name).json()
    assert image["filename"] == name
    page = profile()
    page.goto(f"{server.url}/i/{image['slug']}")
    with page.expect_download() as download:
        page.evaluate(
            "(url) => { const a = document.createElement('a'); a.href = url; a.download = ''; a.click() }",
            image["direct_url"],
        )
    saved = name.replace("\u200c", "_").replace("\u200d", "_")  # so Chromium does with joiners, wherever they come from
    assert download.value.suggested_filename == saved
