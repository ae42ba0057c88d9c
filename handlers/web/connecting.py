"""Configurations to paste: programs and agents' hosts, with this server's address and a key. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

NO_KEY = "YOUR_KEY"
NAME = "imageupload"


@dataclass(frozen=True, slots=True)
class Snippet:
    """A text to copy: where it goes, and what it is."""

    id: str
    label: str
    text: str


@dataclass(frozen=True, slots=True)
class Setup:
    """How one program is connected."""

    id: str
    title: str
    text: str
    snippets: list[Snippet]
    steps: list[str] = field(default_factory=list)


def setups(base_url: str, key: str) -> list[Setup]:
    """All of them, for a server at `base_url`."""
    return [
        _curl(base_url, key),
        _sharex(),
        _flameshot(base_url, key),
        _alias(base_url, key),
        _shortcut(base_url, key),
        *_agents(base_url, key),
    ]


def sharex(base_url: str, key: str) -> dict[str, Any]:
    """A custom uploader of ShareX (getsharex.com/docs/custom-uploader)."""
    return {
        "Version": "15.0.0",
        "Name": base_url.partition("://")[2],
        "DestinationType": "ImageUploader",
        "RequestMethod": "POST",
        "RequestURL": f"{base_url}/api/upload",
        "Headers": {"Authorization": f"Bearer {key}"},
        "Body": "MultipartFormData",
        "FileFormName": "file",
        "URL": "{json:share_url}",
        "DeletionURL": "{json:delete_url}",
        "ErrorMessage": "{json:error}",
    }


def _curl(base_url: str, key: str) -> Setup:
    text = f'curl -H "Authorization: Bearer {key}" -F "file=@photo.jpg" {base_url}/api/upload'
    return Setup("curl", "curl", "One picture; the answer has its links.", [Snippet("curl-line", "curl line", text)])


def _sharex() -> Setup:
    about = "Windows: open the file, and ShareX sends its screenshots here and copies the link to their page."
    return Setup("sharex", "ShareX", about, [])


def _flameshot(base_url: str, key: str) -> Setup:
    script = (
        "#!/bin/sh\n"
        "# A part of the screen, uploaded; the link is in the clipboard.\n"
        "flameshot gui --raw |\n"
        f'  curl -sSf -H "Authorization: Bearer {key}" -H "Accept: text/plain" \\\n'
        f'    -F "file=@-;filename=screenshot.png" {base_url}/api/upload |\n'
        "  tr -d '\\n' | xclip -selection clipboard\n"
    )
    about = "Linux: save it as a program, and give it a key of your keyboard. With Wayland, wl-copy stands for xclip."
    return Setup("flameshot", "Flameshot", about, [Snippet("flameshot-script", "Flameshot script", script)])


def _alias(base_url: str, key: str) -> Setup:
    text = (
        "iu() { curl -sSf "
        f'-H "Authorization: Bearer {key}" -H "Accept: text/plain" -F "file=@$1" {base_url}/api/upload; }}\n'
    )
    about = "For ~/.bashrc or ~/.zshrc: then “iu photo.jpg” prints the link to the file."
    return Setup("shell", "Shell alias", about, [Snippet("shell-alias", "shell alias", text)])


def _shortcut(base_url: str, key: str) -> Setup:
    steps = [
        "In Shortcuts, make a new shortcut that receives images from the share sheet.",
        "Add “Get Contents of URL” with the address below, method POST, and the header Authorization below.",
        "Request body: Form, with a field “file” of type File, which is the Shortcut Input.",
        "Add “Get Dictionary Value” for share_url, then “Copy to Clipboard”.",
    ]
    snippets = [
        Snippet("shortcut-url", "address", f"{base_url}/api/upload"),
        Snippet("shortcut-header", "Authorization header", f"Bearer {key}"),
    ]
    return Setup("shortcut", "Shortcut on macOS and iOS", "From the share sheet of any app.", snippets, steps)


def _agents(base_url: str, key: str) -> list[Setup]:
    """What agents' hosts are given: docs/agents.md has the same."""
    mcp, headers = f"{base_url}/mcp", {"Authorization": f"Bearer {key}"}
    environment = {"IMAGEUPLOAD_API_KEY": key, "IMAGEUPLOAD_URL": base_url}
    bridge = {"command": "iuserver", "args": ["mcp-stdio"], "env": environment}
    visual = {"servers": {NAME: {"type": "http", "url": mcp, "headers": headers}}}
    return [
        _host(
            "claude-desktop",
            "Claude Desktop",
            "claude_desktop_config.json. The bridge iuserver mcp-stdio runs where the files are.",
            _servers(bridge),
        ),
        _claude_code(base_url, key),
        _host(
            "cursor",
            "Cursor",
            "~/.cursor/mcp.json, or .cursor/mcp.json in a project.",
            _servers({"url": mcp, "headers": headers}),
        ),
        _host("vs-code", "VS Code", ".vscode/mcp.json, or MCP: Open User Configuration.", visual),
        _host(
            "windsurf",
            "Windsurf",
            "~/.codeium/windsurf/mcp_config.json.",
            _servers({"serverUrl": mcp, "headers": headers}),
        ),
    ]


def _host(id: str, name: str, about: str, configuration: dict[str, Any]) -> Setup:
    """A host with a configuration file in JSON."""
    return Setup(id, name, about, [Snippet(f"{id}-json", f"{name} configuration", _json(configuration))])


def _claude_code(base_url: str, key: str) -> Setup:
    http = f'claude mcp add --transport http {NAME} {base_url}/mcp --header "Authorization: Bearer {key}"'
    stdio = f"claude mcp add {NAME} -e IMAGEUPLOAD_API_KEY={key} -e IMAGEUPLOAD_URL={base_url} -- iuserver mcp-stdio"
    about = "Over HTTP, or by the bridge, which sends files by their path."
    snippets = [
        Snippet("claude-code-http", "line for HTTP", http),
        Snippet("claude-code-stdio", "line for stdio", stdio),
    ]
    return Setup("claude-code", "Claude Code", about, snippets)


def _servers(server: dict[str, Any]) -> dict[str, Any]:
    return {"mcpServers": {NAME: server}}


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, indent=2) + "\n"
