"""An agent that speaks MCP to a server by hand, in either era."""

from __future__ import annotations

import base64
from typing import Any

import requests

from tests.running import DEADLINE, RunningServer, bearer

LEGACY = "2025-11-25"
MODERN = "2026-07-28"
META = "io.modelcontextprotocol/"


class Agent:
    """A client with a key (or none) that goes by one revision."""

    def __init__(self, server: RunningServer, key: str | None, version: str = LEGACY) -> None:
        self.url = f"{server.url}/mcp"
        self.version = version
        self.key = key

    @property
    def modern(self) -> bool:
        return self.version == MODERN

    def headers(self, method: str, name: object = None) -> dict[str, str]:
        """What a client of this revision sends."""
        headers = {"MCP-Protocol-Version": self.version, **(bearer(self.key) if self.key else {})}
        if self.modern:
            headers["Mcp-Method"] = method
            if isinstance(name, str):
                headers["Mcp-Name"] = name
        return headers

    def message(self, method: str, params: dict[str, Any] | None = None, id_: Any = 1) -> dict[str, Any]:
        """A request."""
        if self.modern:
            meta = {META + "protocolVersion": self.version, META + "clientCapabilities": {}}
            params = {**(params or {}), "_meta": meta}
        message = {"jsonrpc": "2.0", "id": id_, "method": method}
        return message if params is None else {**message, "params": params}

    def post(
        self, method: str, params: dict[str, Any] | None = None, id_: Any = 1, **headers: str
    ) -> requests.Response:
        """Send a request and get the response whole."""
        sent = {**self.headers(method, (params or {}).get("name")), **headers}
        return requests.post(self.url, json=self.message(method, params, id_), headers=sent, timeout=DEADLINE)

    def call(self, tool: str, /, **arguments: Any) -> requests.Response:
        """Call a tool."""
        return self.post("tools/call", {"name": tool, "arguments": arguments})

    def done(self, tool: str, /, **arguments: Any) -> dict[str, Any]:
        """Call a tool that must succeed, and return what it says to programs."""
        response = self.call(tool, **arguments)
        result = response.json()["result"]
        assert not result.get("isError"), response.text
        assert result["content"][0]["text"]
        data: dict[str, Any] = result["structuredContent"]
        return data

    def refused(self, tool: str, /, **arguments: Any) -> dict[str, Any]:
        """Call a tool that must fail, and return the fault's data, as each era carries it, with code and status."""
        return self.fault(self.call(tool, **arguments))

    def fault(self, response: requests.Response) -> dict[str, Any]:
        body = response.json()
        if "error" in body:
            error = body["error"]
            return {**error["data"], "message": error["message"], "code": error["code"], "status": response.status_code}
        result = body["result"]
        assert result["isError"] is True, body
        error = result["structuredContent"]["error"]
        assert result["content"] == [{"type": "text", "text": error["message"]}]
        return {**error, "code": None, "status": response.status_code}

    def upload(self, data: bytes, filename: str = "photo.jpg", mime: str = "image/jpeg", **arguments: Any) -> Any:
        """Upload a picture and return the response."""
        return self.call("upload_image", filename=filename, mime=mime, data_base64=encoded(data), **arguments)


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()
