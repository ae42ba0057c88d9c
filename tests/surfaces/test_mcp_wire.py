"""/mcp on the wire: each thing that real clients were seen to need, in both eras."""

from __future__ import annotations

import base64
import gzip
import json
import re
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from handlers.mcp import endpoint
from tests import pictures
from tests.agents import LEGACY, META, MODERN, Agent, encoded
from tests.conftest import LogGuard
from tests.running import DEADLINE, RunningServer, bearer, running
from tests.surfaces.test_upload import received, request_head

HANDSHAKES = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"]
TOOLS = [
    "get_quota",
    "upload_image",
    "list_images",
    "get_image",
    "delete_image",
    "list_folders",
    "create_folder",
    "create_upload_ticket",
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    limits = {"api_per_minute": 0, "mcp_per_minute": 0}
    with running(tmp_path_factory.mktemp("data"), limits=limits, imaging={"workers": 2}) as server:
        yield server


def post(server: RunningServer, body: str | bytes | Any, key: str | None = None, **headers: str) -> requests.Response:
    data = body if isinstance(body, str | bytes) else json.dumps(body)
    sent = {**(bearer(key) if key else {}), **headers}
    return requests.post(f"{server.url}/mcp", data=data, headers=sent, timeout=DEADLINE)


def ping(**members: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "method": "ping", **members}


# Any era


@pytest.mark.parametrize("body", ["", "{", "nonsense", b"\xff\xfe", '{"jsonrpc":"2.0",}'])
def test_a_body_that_is_no_json_is_a_parse_error(server: RunningServer, body: str) -> None:
    response = post(server, body)
    assert response.status_code == 400
    assert response.json()["error"]["code"] == -32700
    assert response.json()["id"] is None


@pytest.mark.parametrize(
    "body",
    [
        [],
        [ping()],
        "null",
        '"ping"',
        {"jsonrpc": "2.0", "id": 1},
        {"jsonrpc": "1.0", "id": 1, "method": "ping"},
        {"id": 1, "method": "ping"},
        ping(method=7),
        ping(id=None),
        ping(id=True),
        ping(id={}),
    ],
)
def test_what_is_no_request_is_refused(server: RunningServer, body: Any) -> None:
    response = post(server, body)
    assert response.status_code == 400
    assert response.json()["error"]["code"] == -32600
    assert response.json()["id"] is None


@pytest.mark.parametrize(
    "body",
    [
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}},
        {"jsonrpc": "2.0", "method": "no/such/thing"},
        {"jsonrpc": "2.0", "id": 1, "result": {}},
        {"jsonrpc": "2.0", "id": 1, "error": {"code": 1, "message": "x"}},
    ],
)
def test_what_wants_no_answer_gets_none(server: RunningServer, body: Any) -> None:
    for headers in ({}, {"MCP-Protocol-Version": MODERN}):
        response = post(server, body, **headers)
        assert (response.status_code, response.content) == (202, b"")


@pytest.mark.parametrize("id_", [0, -1, 7, 2**53 - 1, 1.5, "", "0", "a-b", "ü\u2028"])
@pytest.mark.parametrize("version", [LEGACY, MODERN])
def test_an_id_comes_back_as_it_was(server: RunningServer, id_: Any, version: str) -> None:
    answer = Agent(server, None, version).post("tools/list", id_=id_).json()
    assert answer["id"] == id_
    assert type(answer["id"]) is type(id_)


@pytest.mark.parametrize("accept", ["text/event-stream", "application/json, text/event-stream"])
def test_there_is_no_event_stream(server: RunningServer, accept: str) -> None:
    response = server.get("/mcp", Accept=accept)
    assert (response.status_code, response.headers["Allow"]) == (405, "POST")
    assert response.json()["code"] == "method_not_allowed"


def test_whoever_just_looks_is_told_what_this_is(server: RunningServer) -> None:
    about = server.get("/mcp").json()
    assert about["name"] == "iuserver"
    assert about["tools"] == TOOLS
    assert about["protocol_versions"] == [*HANDSHAKES, MODERN]


def test_a_slash_at_the_end_makes_no_difference(server: RunningServer) -> None:
    assert server.get("/mcp/").json() == server.get("/mcp").json()
    answer = requests.post(f"{server.url}/mcp/", json=ping(), allow_redirects=False, timeout=DEADLINE)
    assert answer.json() == {"jsonrpc": "2.0", "id": 1, "result": {}}
    assert requests.delete(f"{server.url}/mcp/", timeout=DEADLINE).headers["Allow"] == "POST"


