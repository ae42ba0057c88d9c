"""Judges answers by the server's own description: what an answer has that OpenAPI does not tell, or lacks."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit

import requests

from handlers.api.openapi import SECTIONS, document, is_described
from handlers.http.routing import Route

Json = dict[str, Any]

FRAMING = {
    *("server", "date", "content-type", "content-length", "connection", "transfer-encoding"),
    *("x-accel-redirect", "x-accel-expires"),
}
"""Headers that HTTP itself gives an answer, and those that nginx takes for itself; OpenAPI tells of none of them, or in
another place."""
TYPES: dict[str, Any] = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "integer": int,
    "number": (int, float),
    "null": type(None),
}


def is_flag(value: Any, kind: str) -> bool:
    """Whether Python takes a truth value for a number, which JSON does not."""
    return isinstance(value, bool) and kind != "boolean"


class Judge:
    """Knows a description, and finds what answers do not share with it."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self.document = document(routes)
        self._routes = [(re.compile(route.pattern), route.path) for route in routes if is_described(route)]

    def differences(self, answer: requests.Response, read: bool = True) -> list[str]:
        """What is wrong with an answer; its body counts if it has been `read`."""
        method, path = str(answer.request.method), urlsplit(str(answer.request.url)).path
        operation = self._operation(method, path)
        if operation is None:
            strange = answer.status_code < 400 and path.split("/")[1] in SECTIONS and not path.endswith("/")
            return [f"{method} {path} is not described"] if strange and method != "OPTIONS" else []
        described = operation["responses"].get(str(answer.status_code))
        if described is None:
            return [f"{method} {path}: status {answer.status_code} is not described"]
        described = self._followed(described)
        found = [*self._of_headers(answer, described), *(self._of_body(answer, described) if read else ())]
        return [f"{method} {path} {answer.status_code}: {what}" for what in found]

    def _operation(self, method: str, path: str) -> Json | None:
        for pattern, template in self._routes:
            if pattern.fullmatch(path):
                operation: Json | None = self.document["paths"][template].get(method.lower())
                return operation
        return None

    def _of_headers(self, answer: requests.Response, described: Json) -> Iterator[str]:
        known = FRAMING | {name.lower() for name in described["headers"]}
        for name in answer.headers:
            if name.lower() not in known:
                yield f"the header {name} is not described"

    def _of_body(self, answer: requests.Response, described: Json) -> Iterator[str]:
        if not answer.content:
            return
        kind = answer.headers.get("Content-Type", "").partition(";")[0]
        content = described.get("content", {})
        if kind not in content and kind.partition("/")[0] + "/*" not in content:
            yield f"{kind} is not described"
        elif kind.endswith("json"):
            body = answer.json()
            yield from self.mismatches(body, content[kind]["schema"], "the body")
            code = body.get("code") if isinstance(body, dict) and answer.status_code >= 400 else None
            if code and code not in content["application/json"]["examples"]:
                yield f"the code {code} is not described"

    def mismatches(self, value: Any, schema: Json, where: str) -> Iterator[str]:
        """Where a value is not what a schema says; nothing may be there that it does not tell."""
        schema = self._followed(schema)
        if "anyOf" in schema:
            tried = [list(self.mismatches(value, choice, where)) for choice in schema["anyOf"]]
            yield from min(tried, key=len)
            return
        kinds = schema.get("type", [])
        kinds = [kinds] if isinstance(kinds, str) else kinds
        if kinds and not any(isinstance(value, TYPES[kind]) for kind in kinds if not is_flag(value, kind)):
            yield f"{where} is {value!r} and no {' or '.join(kinds)}"
        elif "enum" in schema and value not in schema["enum"]:
            yield f"{where} is {value!r}"
        elif isinstance(value, list):
            for item in value:
                yield from self.mismatches(item, schema["items"], f"{where}[]")
        elif isinstance(value, dict) and "properties" in schema:
            yield from self._of_members(value, schema, where)

    def _of_members(self, value: Json, schema: Json, where: str) -> Iterator[str]:
        for name in schema.get("required", []):
            if name not in value:
                yield f"{where} lacks {name}"
        for name, member in value.items():
            if name in schema["properties"]:
                yield from self.mismatches(member, schema["properties"][name], f"{where}.{name}")
            else:
                yield f"{where} has {name}, which is not described"

    def _followed(self, node: Json) -> Json:
        while "$ref" in node:
            section, name = node["$ref"].split("/")[-2:]
            node = self.document["components"][section][name]
        return node
