"""The docs in step with the code: a setting, route or code without its line fails."""

from __future__ import annotations

import dataclasses
import re
import tomllib
from pathlib import Path
from typing import Any, get_args

from handlers import replies
from handlers.routes import ROUTES
from iuserver import __version__, cli, errors
from iuserver.settings import Settings, load

ROOT = Path(__file__).parents[2]
API = (ROOT / "docs/api.md").read_text()
README = (ROOT / "README.md").read_text()


def as_tables(node: Any) -> Any:
    """Settings as a TOML file gives them."""
    if dataclasses.is_dataclass(node):
        return {f.name: as_tables(getattr(node, f.name)) for f in dataclasses.fields(node)}
    return list(node) if isinstance(node, tuple) else node


def test_the_settings_file_has_every_setting_with_its_default() -> None:
    assert tomllib.loads((ROOT / "conf/iuserver.toml").read_text()) == as_tables(Settings())
    assert load(ROOT / "conf/iuserver.toml", {}) == Settings()


def test_every_setting_has_a_comment_where_it_stands_first() -> None:
    seen = set()
    for line in (ROOT / "conf/iuserver.toml").read_text().splitlines():
        key = line.partition(" =")[0]
        if " = " in line and not line.startswith("#") and key not in seen:
            seen.add(key)
            assert "#" in line or key in UNDERSTOOD, line


UNDERSTOOD = {"max_frames", "uploads_per_month", "storage_mb", "max_file_mb"}


def documented_routes() -> list[str]:
    return re.findall(r"^\| `(?:[A-Z]+) (/[^`]*)`", API, re.MULTILINE)


def test_every_route_is_documented_and_every_documented_route_is_there() -> None:
    shape = {re.sub(r"\\|\(.*?\)", lambda m: "" if m[0] == "\\" else "{}", pattern) for pattern, _ in ROUTES}
    assert {re.sub(r"\{.*?\}", "{}", path) for path in documented_routes()} == shape


def test_every_code_is_documented_with_its_status_and_number() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\d+) \| (-\d+) \|", API, re.MULTILINE)
    assert {(code, (int(status), int(number))) for code, status, number in rows} == set(replies.STATUS.items())
    assert set(replies.STATUS) == set(get_args(errors.Code))


def test_the_readme_knows_every_command() -> None:
    for name in cli.COMMANDS:
        assert f"iuserver {name} " in README


def test_the_changelog_knows_the_version() -> None:
    assert f"## {__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_every_link_between_the_pages_leads_somewhere() -> None:
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md"), ROOT / "bench/README.md"):
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_every_module_says_in_its_first_line_what_it_is_for() -> None:
    for package in ("iuserver", "handlers", "bench"):
        for module in (ROOT / package).rglob("*.py"):
            if ROOT / "bench/out" in module.parents:
                continue  # what the benchmarks have installed
            assert module.read_text().startswith('"""'), module