def test_a_compressed_message_is_refused_for_that(server: RunningServer) -> None:
    """By HTTP's own status: nobody can tell the id of the request inside."""
    body = gzip.compress(json.dumps(ping()).encode())
    for key in (None, server.new_key(), "iu_live_wrong"):
        response = post(server, body, key, **{"Content-Encoding": "gzip"})
        assert (response.status_code, response.json()["code"]) == (415, "unsupported_type")
        assert response.headers["Accept-Encoding"] == "identity"
    assert post(server, ping(), **{"Content-Encoding": "identity"}).status_code == 200


def test_a_tools_name_that_is_none_at_all(server: RunningServer) -> None:
    """Nested as deeply as JSON may be, which Python's own repr does not take."""
    for name in ("[" * 1010 + "]" * 1010, '{"a":' * 1010 + "1" + "}" * 1010, "[]"):
        body = '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":' + name + "}}"
        response = post(server, body, server.new_key())
        assert (response.status_code, response.json()["error"]["code"]) == (200, -32602)


@pytest.mark.parametrize("method", ["DELETE", "PUT", "PATCH"])
def test_other_methods_are_not_allowed(server: RunningServer, method: str) -> None:
    response = requests.request(method, f"{server.url}/mcp", timeout=DEADLINE)
    assert (response.status_code, response.headers["Allow"]) == (405, "POST")


@pytest.mark.parametrize(
    "origin", ["http://localhost:6274", "https://127.0.0.1", "http://[::1]:9", "http://localhost", "{own}"]
)
def test_pages_of_this_machine_are_welcome(server: RunningServer, origin: str) -> None:
    assert post(server, ping(), Origin=origin.replace("{own}", server.url)).status_code == 200


@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", "null", "http://localhost.evil.example", "http://10.0.0.1", "http://[", "", "http://[::1"],
)
def test_pages_of_other_origins_are_not(server: RunningServer, origin: str) -> None:
    for method in ("POST", "GET"):
        response = requests.request(
            method, f"{server.url}/mcp", headers={"Origin": origin}, json=ping(), timeout=DEADLINE
        )
        assert response.status_code == 403
        assert "Access-Control-Allow-Origin" not in response.headers


def test_a_name_that_resolves_to_us_makes_no_page_our_own(server: RunningServer) -> None:
    """DNS rebinding: the attacker's page and the Host header agree with each other."""
    rebound = {"Origin": "http://evil.example:80", "Host": "evil.example:80"}
    assert post(server, ping(), **rebound).status_code == 403


def test_the_settings_may_welcome_pages(tmp_path: Path) -> None:
    settings = {"public_url": "https://img.example.org", "mcp_origins": ("https://app.example.org",)}
    with running(tmp_path, imaging={"workers": 1}, server=settings) as server:
        for origin in ("https://img.example.org", "https://app.example.org", "http://localhost:1"):
            assert post(server, ping(), Origin=origin).status_code == 200
        assert post(server, ping(), Origin="http://img.example.org").status_code == 403


def test_a_page_may_ask_beforehand(server: RunningServer) -> None:
    response = requests.options(f"{server.url}/mcp", headers={"Origin": "http://localhost:1"}, timeout=DEADLINE)
    assert response.status_code == 204
    assert "MCP-Protocol-Version" in response.headers["Access-Control-Allow-Headers"]
    assert "POST" in response.headers["Access-Control-Allow-Methods"]


@pytest.mark.parametrize(
    "path",
    [
        "/.well-known/oauth-protected-resource",
        "/.well-known/oauth-authorization-server/mcp",
        "/.well-known/openid-configuration",
        "/mcp/.well-known/openid-configuration",
        "/register",
    ],
)
def test_whoever_looks_for_oauth_is_told_in_json_that_there_is_none(server: RunningServer, path: str) -> None:
    for response in (server.get(path), requests.post(server.url + path, json={"x": 1}, timeout=DEADLINE)):
        assert response.status_code == 404
        assert response.json()["code"] == "not_found"


