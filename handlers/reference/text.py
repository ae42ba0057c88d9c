"""The reference as Markdown, made of the route table, the forms, the replies and the settings in force."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from tornado.template import Template

from handlers.api import openapi, schemas
from handlers.http import faults
from handlers.http.cors import EXPOSED
from handlers.http.routing import JSON, PARTS, Operation, Route, Schema
from handlers.mcp.tools import TOOLS
from iuserver import forms
from iuserver.library import MAX_FOLDERS
from iuserver.records import Plan, Surface

HERE = Path(__file__).parent
ADDRESS = "https://img.example.org"
"""What stands for this server's address, in the examples too."""
API, CLIENTS = ((HERE / name).read_text() for name in ("api.md", "clients.md"))
LANGUAGES = {
    "curl.sh": ("cURL", "bash"),
    "node.mjs": ("Node", "javascript"),
    "python.py": ("Python", "python"),
    "php.php": ("PHP", "php"),
    "ruby.rb": ("Ruby", "ruby"),
    "go.go": ("Go", "go"),
    "rust.rs": ("Rust", "rust"),
    "perl.pl": ("Perl", "perl"),
    "powershell.ps1": ("PowerShell", "powershell"),
}
ACCESS = {
    "anyone": "anybody",
    "key": "key or signed-in browser",
    "optional key": "anybody, more with a key",
    "session": "signed-in browser",
    "admin": "admins",
    "sign-in link": "whoever has the link",
    "ticket": "whoever has the ticket",
    "delete link": "whoever has the link",
    "metrics token": "whoever has the token",
}
EXPIRATIONS = {
    "1d": "a day; the default",
    "1w": "7 days",
    "1mo": "30 days",
    "burn": "until its first viewer has seen it",
    "views": "until `view_limit` different viewers have seen it, at most 30 days",
    "forever": "until it is deleted, where the plan has no longest life",
}
ELSEWHERE = {
    "pictures": "[viewing.md](viewing.md) tells how pictures with a password, and `burn` and `views` ones, are looked "
    "at, [formats.md](formats.md#thumbnails) how thumbnails are made.",
    "tickets": "[mcp.md](mcp.md#upload-tickets) tells how tickets are made.",
}
"""Where docs/ tell more about a section."""
LIMITS = {
    "max_side": "pixels a side",
    "max_pixels": "pixels",
    "max_frames": "frames",
    "max_total_pixels": "pixels in all frames together",
    "max_scans": "progressive scans",
}


@dataclass(frozen=True, slots=True)
class Rules:
    """What the settings in force allow: plans by name, calls a minute (0 = unlimited), the limits of a
    picture by the names of their settings."""

    plans: Mapping[str, Plan]
    per_minute: Mapping[Surface, int]
    pictures: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Example:
    """A client in one language; `highlight` is the language's name in Markdown."""

    file: str
    name: str
    highlight: str
    source: str


EXAMPLES = [
    Example(file, *names, (HERE / "examples" / file).read_text(encoding="utf-8")) for file, names in LANGUAGES.items()
]


def clients() -> str:
    """docs/clients.md."""
    return _filled(CLIENTS, {"examples": EXAMPLES})


def api(routes: Sequence[Route], rules: Rules, page: bool) -> str:
    """The reference, for docs/api.md or as the page of a server."""
    shown: dict[str, str] = {}
    described = [route for route in routes if openapi.is_described(route)]
    sections = sorted(
        dict.fromkeys(openapi.section_of(route) for route in described),
        key=lambda name: name in openapi.SECTIONS.values(),
    )
    return _filled(
        API,
        {
            "page": page,
            "ELSEWHERE": ELSEWHERE,
            "sections": [(name, name.capitalize()) for name in sections if name not in ("upload", "agents")],
            "operations": lambda section: "\n\n".join(
                _operation(route, operation, shown, _tabs() if page and section == "upload" else "")
                for route in described
                if openapi.section_of(route) == section
                for operation in route.operations
            ),
            "plans": lambda: _plans(rules),
            "limits": lambda: _limits(rules),
            "errors": _errors,
            "expirations": _expirations,
            "types": _types,
            "tools": _tools,
            "exposed": lambda: ", ".join(f"`{name}`" for name in EXPOSED.split(", ")),
            "routes": lambda: _routes(routes),
        },
    )


