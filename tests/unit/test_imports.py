"""The import contracts catch what they are there for: each of these imports, planted in a copy, is reported."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

PLANTED = {
    # A module, and what it must not import. Outside libraries have one home each.
    "iuserver.viewing": ["motor", "pymongo", "cryptography"],
    "iuserver.tickets": ["pymongo", "bson", "cachetools"],
    "iuserver.moderation": ["botocore", "aioboto3", "aiohttp"],
    "iuserver.uploads": ["httpx", "argon2", "multipart", "pyvips"],
    "iuserver.policy": ["tqdm"],
    "iuserver.catalog.sqlite": ["motor", "uvloop"],
    "iuserver.writer.client": ["prometheus_client", "PIL"],
    "iuserver.metrics": ["tornado", "handlers.routes"],
    "handlers.web.share": ["argon2", "httpx", "boto3"],
    "handlers.mcp.tools": ["motor", "pyvips", "multipart"],
    "bench.lab": ["iuserver.records", "handlers.routes"],
    # Layers: downwards only, and siblings never see each other.
    "iuserver.library": ["iuserver.uploads", "iuserver.settings"],
    "iuserver.admission.rate": ["iuserver.viewing"],
    "iuserver.records": ["iuserver.policy"],
    "iuserver.imaging.jpeg": ["iuserver.imaging.png", "iuserver.imaging.pool"],
    "iuserver.catalog.schema": ["iuserver.catalog.mongo"],
    "iuserver.cli.upload": ["iuserver.signing", "iuserver.errors"],
    "handlers.api.quota": ["handlers.web.page", "iuserver.backends"],
    "handlers.http.base": ["handlers.callers", "handlers.http.receiving"],
    "handlers.mcp.rpc": ["handlers.mcp.tools"],
    "handlers.web.ticket": ["iuserver.catalog.sqlite", "handlers.mcp.rpc", "iuserver.admission.queue"],
}


def test_what_must_not_be_imported_is_reported(tmp_path: Path) -> None:
    for package in ("iuserver", "handlers", "bench"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__", "out"))
    shutil.copy(ROOT / ".importlinter", tmp_path)
    for module, imports in PLANTED.items():
        path = tmp_path.joinpath(*module.split(".")).with_suffix(".py")
        path.write_text(path.read_text() + "".join(f"\nimport {name}" for name in imports) + "\n")
    program = [Path(sys.executable).with_name("lint-imports"), "--no-cache"]
    done = subprocess.run(program, cwd=tmp_path, capture_output=True, text=True, env={"PYTHONPATH": str(tmp_path)})
    assert done.returncode == 1
    missed = [
        f"{module} -> {name}"
        for module, imports in PLANTED.items()
        for name in imports
        if f"{module} -> {name} " not in done.stdout and f"{module} -> {name.split('.')[0]} " not in done.stdout
    ]
    assert missed == []