def test_curl_as_the_api_document_has_it(server: RunningServer) -> None:
    """Content-Type is all that curl is told; it sends Accept: */*."""
    key = server.new_key()
    for id_, method in ((1, "initialize"), (2, "tools/list")):
        body = json.dumps({"jsonrpc": "2.0", "id": id_, "method": method})
        headers = ["-H", f"Authorization: Bearer {key}", "-H", "Content-Type: application/json"]
        command = ["curl", "-s", "-X", "POST", f"{server.url}/mcp", *headers, "-d", body]
        done = subprocess.run(command, capture_output=True, check=True, timeout=DEADLINE)
        answer = json.loads(done.stdout)
        assert answer["id"] == id_
        assert answer["result"]["protocolVersion" if id_ == 1 else "tools"]


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "text/plain", ""])
def test_headers_that_do_not_matter(server: RunningServer, content_type: str) -> None:
    headers = {"Content-Type": content_type, "Accept": "", "Mcp-Session-Id": "whatever", "Last-Event-ID": "3"}
    response = post(server, ping(), **headers)
    assert response.json() == {"jsonrpc": "2.0", "id": 1, "result": {}}
    assert "Mcp-Session-Id" not in response.headers


# Keys


@pytest.mark.parametrize("method", ["initialize", "ping", "tools/list", "tools/call", "server/discover", "nope"])
def test_a_wrong_key_is_refused_whatever_is_asked(server: RunningServer, method: str) -> None:
    for version in (LEGACY, MODERN):
        response = Agent(server, "iu_live_wrong", version).post(method, id_="seven")
        assert response.status_code == 401
        assert response.headers["WWW-Authenticate"] == 'Bearer realm="iuserver"'
        assert response.json()["id"] == "seven"
        assert response.json()["error"]["code"] == -32001
        assert response.json()["error"]["data"]["reason"] == "invalid_key"


def test_without_a_key_one_may_look_and_not_touch(server: RunningServer) -> None:
    for version in (LEGACY, MODERN):
        agent = Agent(server, None, version)
        assert len(agent.post("tools/list").json()["result"]["tools"]) == len(TOOLS)
        response = agent.post("tools/call", {"name": "get_quota"}, id_=0)
        assert (response.status_code, response.json()["id"]) == (401, 0)
        assert response.json()["error"]["code"] == -32001
        assert response.json()["error"]["data"]["reason"] == "missing_key"
    assert Agent(server, None).post("initialize").status_code == 200


def test_bearer_may_be_written_in_any_case(server: RunningServer) -> None:
    for word in ("bearer", "BEARER"):
        call = ping(method="tools/call", params={"name": "get_quota"})
        assert post(server, call, Authorization=f"{word} {server.new_key()}").status_code == 200


def test_a_large_body_with_a_wrong_key_is_refused_with_its_id_before_it_has_come(server: RunningServer) -> None:
    body = json.dumps(Agent(server, None).message("tools/call", {"name": "upload_image"}, "first"))
    body = body[:-1] + ', "x": "' + "A" * 1_000_000
    with socket.create_connection(server.address, timeout=DEADLINE) as connection:
        connection.sendall(request_head("wrong", {}, len(body) + 1_000_000, path="/mcp") + body.encode()[:200_000])
        head, _, answer = received(connection).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 401")
    assert json.loads(answer)["id"] == "first"


@pytest.mark.parametrize("id_", ["007", "9" * 1000, '"\\u12"'])
def test_a_wrong_key_is_told_so_whatever_stands_for_an_id(server: RunningServer, id_: str) -> None:
    response = post(server, f'{{"id":{id_},', "wrong")
    assert (response.status_code, response.json()["id"]) == (401, None)


def test_a_large_body_whose_id_does_not_come_soon_is_refused_without(server: RunningServer) -> None:
    body = '{"params": {"id": 5, "data_base64": "' + "A" * 100_000
    with socket.create_connection(server.address, timeout=DEADLINE) as connection:
        connection.sendall(request_head("wrong", {}, 2_000_000, path="/mcp") + body.encode())
        head, _, answer = received(connection).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 401")
    assert json.loads(answer)["id"] is None


# Legacy


@pytest.mark.parametrize("params", [{}, None, {"protocolVersion": "1999-01-01"}, {"protocolVersion": MODERN}])
def test_initialize_offers_the_newest_handshake(server: RunningServer, params: Any) -> None:
    response = post(server, ping(method="initialize", params=params))
    result = response.json()["result"]
    assert response.status_code == 200
    assert result["protocolVersion"] == LEGACY
    assert result["capabilities"] == {"tools": {}}
    assert result["serverInfo"]["name"] == "iuserver"
    assert result["serverInfo"]["title"]
    assert result["serverInfo"]["version"]
    assert result["serverInfo"]["icons"][0]["src"].startswith("data:image/svg+xml;base64,")
    assert "quota" in result["instructions"]
    assert "Mcp-Session-Id" not in response.headers