def _filled(text: str, names: Mapping[str, Any]) -> str:
    filled = Template(text, autoescape=None, whitespace="all").generate(ADDRESS=ADDRESS, **names).decode()
    return re.sub(r"\n{3,}", "\n\n", filled).strip() + "\n"


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", r"\|") for cell in line) + " |" for line in lines)


def anchor_of(heading: str) -> str:
    """What a heading's address ends with."""
    return re.sub(r"[^a-z0-9]+", "-", heading.lower().replace("'", "")).strip("-")


def _tabs() -> str:
    """The examples in HTML; without a script they are sections, one below the other."""
    sections = [
        f'<section aria-label="{example.name}">\n\n#### {example.name}\n\n'
        f"```{example.highlight}\n{example.source}```\n\n</section>"
        for example in EXAMPLES
    ]
    return '<div class="tabs">\n\n' + "\n\n".join(sections) + "\n\n</div>"


def _operation(route: Route, operation: Operation, shown: dict[str, str], examples: str) -> str:
    """What there is to know of an operation. `shown` has the answers and handlers' methods that were shown before, and
    where; `examples` stand in place of a command to try it with.
    """
    head = [
        f"### {operation.summary}",
        f"{', '.join(f'`{method}`' for method in operation.methods)} `{ADDRESS}{route.path}` ({_sent(operation)})",
    ]
    tried = examples or f"```bash\n{curl(route, operation)}\n```"
    first = shown.setdefault(f"{route.name}.{operation.run.__name__}", operation.summary)
    if first != operation.summary:
        return "\n\n".join([*head, f"As under [{first}](#{anchor_of(first)}).", tried])
    parts = [
        *head,
        operation.description,
        tried,
        _fields(route, operation),
        _answer(operation, shown),
        _others(operation),
        f"Errors: {', '.join(f'`{code}`' for code in operation.faults)}." if operation.faults else "",
    ]
    return "\n\n".join(filter(None, parts))


def _sent(operation: Operation) -> str:
    return "; ".join([*(operation.bodies if operation.has_body else ()), ACCESS[operation.access]])


def _fields(route: Route, operation: Operation) -> str:
    named: list[tuple[str, Schema, str]] = [
        *((name, PARTS[name], "in the path") for name in route.parts),
        *((name, schema, "required" if name in operation.required else "") for name, schema in operation.form.items()),
        *((name, schemas.REQUEST_HEADERS[name], "header") for name in operation.takes),
    ]
    rows = [
        (f"`{name}`", ", ".join(filter(None, [type_text(schema), note])), _sentence(schema))
        for name, schema, note in named
    ]
    return table(["field", "type", "what it means"], rows) if rows else ""


def _sentence(schema: Schema) -> str:
    """What a value means; what may be null means what it is otherwise."""
    told = next((choice["description"] for choice in (schema, *schema.get("anyOf", ())) if "description" in choice), "")
    usual = f" Default: {schema['default']}." if "default" in schema else ""
    return str(told).replace("<", "&lt;") + usual


def type_text(schema: Schema) -> str:
    """What a value may be, for people."""
    if "anyOf" in schema:
        return " or ".join(type_text(choice) for choice in schema["anyOf"])
    if isinstance(schema.get("type"), list):
        return " or ".join(type_text({**schema, "type": kind}) for kind in schema["type"])
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    least, most = schema.get("minimum"), schema.get("maximum")
    if most is not None:
        return f"{least} to {most}"
    if schema.get("type") == "null":
        return "null"
    if "maxLength" in schema and "pattern" not in schema:
        return f"up to {schema['maxLength']} characters"
    if schema.get("type") == "array":
        return f"list of {type_text(schema['items'])}"
    if schema.get("format") == "binary":
        return "file"
    return {"string": "text", "integer": "whole number", "boolean": "true or false"}.get(
        str(schema.get("type")), str(schema.get("type", "anything"))
    )


def _answer(operation: Operation, shown: dict[str, str]) -> str:
    if isinstance(operation.answer, str):
        return f"Answers `{operation.answer}`."
    first = shown.setdefault(operation.answer["title"], operation.summary)
    if first != operation.summary:
        return f"Answers as under [{first}](#{anchor_of(first)})."
    sample = json.dumps(openapi.sample(operation.answer), indent=2).replace(openapi.ADDRESS, ADDRESS)
    text = f" With `Accept: text/plain`: {operation.as_text}" if operation.as_text else ""
    told = [(f"`{name}`", _sentence(of)) for name, of in operation.answer["properties"].items() if _sentence(of)]
    meanings = table(["in the answer", "what it means"], told) if told else ""
    return f"Answers JSON.{text}\n\n```json\n{sample}\n```" + (f"\n\n{meanings}" if meanings else "")


