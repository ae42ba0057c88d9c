"""The addresses of one-time sign-in links that commands print."""

from __future__ import annotations

from iuserver.settings import Settings

ANYWHERE = ("0.0.0.0", "::")  # noqa: S104  compared with, not listened on


def sign_in_url(settings: Settings, token: str, url: str = "") -> str:
    """Where a one-time link is opened. `url` is that of a server that runs here; a `server.public_url` goes first.

    The path alone, where neither is known, nor a port of this machine.
    """
    return f"{settings.server.public_url or url or _local_url(settings)}/login/{token}"


def _local_url(settings: Settings) -> str:
    host, port = settings.server.host, settings.server.port
    if host.startswith("unix:") or port == 0:
        return ""
    name = "localhost" if host in ANYWHERE else host
    return f"http://{f'[{name}]' if ':' in name else name}:{port}"