@pytest.mark.parametrize("version", HANDSHAKES)
def test_initialize_agrees_to_every_handshake_revision(server: RunningServer, version: str) -> None:
    params = {"protocolVersion": version, "capabilities": {"roots": {}}, "clientInfo": {"name": "x", "version": "1"}}
    assert post(server, ping(method="initialize", params=params)).json()["result"]["protocolVersion"] == version


@pytest.mark.parametrize(
    "params", [{}, {"params": {}}, {"params": None}, {"params": {"cursor": None}}, {"params": {"cursor": ""}}]
)
def test_all_tools_come_at_once_and_in_order(server: RunningServer, params: Any) -> None:
    result = post(server, ping(method="tools/list", **params)).json()["result"]
    assert [tool["name"] for tool in result["tools"]] == TOOLS
    assert set(result) == {"tools"}


def test_a_cursor_of_somebody_else_is_refused(server: RunningServer) -> None:
    for cursor in ("abc", " ", 0, False, []):
        response = post(server, ping(method="tools/list", params={"cursor": cursor}))
        assert (response.status_code, response.json()["error"]["code"]) == (200, -32602)


@pytest.mark.parametrize("arguments", [{}, {"arguments": None}, {"arguments": {}}])
def test_a_tool_is_called_without_ceremony(server: RunningServer, arguments: Any) -> None:
    call = ping(method="tools/call", params={"name": "get_quota", **arguments})
    result = post(server, call, server.new_key()).json()["result"]
    assert result["structuredContent"]["used"] == 0
    assert set(result) == {"content", "structuredContent"}


@pytest.mark.parametrize("params", [[], "x", 7, [1]])
def test_params_that_are_no_object_are_refused(server: RunningServer, params: Any) -> None:
    for method in ("tools/list", "tools/call", "initialize"):
        response = post(server, ping(method=method, params=params), server.new_key())
        assert (response.status_code, response.json()["error"]["code"]) == (200, -32602)


@pytest.mark.parametrize("arguments", [[], "x", 7, False])
def test_arguments_that_are_no_object_are_refused(server: RunningServer, arguments: Any) -> None:
    call = ping(method="tools/call", params={"name": "get_quota", "arguments": arguments})
    error = post(server, call, server.new_key()).json()["error"]
    assert (error["code"], error["data"]["reason"]) == (-32602, "bad_field")


@pytest.mark.parametrize("name", ["nope", "", None, 5, ["get_quota"], {}])
def test_an_unknown_tool(server: RunningServer, name: Any) -> None:
    response = post(server, ping(method="tools/call", params={"name": name}), server.new_key())
    assert response.status_code == 200
    assert response.json()["error"]["code"] == -32602
    assert response.json()["error"]["message"] == f"Unknown tool: {name}"


@pytest.mark.parametrize("method", ["resources/list", "prompts/get", "server/discover", "logging/setLevel", ""])
def test_an_unknown_method(server: RunningServer, method: str) -> None:
    response = post(server, ping(method=method))
    assert (response.status_code, response.json()["error"]["code"]) == (200, -32601)


@pytest.mark.parametrize("version", [None, *HANDSHAKES])
def test_links_come_to_those_who_know_them(server: RunningServer, version: str | None) -> None:
    key = server.new_key()
    headers = {"MCP-Protocol-Version": version} if version else {}
    arguments = {"filename": "a.jpg", "mime": "image/jpeg", "data_base64": encoded(pictures.jpeg())}
    call = ping(method="tools/call", params={"name": "upload_image", "arguments": arguments})
    result = post(server, call, key, **headers).json()["result"]
    kinds = [block["type"] for block in result["content"]]
    assert kinds == (["text", "resource_link"] if (version or "") >= "2025-06-18" else ["text"])


def test_the_method_header_alone_is_no_sign_of_the_modern_era(server: RunningServer) -> None:
    """mcp-remote sends it with a handshake revision."""
    response = post(server, ping(), **{"Mcp-Method": "other", "MCP-Protocol-Version": "2025-06-18"})
    assert response.json()["result"] == {}


# Modern


def test_discover_says_all_that_the_handshake_said(server: RunningServer) -> None:
    result = Agent(server, None, MODERN).post("server/discover").json()["result"]
    assert result["resultType"] == "complete"
    assert result["supportedVersions"] == [MODERN]
    assert result["capabilities"] == {"tools": {}}
    assert (result["ttlMs"], result["cacheScope"]) == (3_600_000, "public")
    assert result["_meta"][META + "serverInfo"]["name"] == "iuserver"
    assert result["instructions"] == endpoint.INSTRUCTIONS