def _others(operation: Operation) -> str:
    rows = [(f"`{status}`", other.when) for status, other in operation.others.items()]
    return table(["also answers", "when"], rows) if rows else ""


def curl(route: Route, operation: Operation) -> str:
    """A command to try an operation with."""
    method = operation.methods[0]
    url = ADDRESS + re.sub(r"{(\w+)}", lambda part: PARTS[part[1]].get("examples", ["…"])[0], route.path)
    options: list[tuple[str, str]] = []
    if operation.access == "key":
        options.append(("-H", '"Authorization: Bearer $IMAGEUPLOAD_API_KEY"'))
    if operation.has_body:
        options += _body(operation)
    elif operation.example:
        url = f"'{url}?{urlencode(operation.example)}'"
    usual = method == "GET" or (method == "POST" and operation.has_body)
    first = f"curl {url}" if usual else f"curl -X {method} {url}"
    return " \\\n  ".join([first, *(f"{flag} {value}" for flag, value in options)])


def _body(operation: Operation) -> list[tuple[str, str]]:
    if operation.bodies[0] == JSON:
        return [("-H", f'"Content-Type: {JSON}"'), ("-d", shlex.quote(json.dumps(dict(operation.example))))]
    files = {name: "@photo.jpg" for name, schema in operation.form.items() if schema.get("format") == "binary"}
    return [("-F", f'"{name}={value}"') for name, value in {**files, **operation.example}.items()]


def _plans(rules: Rules) -> str:
    plans = list(rules.plans.values())
    rows = {
        "uploads a month": [str(plan.uploads_per_month or "unlimited") for plan in plans],
        "storage": [_megabytes(plan.storage_mb) for plan in plans],
        "largest file": [_megabytes(plan.max_file_mb) for plan in plans],
        "longest life": [f"{plan.max_expiration_days} days" if plan.max_expiration_days else "none" for plan in plans],
        "`expires_at`": ["yes" if plan.custom_expiration else "no" for plan in plans],
        "`custom_slug`": ["yes" if plan.custom_slug else "no" for plan in plans],
        "calls of REST a minute": [str(rules.per_minute["api"] or "unlimited")] * len(plans),
        "calls of agents a minute": [str(rules.per_minute["mcp"] or "unlimited")] * len(plans),
    }
    return table(["plan", *rules.plans], [[name, *cells] for name, cells in rows.items()])


def _megabytes(number: int) -> str:
    if not number:
        return "unlimited"
    return f"{number // 1024} GB" if number % 1024 == 0 else f"{number} MB"


def _limits(rules: Rules) -> str:
    told = ", ".join(f"{rules.pictures[name]:,} {what}" for name, what in LIMITS.items())
    return f"A picture may have at most {told}. An account may have {MAX_FOLDERS} folders."


def _errors() -> str:
    rows = [(f"`{code}`", status, number, faults.MEANING[code]) for code, (status, number) in faults.STATUS.items()]
    return table(["code", "status", "JSON-RPC", "when"], rows)


def _expirations() -> str:
    return table(
        ["value", "how long the picture lives"], [(f"`{name}`", EXPIRATIONS[name]) for name in forms.EXPIRATIONS]
    )


def _types() -> str:
    return table(["type", "ending"], [(f"`{mime}`", f"`.{ext}`") for ext, mime in forms.MIMES.items()])


def _tools() -> str:
    rows = [
        (
            f"`{tool.name}`",
            tool.description.replace("<", "&lt;"),
            ", ".join(f"`{name}`" for name in tool.fields) or "none",
        )
        for tool in TOOLS.values()
    ]
    return table(["tool", "what it does", "arguments"], rows)


def _names(operation: Operation) -> str:
    return ", ".join(f"`{name}`" for name in operation.form if f"`{name}`" not in operation.summary)


def _routes(routes: Sequence[Route]) -> str:
    rows = []
    for route in routes:
        for operation in route.operations:
            methods = ", ".join(f"`{method}`" for method in operation.methods)
            fields = "" if operation.id else _names(operation)
            summary = f"{operation.summary}: {fields}" if fields else operation.summary
            rows.append((methods, f"`{route.path}`", summary, ACCESS[operation.access]))
    return table(["method", "route", "what it does", "for"], rows)
