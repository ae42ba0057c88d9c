"""`iuserver mcp-stdio`: messages over pipes, as an agent's host sends them, and files by their path."""

from __future__ import annotations

import base64
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests import pictures
from tests.agents import LEGACY, META, MODERN, Agent, encoded
from tests.running import DEADLINE, RunningServer, eventually, running

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, str(ROOT / "run.py"), "mcp-stdio"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    limits = {"api_per_minute": 0, "mcp_per_minute": 0}
    with running(tmp_path_factory.mktemp("data"), limits=limits, imaging={"workers": 2}) as server:
        yield server


class Host:
    """A host at the other end of the pipes."""

    def __init__(self, process: subprocess.Popen[bytes], version: str) -> None:
        self.process = process
        self.version = version
        self._number = 0

    def send(self, message: Any) -> None:
        self.write(json.dumps(message).encode())

    def write(self, line: bytes) -> None:
        assert self.process.stdin
        self.process.stdin.write(line + b"\n")
        self.process.stdin.flush()

    def receive(self) -> dict[str, Any]:
        """The next line, which must be a message and nothing else."""
        assert self.process.stdout
        message: dict[str, Any] = json.loads(self.process.stdout.readline())
        assert message["jsonrpc"] == "2.0"
        return message

    def ask(self, method: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
        self._number += 1
        params = dict(params or {})
        if self.version == MODERN:
            params["_meta"] = {META + "protocolVersion": MODERN, META + "clientCapabilities": {}}
        self.send({"jsonrpc": "2.0", "id": self._number, "method": method, "params": params})
        answer = self.receive()
        assert answer["id"] == self._number
        return answer

    def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        return self.ask("tools/call", {"name": tool, "arguments": arguments})

    def refused(self, **arguments: Any) -> str:
        """Why upload_image refuses."""
        answer = self.call("upload_image", **arguments)
        if "error" in answer:
            assert answer["error"]["code"] == -32602
            assert answer["error"]["data"]["http_status"] in (400, 413)
            return str(answer["error"]["message"])
        assert answer["result"]["isError"] is True
        return str(answer["result"]["content"][0]["text"])


@contextmanager
def bridge(url: str, key: str = "", version: str = LEGACY, **environment: str) -> Iterator[Host]:
    """A bridge that runs; it must end by itself, with nothing left to say."""
    env = {**os.environ, "IMAGEUPLOAD_URL": url, "IMAGEUPLOAD_API_KEY": key, **environment}
    process = subprocess.Popen(COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env)
    try:
        yield Host(process, version)
        out, err = process.communicate(timeout=DEADLINE)
        assert (process.returncode, out, err) == (0, b"", b"")
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(params=[LEGACY, MODERN])
def host(server: RunningServer, request: pytest.FixtureRequest) -> Iterator[Host]:
    with bridge(server.url, server.new_key("business"), request.param) as host:
        if host.version == LEGACY:
            assert host.ask("initialize", {"protocolVersion": LEGACY})["result"]["protocolVersion"] == LEGACY
            host.send({"jsonrpc": "2.0", "method": "notifications/initialized"})
        yield host


def test_messages_go_through_and_come_back(server: RunningServer, host: Host) -> None:
    assert host.call("get_quota")["result"]["structuredContent"]["used"] == 0
    stored = host.call("upload_image", filename="a.jpg", mime="image/jpeg", data_base64=encoded(pictures.jpeg()))
    slug = stored["result"]["structuredContent"]["slug"]
    assert stored["result"]["content"][1]["type"] == "resource_link"  # the agreed revision is told to the server
    assert host.call("get_image", slug=slug)["result"]["structuredContent"]["slug"] == slug
    missing = host.call("get_image", slug="aaaaaaaa")
    assert missing["error"]["code"] == -32004 if host.version == LEGACY else missing["result"]["isError"]


def test_the_tools_are_the_servers_with_a_file_path(server: RunningServer, host: Host) -> None:
    ours = {tool["name"]: tool for tool in host.ask("tools/list")["result"]["tools"]}
    theirs = {tool["name"]: tool for tool in Agent(server, None).post("tools/list").json()["result"]["tools"]}
    upload, plain = ours.pop("upload_image"), theirs.pop("upload_image")
    assert ours == theirs
    assert next(iter(upload["inputSchema"]["properties"])) == "file_path"
    assert set(upload["inputSchema"]["properties"]) == {"file_path", *plain["inputSchema"]["properties"]}
    assert "required" not in upload["inputSchema"]
    assert upload["description"].startswith("Give file_path")
    assert len(upload["inputSchema"]["properties"]["file_path"]["description"].split()) >= 4


@pytest.mark.parametrize("kind", ["jpeg", "png", "phone_webp", "phone_gif", "phone_avif"])
def test_a_file_is_sent_by_its_path(server: RunningServer, host: Host, tmp_path: Path, kind: str) -> None:
    data = getattr(pictures, kind)()
    (tmp_path / "Köln photo").write_bytes(data)
    answer = host.call("upload_image", file_path=str(tmp_path / "Köln photo"), expiration="1w", password="pw")
    image = answer["result"]["structuredContent"]
    assert image["filename"].startswith("Köln photo.")
    assert (image["expiration"], image["password_protected"], image["upload_source"]) == ("1w", True, "mcp")
    assert server.get(image["direct_url"], **{"X-Image-Password": "pw"}).status_code == 200
    eventually(lambda: server.files("spool") == [])


def test_a_large_file_takes_no_base64(server: RunningServer, host: Host, tmp_path: Path) -> None:
    plain = pictures.jpeg()
    data = plain[:-2] + os.urandom(20_000_000).replace(b"\xff", b"\0") + plain[-2:]
    (tmp_path / "large.jpg").write_bytes(data)
    image = host.call("upload_image", file_path=str(tmp_path / "large.jpg"))["result"]["structuredContent"]
    assert image["size"] == len(data)


def test_a_path_may_begin_at_home(server: RunningServer, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(pictures.png())
    with bridge(server.url, server.new_key(), HOME=str(tmp_path)) as host:
        assert (
            host.call("upload_image", file_path="~/a.png", filename="b.png")["result"]["structuredContent"]["filename"]
            == "b.png"
        )


def test_what_is_no_picture_is_never_sent(server: RunningServer, host: Host, tmp_path: Path) -> None:
    key = tmp_path / ".ssh" / "id_rsa"
    key.parent.mkdir()
    key.write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nSECRET\n")
    (tmp_path / "key.jpg").symlink_to(key)
    (tmp_path / "empty.png").touch()
    os.mkfifo(tmp_path / "pipe.jpg")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket.jpg"))
        for path, why in {
            str(key): "not a picture",
            str(tmp_path / "key.jpg"): "not a picture",
            str(tmp_path / "empty.png"): "not a picture",
            str(tmp_path): "not a file",
            str(tmp_path / "pipe.jpg"): "not a file",
            str(tmp_path / "socket.jpg"): "cannot be read",
            "/dev/zero": "not a file",
            "/dev/stdin": "cannot be read",
            "/etc/passwd": "not a picture",
            str(tmp_path / "missing.jpg"): "cannot be read",
            str(tmp_path / "a\0b"): "cannot be read",
            "a.jpg": "absolute",
            "": "absolute",
            7: "absolute",
        }.items():  # type: ignore[attr-defined]
            told = host.refused(file_path=path)
            assert why in told or "not a file" in told, path
            assert "SECRET" not in told


def test_a_file_that_is_too_large_is_not_even_read(server: RunningServer, host: Host, tmp_path: Path) -> None:
    with (tmp_path / "huge.jpg").open("wb") as file:
        file.write(b"\xff\xd8\xff")
        file.truncate(101 * 1024 * 1024)
    assert "101 MB" in host.refused(file_path=str(tmp_path / "huge.jpg"))


def test_roots_keep_files_in(server: RunningServer, tmp_path: Path) -> None:
    inside, outside = tmp_path / "in", tmp_path / "inner"
    for folder in (inside, outside):
        folder.mkdir()
        (folder / "a.jpg").write_bytes(pictures.jpeg())
    (inside / "link.jpg").symlink_to(outside / "a.jpg")
    (inside / "folder").symlink_to(outside)
    (tmp_path / "way-in").symlink_to(inside)
    roots = f"{tmp_path}/nowhere{os.pathsep}{tmp_path / 'way-in'}"
    with bridge(server.url, server.new_key(), IMAGEUPLOAD_ROOTS=roots) as host:
        for path in (inside / "a.jpg", tmp_path / "way-in" / "a.jpg", inside / ".." / "in" / "a.jpg"):
            assert "result" in host.call("upload_image", file_path=str(path))
        for path in (
            outside / "a.jpg",
            inside / "link.jpg",
            inside / "folder" / "a.jpg",
            inside / ".." / "inner/a.jpg",
        ):
            assert "IMAGEUPLOAD_ROOTS" in host.refused(file_path=str(path))


def test_a_file_and_base64_exclude_each_other(server: RunningServer, host: Host, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(pictures.jpeg())
    told = host.refused(file_path=str(tmp_path / "a.jpg"), data_base64="AAAA")
    assert "exclude" in told
    assert "data_base64" in host.refused(filename="a", mime="image/png")


def test_what_the_server_refuses_comes_back_with_its_reason(server: RunningServer, host: Host, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(pictures.jpeg()[:-9])
    assert "get its bytes again" in host.refused(file_path=str(tmp_path / "a.jpg"))
    (tmp_path / "b.jpg").write_bytes(pictures.jpeg())
    assert "expiration" in host.refused(file_path=str(tmp_path / "b.jpg"), expiration="soon")


def test_more_than_the_plan_allows_is_answered_not_cut_off(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("data")
    (folder / "large.jpg").write_bytes(b"\xff\xd8\xff" + b"x" * 30_000_000)
    with running(folder / "server", imaging={"workers": 1}) as server, bridge(server.url, server.new_key()) as host:
        assert "25 MB" in host.refused(file_path=str(folder / "large.jpg"))


def test_many_requests_at_once_are_all_answered(server: RunningServer, host: Host) -> None:
    meta = {META + "protocolVersion": MODERN, META + "clientCapabilities": {}} if host.version == MODERN else {}
    for number in range(50):
        params = {"name": "get_quota", "_meta": meta}
        host.send({"jsonrpc": "2.0", "id": f"n{number}", "method": "tools/call", "params": params})
    answers = [host.receive() for _ in range(50)]
    assert {answer["id"] for answer in answers} == {f"n{number}" for number in range(50)}
    assert all("result" in answer for answer in answers)


def test_what_is_asked_before_the_end_is_answered_after_it(server: RunningServer) -> None:
    request = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "get_quota"}}
    environment = {**os.environ, "IMAGEUPLOAD_URL": server.url, "IMAGEUPLOAD_API_KEY": server.new_key()}
    done = subprocess.run(
        COMMAND, input=json.dumps(request).encode(), env=environment, capture_output=True, timeout=DEADLINE, check=True
    )
    assert json.loads(done.stdout)["result"]["structuredContent"]["used"] == 0
    assert done.stderr == b""


def test_lines_that_are_no_requests(server: RunningServer, host: Host) -> None:
    host.write(b"")
    host.write(b"   ")
    host.write(json.dumps({"jsonrpc": "2.0", "method": "notifications/cancelled"}).encode())
    host.write(b"{")
    assert host.receive()["error"]["code"] == -32700
    host.write(b"[1]\r")
    assert host.receive()["error"]["code"] == -32600
    for params in (None, [], "x", {"name": 5}, {"name": "upload_image", "arguments": []}):
        host.send({"jsonrpc": "2.0", "id": "odd", "method": "tools/call", "params": params})
        answer = host.receive()
        assert answer["id"] == "odd"
        assert "error" in answer


def test_a_tool_name_that_is_no_header(server: RunningServer) -> None:
    with bridge(server.url, server.new_key(), MODERN) as host:
        assert "Unknown tool" in host.call("ü\n")["error"]["message"]


@pytest.mark.parametrize("version", [LEGACY, MODERN])
def test_without_a_server_there_is_an_error_with_the_id(version: str) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        with bridge(url, "iu_live_x", version) as host:
            for method in ("initialize", "tools/list"):
                error = host.ask(method)["error"]
                assert error["code"] == -32603
                assert url in error["message"]


def test_a_server_that_is_none_is_told_as_such(server: RunningServer) -> None:
    with bridge(f"{server.url}/nowhere", "iu_live_x") as host:
        assert "HTTP status 404" in host.ask("initialize")["error"]["message"]


def test_a_wrong_key_and_none(server: RunningServer) -> None:
    with bridge(server.url, "iu_live_wrong") as host:
        assert host.ask("initialize")["error"]["code"] == -32001
    with bridge(server.url) as host:
        assert host.ask("initialize")["result"]["serverInfo"]["name"] == "iuserver"
        missing = host.call("get_quota")["error"]
        assert missing["data"]["reason"] == "missing_key"
        assert "IMAGEUPLOAD_API_KEY" in missing["message"]
        assert "header" not in missing["message"], "nobody sends headers here"
    with bridge(server.url, "iu_live_wrong", MODERN) as host:
        assert "IMAGEUPLOAD_API_KEY" in host.call("get_quota")["error"]["message"]


@pytest.mark.parametrize("user", ["me:s3cret@", "s3cret@", "me:p@s3cret@", ":s3cret@"])
def test_a_password_in_the_address_is_neither_used_nor_shown(server: RunningServer, user: str) -> None:
    address = server.url.removeprefix("http://")
    with bridge(f"http://{user}{address}", server.new_key()) as host:
        assert "error" not in host.call("get_quota")
    for url in (f"http://{user}127.0.0.1:1", f"http://{user}{address}/nowhere", f"http://{user}no.such.host.invalid"):
        with bridge(url, "iu_live_x") as host:
            told = host.ask("initialize")["error"]["message"]
            assert url.replace(user, "") in told
            assert "s3cret" not in told


@pytest.mark.parametrize(
    "url", ["me:s3cret@127.0.0.1:1", "http://me:s3/cret@x", "ftp://me:s3cret@x", "http://x:s3cret"]
)
def test_nor_is_one_in_what_is_no_address(url: str) -> None:
    environment = {**os.environ, "IMAGEUPLOAD_URL": url}
    for command in (COMMAND, [*COMMAND[:-1], "upload", "x.jpg"]):
        environment["IMAGEUPLOAD_API_KEY"] = "iu_live_x"
        done = subprocess.run(command, env=environment, input=b"", capture_output=True, timeout=DEADLINE, check=False)
        assert (done.returncode, done.stdout) == (2, b"")
        assert b"IMAGEUPLOAD_URL" in done.stderr
        assert b"s3" not in done.stderr


@pytest.mark.parametrize("variables", [{"IMAGEUPLOAD_URL": "localhost:8080"}, {"IMAGEUPLOAD_API_KEY": "ü"}])
def test_what_cannot_work_is_said_at_once(variables: dict[str, str]) -> None:
    done = subprocess.run(
        COMMAND, env={**os.environ, **variables}, input=b"", capture_output=True, timeout=DEADLINE, check=False
    )
    assert (done.returncode, done.stdout) == (2, b"")
    assert next(iter(variables)) in done.stderr.decode()


def test_nothing_heavy_is_loaded_before_the_first_answer() -> None:
    """A host that starts the bridge is waiting: each of these alone takes about as long as all else together."""
    heavy = "{'httpx', 'tornado', 'motor', 'aioboto3', 'uvloop', 'prometheus_client', 'pyvips'}"
    code = f"import sys, iuserver.cli.mcp_stdio; print({heavy} & {{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout == "set()\n"


def test_a_message_with_a_file_beside_it_is_for_anybody(server: RunningServer) -> None:
    """The wire that the bridge uses, as docs/mcp.md has it for curl."""
    agent = Agent(server, server.new_key())
    call = {"name": "upload_image", "arguments": {"filename": "a.jpg", "mime": "image/jpeg"}}
    message = json.dumps(agent.message("tools/call", call))

    def post(*fields: str, data: bytes = pictures.jpeg()) -> dict[str, Any]:
        form = [argument for field in fields for argument in ("-F", field)]
        command = ["curl", "-s", "-H", f"Authorization: Bearer {agent.key}", *form, agent.url]
        done = subprocess.run(command, input=data, capture_output=True, timeout=DEADLINE, check=True)
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    assert post(f"message={message}", "file=@-;filename=x")["result"]["structuredContent"]["filename"] == "a.jpg"
    assert post("file=@-;filename=x", f"message={message}")["result"]["structuredContent"]["filename"] == "a.jpg"
    assert post(f"message={message}")["error"]["data"]["reason"] == "bad_body"
    assert post("file=@-;filename=x")["error"]["code"] == -32700
    assert post("message={", "file=@-;filename=x")["error"]["code"] == -32700
    call["arguments"]["data_base64"] = base64.b64encode(pictures.jpeg()).decode()  # type: ignore[index]
    both = json.dumps(agent.message("tools/call", call))
    assert post(f"message={both}", "file=@-;filename=x")["error"]["data"]["reason"] == "bad_field"
    agent.key = "wrong"
    refused = post(f"message={message}", "file=@-;filename=x", data=pictures.jpeg() + b"x" * 1_000_000)
    assert (refused["id"], refused["error"]["code"]) == (1, -32001)