def test_a_modern_list_and_a_modern_call(server: RunningServer) -> None:
    agent = Agent(server, server.new_key(), MODERN)
    listed = agent.post("tools/list").json()["result"]
    assert (listed["resultType"], listed["ttlMs"], listed["cacheScope"]) == ("complete", 3_600_000, "public")
    assert [tool["name"] for tool in listed["tools"]] == TOOLS
    called = agent.call("get_quota").json()["result"]
    assert called["resultType"] == "complete"
    assert called["_meta"][META + "serverInfo"]["version"]
    assert "isError" not in called


@pytest.mark.parametrize("method", ["initialize", "ping", "logging/setLevel", "resources/subscribe", "nope"])
def test_an_unknown_or_removed_modern_method_is_a_404(server: RunningServer, method: str) -> None:
    response = Agent(server, None, MODERN).post(method, id_="x")
    assert response.status_code == 404
    assert response.json()["id"] == "x"
    assert response.json()["error"]["code"] == -32601


ENVELOPE = {META + "protocolVersion": MODERN, META + "clientCapabilities": {}}
HEADERS = {"MCP-Protocol-Version": MODERN, "Mcp-Method": "tools/call", "Mcp-Name": "get_quota"}


def without(mapping: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in mapping.items() if key != name}


@pytest.mark.parametrize(
    ("meta", "headers", "code"),
    [
        (without(ENVELOPE, META + "protocolVersion"), HEADERS, -32602),
        (without(ENVELOPE, META + "clientCapabilities"), HEADERS, -32602),
        (None, HEADERS, -32602),
        ([], HEADERS, -32602),
        # the shape of _meta comes before the headers
        (without(ENVELOPE, META + "clientCapabilities"), {}, -32602),
        (ENVELOPE, without(HEADERS, "MCP-Protocol-Version"), -32020),
        (ENVELOPE, {**HEADERS, "MCP-Protocol-Version": "2025-11-25"}, -32020),
        (ENVELOPE, {**HEADERS, "MCP-Protocol-Version": "2027-01-01"}, -32020),
        (ENVELOPE, {**HEADERS, "Mcp-Method": "tools/list"}, -32020),
        (ENVELOPE, without(HEADERS, "Mcp-Method"), -32020),
        (ENVELOPE, {**HEADERS, "Mcp-Name": "other"}, -32020),
        (ENVELOPE, without(HEADERS, "Mcp-Name"), -32020),
        (ENVELOPE, {**HEADERS, "Mcp-Name": "=?base64?!!?="}, -32020),
        # the headers come before the version
        ({**ENVELOPE, META + "protocolVersion": "2027-01-01"}, {**HEADERS, "Mcp-Name": "x"}, -32020),
    ],
)
def test_what_a_modern_request_must_say(server: RunningServer, meta: Any, headers: Any, code: int) -> None:
    call = ping(method="tools/call", params={"name": "get_quota", "_meta": meta})
    response = post(server, call, server.new_key(), **headers)
    assert (response.status_code, response.json()["id"], response.json()["error"]["code"]) == (400, 1, code)


def test_a_name_in_a_header_may_be_wrapped(server: RunningServer) -> None:
    wrapped = f"=?base64?{base64.b64encode(b'get_quota').decode()}?="
    call = ping(method="tools/call", params={"name": "get_quota", "_meta": ENVELOPE})
    assert post(server, call, server.new_key(), **{**HEADERS, "Mcp-Name": wrapped}).status_code == 200


def test_a_version_that_is_not_served_names_those_that_are(server: RunningServer) -> None:
    agent = Agent(server, None, "2027-01-01")
    meta = {META + "protocolVersion": "2027-01-01", META + "clientCapabilities": {}}
    response = agent.post("server/discover", {"_meta": meta}, **{"Mcp-Method": "server/discover"})
    assert response.status_code == 400
    assert response.json()["error"]["code"] == -32022
    assert response.json()["error"]["data"] == {"supported": [MODERN], "requested": "2027-01-01"}


def test_what_a_modern_request_may_say_besides(server: RunningServer) -> None:
    agent = Agent(server, server.new_key(), MODERN)
    message = agent.message("tools/call", {"name": "get_quota", "inputResponses": {}, "requestState": "x"})
    message["params"]["_meta"] |= {META + "logLevel": "debug", "progressToken": 3}
    response = post(server, message, agent.key, **agent.headers("tools/call", "get_quota"))
    assert response.json()["result"]["resultType"] == "complete"


