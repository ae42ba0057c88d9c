"""Other people's servers to measure beside: how each is installed and started, and what it does with an upload.

Each runs as its users run it, with the defaults of its makers; nothing is tuned, up or down.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.processes import ROOT, Process, free_port, started

HERE = Path(__file__).parent
INSTALLED = ROOT / "bench" / "out" / "peers"
PIP = {
    "fastapi": ["fastapi >= 0.115", "uvicorn[standard] >= 0.30", "python-multipart >= 0.0.9", "pillow >= 11.3"],
    "thumbor": ["thumbor >= 7.7"],
}
NPM = ["express@5", "multer@2", "sharp@0.35"]
NGINX = shutil.which("nginx") or "/usr/sbin/nginx"


@dataclass(frozen=True)
class Peer:
    """A server to measure beside. `start` gets a folder for its files; `form`: it takes a multipart form."""

    does: str
    needs: Path
    start: Callable[[Path], contextlib.AbstractContextManager[Process]]
    method: str = "POST"
    path: str = "/upload"
    form: bool = True

    @property
    def is_there(self) -> bool:
        return self.needs.exists()


@contextlib.contextmanager
def nginx(folder: Path) -> Iterator[Process]:
    """nginx with WebDAV's PUT; also GET /NAME from FOLDER/files, and /sink, which answers at once."""
    (folder / "files").mkdir(exist_ok=True)
    port = free_port()
    user = "user root;" if os.getuid() == 0 else ""
    text = (HERE / "nginx.conf").read_text().replace("FOLDER", str(folder)).replace("USER", user)
    (folder / "nginx.conf").write_text(text.replace("PORT", str(port)))
    command = [NGINX, "-e", f"{folder}/error.log", "-c", f"{folder}/nginx.conf"]
    with started(command, folder / "log", port=port) as process:
        yield process


@contextlib.contextmanager
def express(folder: Path) -> Iterator[Process]:
    port = free_port()
    modules = {"NODE_PATH": str(INSTALLED / "express" / "node_modules")}
    with started(["node", str(HERE / "express.js"), str(folder), str(port)], folder / "log", modules, port) as process:
        yield process


@contextlib.contextmanager
def fastapi(folder: Path) -> Iterator[Process]:
    port = free_port()
    uvicorn = [str(INSTALLED / "fastapi/bin/uvicorn"), "bench.peers.fastapi_app:app", "--port", str(port)]
    with started(uvicorn, folder / "log", {"BENCH_FILES": str(folder)}, port) as process:
        yield process


@contextlib.contextmanager
def thumbor(folder: Path) -> Iterator[Process]:
    port = free_port()
    (folder / "conf").write_text((HERE / "thumbor.conf").read_text() + f"FILE_STORAGE_ROOT_PATH = {str(folder)!r}\n")
    command = [str(INSTALLED / "thumbor/bin/thumbor"), "--ip", "127.0.0.1", "--port", str(port)]
    with started([*command, "--conf", f"{folder}/conf"], folder / "log", port=port) as process:
        yield process


PEERS = {
    "nginx": Peer("decode no, strip no, rotate no, record no, sync no", Path(NGINX), nginx, "PUT", form=False),
    "express": Peer(
        "decode yes, strip yes and rotate yes by encoding anew (first frame only), record no, sync no",
        INSTALLED / "express" / "node_modules" / "sharp",
        express,
    ),
    "fastapi": Peer(
        "decode yes, strip yes and rotate yes by encoding anew (first frame only), record no, sync no",
        INSTALLED / "fastapi" / "bin" / "uvicorn",
        fastapi,
    ),
    "thumbor": Peer(
        "decode the header, strip no, rotate no, record no, sync no",
        INSTALLED / "thumbor" / "bin" / "thumbor",
        thumbor,
        path="/image",
        form=False,
    ),
}


def install() -> int:
    """Put the peers that need more than a Debian package below bench/out/peers. 1 where one could not be had."""
    steps = [(name, _pip_steps(name, packages)) for name, packages in PIP.items()]
    steps.append(("express", [["npm", "install", "--silent", "--prefix", str(INSTALLED / "express"), *NPM]]))
    failed = 0
    for name, commands in steps:
        (INSTALLED / name).mkdir(parents=True, exist_ok=True)
        try:
            for command in commands:
                subprocess.run(command, check=True, timeout=600)
        except (OSError, subprocess.SubprocessError) as error:
            failed = 1
            print(f"{name}: {error}", file=sys.stderr)
        else:
            print(f"{name}: installed in {INSTALLED / name}")
    return failed


def _pip_steps(name: str, packages: list[str]) -> list[list[str]]:
    folder = INSTALLED / name
    return [
        [sys.executable, "-m", "venv", str(folder)],
        [str(folder / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check", *packages],
    ]
