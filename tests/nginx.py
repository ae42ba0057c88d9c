"""nginx on this machine, with the configuration that the project ships, in front of servers under test."""

from __future__ import annotations

import contextlib
import re
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tests.running import eventually
from tests.s3_server import free_port

CONFIGURATION = Path(__file__).parents[1] / "conf/nginx.conf"
NODE = "server 127.0.0.1:8080 max_fails=0;"


@contextlib.contextmanager
def nginx(
    nodes: Sequence[str],
    folder: Path,
    *,
    blobs: Path | None = None,
    edit: Callable[[str], str] = str,
    **changes: str,
) -> Iterator[str]:
    """Its URL. `nodes` are servers' addresses, `blobs` is where pictures are, `changes` has values of directives;
    `edit` changes the whole text."""
    program = shutil.which("nginx") or "/usr/sbin/nginx"
    port = free_port()
    text = CONFIGURATION.read_text().replace(NODE, " ".join(f"server {node} max_fails=0;" for node in nodes))
    text = text.replace("127.0.0.1:8081", f"127.0.0.1:{port}").replace("/tmp/iuserver-", f"{folder}/")
    text = text.replace("/var/lib/iuserver/blobs/", f"{blobs or folder}/")
    for name, value in changes.items():
        text, count = re.subn(rf"(?m)^( *){name} [^;]*;", rf"\g<1>{name} {value};", text)
        assert count == 1, name
    (folder / "nginx.conf").write_text(edit(text))
    command = [program, "-c", f"{folder}/nginx.conf", "-p", str(folder), "-g", "daemon off; user root;"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        eventually(lambda: accepts(port))
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def accepts(port: int) -> bool:
    """Whether somebody listens on a port of this machine."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