def test_an_unknown_modern_tool(server: RunningServer) -> None:
    response = Agent(server, server.new_key(), MODERN).call("nope")
    assert (response.status_code, response.json()["error"]["code"]) == (400, -32602)


# Tools as they are told


def test_every_tool_is_told_so_that_hosts_take_it(server: RunningServer) -> None:
    tools = Agent(server, None).post("tools/list").json()["result"]["tools"]
    for tool in tools:
        assert re.fullmatch(r"[a-z_]{1,64}", tool["name"])
        assert len(tool["description"]) > 30
        assert tool["title"] == tool["annotations"]["title"]
        assert tool["annotations"]["openWorldHint"] is False
        for schema in (tool["inputSchema"], tool["outputSchema"]):
            assert schema["type"] == "object"
            assert not {"oneOf", "anyOf", "allOf", "$ref"} & set(schema)
        assert set(tool["inputSchema"].get("required", [])) <= set(tool["inputSchema"]["properties"])
    reading = {tool["name"] for tool in tools if tool["annotations"]["readOnlyHint"]}
    assert reading == {"get_quota", "list_images", "get_image", "list_folders"}
    destroying = [tool["annotations"] for tool in tools if tool["annotations"].get("destructiveHint")]
    assert [(a["title"], a["idempotentHint"]) for a in destroying] == [("Delete an image", True)]
    assert not tools[0]["inputSchema"]["properties"]


def test_every_argument_of_every_tool_is_described(server: RunningServer) -> None:
    tools = Agent(server, None).post("tools/list").json()["result"]["tools"]
    seen = 0
    for tool in tools:
        for name, schema in tool["inputSchema"]["properties"].items():
            seen += 1
            assert len(schema.get("description", "").split()) >= 4, (tool["name"], name)
            assert schema["description"].endswith("."), (tool["name"], name)
    assert seen > 20


# Rate


def test_requests_are_counted_apart_from_rest_and_notifications_not_at_all(tmp_path: Path) -> None:
    with running(tmp_path, imaging={"workers": 1}, limits={"api_per_minute": 1, "mcp_per_minute": 3}) as server:
        key = server.new_key()
        for version in (LEGACY, MODERN):
            agent = Agent(server, key, version)
            server.clock.advance(120)
            assert server.get("/api/quota", key).status_code == 200
            assert server.get("/api/quota", key).status_code == 429
            for _ in range(3):
                post(server, {"jsonrpc": "2.0", "method": "notifications/initialized"}, key)
                response = agent.post("tools/list")
                assert response.status_code == 200
            assert response.headers["RateLimit-Policy"] == '"mcp";q=3;w=60'
            refused = agent.fault(agent.call("get_quota"))
            assert refused["reason"] == "rate_limited"
            assert refused["http_status"] == 429
            assert refused["retryable"] is True
            assert 0 < refused["retry_after"] <= 60
            assert (refused["code"], refused["status"]) == (None if agent.modern else -32002, 200)
        listed = agent.post("tools/list").json()
        assert listed["error"]["code"] == -32603
        assert listed["error"]["data"]["reason"] == "rate_limited"


def test_strangers_are_counted_by_their_address(tmp_path: Path) -> None:
    with running(tmp_path, imaging={"workers": 1}, limits={"mcp_per_minute": 2}) as server:
        codes = [post(server, ping(), **{"X-Forwarded-For": "192.0.2.1"}).json() for _ in range(3)]
        assert ["error" in code for code in codes] == [False, False, True]
        assert codes[2]["error"]["code"] == -32002
        assert "result" in post(server, ping(), **{"X-Forwarded-For": "192.0.2.2"}).json()
        wrong = [post(server, ping(), "wrong", **{"X-Forwarded-For": "192.0.2.3"}) for _ in range(3)]
        assert [answer.status_code for answer in wrong] == [401, 401, 200]
        assert "result" in post(server, ping(), server.new_key()).json()


def test_a_bug_is_told_as_one_in_each_era(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch, log_guard: LogGuard
) -> None:
    log_guard.allow(r"^request \w+ failed")

    def broken(*_: Any) -> None:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr("handlers.api.replies.account", broken)
    key = server.new_key()
    for version, code in ((LEGACY, -32000), (MODERN, -32603)):
        response = Agent(server, key, version).call("get_quota")
        assert (response.status_code, response.json()["error"]["code"]) == (200, code)
        assert response.json()["id"] == 1
        assert "secret" not in response.text
