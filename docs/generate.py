"""Writes docs/api.md and docs/clients.md from the code (`make docs`)."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from handlers.reference import text
from handlers.routes import ROUTES
from iuserver.server import limits_of, per_minute
from iuserver.settings import Settings

HERE = Path(__file__).parent


def pages() -> dict[str, str]:
    """The texts by the names of their files, with the default settings' plans and limits."""
    settings = Settings()
    rules = text.Rules(settings.plan_records(), per_minute(settings), dataclasses.asdict(limits_of(settings)))
    return {"api.md": text.api(ROUTES, rules, page=False), "clients.md": text.clients()}


if __name__ == "__main__":
    for name, content in pages().items():
        (HERE / name).write_text(content, encoding="utf-8")
