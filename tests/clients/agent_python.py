"""An agent made of the Python SDK, 1.x or 2.x: `agent_python.py http|stdio MODE PICTURE`, with the environment of
mcp-stdio. MODE is legacy, auto or a revision; 1.x knows the handshake alone.

Over stdio the command behind the arguments is the bridge. What it saw is printed as one JSON object.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator
from typing import Any

import mcp
from mcp.client.stdio import StdioServerParameters, stdio_client

try:
    from mcp.shared.exceptions import MCPError
except ImportError:
    from mcp.shared.exceptions import McpError as MCPError

URL = os.environ["IMAGEUPLOAD_URL"] + "/mcp"
KEY = {"Authorization": f"Bearer {os.environ['IMAGEUPLOAD_API_KEY']}"}


@contextlib.asynccontextmanager
async def connected(way: str, mode: str, command: list[str]) -> AsyncIterator[tuple[Any, str]]:
    """A session, and the revision that was agreed."""
    process = StdioServerParameters(command=command[0], args=command[1:], env=dict(os.environ)) if command else None
    if hasattr(mcp, "Client"):
        import httpx2
        from mcp.client.streamable_http import streamable_http_client

        async with contextlib.AsyncExitStack() as stack:
            http = await stack.enter_async_context(httpx2.AsyncClient(headers=KEY, timeout=60))
            server = process if way == "stdio" else streamable_http_client(URL, http_client=http)
            client = await stack.enter_async_context(mcp.Client(server, mode=mode))
            yield client, client.protocol_version
    else:
        from mcp.client.streamable_http import streamablehttp_client

        transport = stdio_client(process) if way == "stdio" else streamablehttp_client(URL, headers=KEY)
        async with transport as streams, mcp.ClientSession(*streams[:2]) as session:
            yield session, (await session.initialize()).protocolVersion


async def call(session: Any, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """What a tool gave to programs; the SDK has held it against the tool's schema."""
    result = (await session.call_tool(tool, arguments)).model_dump(by_alias=True, mode="json", exclude_none=True)
    assert not result.get("isError"), result
    assert result["content"][0]["text"]
    return {**result["structuredContent"], "_kinds": [block["type"] for block in result["content"]]}


async def refusal(session: Any, tool: str, arguments: dict[str, Any]) -> str:
    """The reason of a refusal, in whichever way it came."""
    try:
        result = (await session.call_tool(tool, arguments)).model_dump(by_alias=True, mode="json")
    except MCPError as error:
        return str(error.error.data["reason"] if error.error.data else error.error.code)
    assert result["isError"], result
    return str(result["structuredContent"]["error"]["reason"])


async def story(session: Any, picture: str) -> dict[str, Any]:
    """All that an agent does in its life."""
    tools = (await session.list_tools()).tools
    with open(picture, "rb") as file:  # noqa: ASYNC230
        data = base64.b64encode(file.read()).decode()
    photo = {"filename": "photo.jpg", "mime": "image/jpeg", "data_base64": data}
    folder = await call(session, "create_folder", {"name": "From agents"})
    image = await call(session, "upload_image", {**photo, "folder": folder["slug"], "expiration": "1w"})
    known = await call(session, "get_image", {"slug": image["slug"]})
    listed = await call(session, "list_images", {"folder": folder["slug"]})
    folders = await call(session, "list_folders", {})
    quota = await call(session, "get_quota", {})
    ticket = await call(session, "create_upload_ticket", {})
    refused = {
        "bad base64": await refusal(session, "upload_image", {**photo, "data_base64": "%"}),
        "bad field": await refusal(session, "upload_image", {**photo, "expiration": "soon"}),
        "no picture": await refusal(session, "upload_image", {**photo, "data_base64": "AAAA"}),
        "not there": await refusal(session, "get_image", {"slug": "aaaaaaaa"}),
        "not used yet": await refusal(session, "get_image", {"slug": ticket["ticket"]}),
    }
    by_path = None
    if any("file_path" in (getattr(tool, "input_schema", None) or tool.inputSchema)["properties"] for tool in tools):
        by_path = (await call(session, "upload_image", {"file_path": picture}))["size"]
    deleted = await call(session, "delete_image", {"slug": image["slug"]})
    return {
        "tools": [tool.name for tool in tools],
        "slugs": [image["slug"], known["slug"], listed["images"][0]["slug"], deleted["slug"]],
        "kinds": image["_kinds"],
        "count": folders["folders"][0]["count"],
        "used": quota["used"],
        "by_path": by_path,
        "refused": refused,
    }


async def main() -> None:
    """Live it."""
    way, mode, picture, *command = sys.argv[1:]
    async with connected(way, mode, command) as (session, version):
        print(json.dumps({"version": version, **await story(session, picture)}))


asyncio.run(main())
