"""GET /openapi.json and /api: the API described for programs (OpenAPI 3.1), made of the route table."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from typing import Any
from urllib.parse import urlsplit

import orjson

from handlers.api import schemas
from handlers.api.handler import ApiHandler
from handlers.http import faults
from handlers.http.answers import PROBLEM
from handlers.http.base import Handler
from handlers.http.cross_origin import CrossOrigin
from handlers.http.routing import JSON, PARTS, Access, Answer, Operation, Route, Schema
from iuserver import __version__
from iuserver.errors import Code

Json = dict[str, Any]

ADDRESS = "https://address.invalid"
"""What stands for this server's address until the document is sent."""
CACHING = "public, max-age=300"
"""For how long the document and the reference may be kept: a setting may change what they say."""
SECTIONS = {
    "api": "server",
    "f": "pictures",
    "t": "pictures",
    "u": "tickets",
    "mcp": "agents",
    "healthz": "server",
    "readyz": "server",
}
"""The first parts of the paths that are described, and the section that they are in; those below /api have their own.
Pages and forms are for people, and described in /docs only."""
SECURITY: dict[Access, list[dict[str, list[str]]]] = {
    "anyone": [],
    "key": [{"key": []}, {"session": []}],
    "optional key": [{}, {"key": []}, {"session": []}],
    "session": [{"session": []}],
    "admin": [{"session": []}],
    "sign-in link": [],
    "ticket": [],
    "delete link": [],
    "metrics token": [{"key": []}],
}
SCHEMES = {
    "key": {"type": "http", "scheme": "bearer", "description": "An account's key: it begins with iu_live_."},
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": "__Host-session",
        "description": "A signed-in browser, on pages of this server; over plain http the cookie is called session.",
    },
}
EVERYWHERE = ("X-Request-Id", "Cache-Control", "X-Content-Type-Options")
SHARED = ("Access-Control-Allow-Origin", "Access-Control-Expose-Headers")
COUNTED = ("RateLimit-Policy", "RateLimit")
OF_QUOTA = ("X-Quota-Used", "X-Quota-Limit", "X-Quota-Remaining")
WAITING: frozenset[Code] = frozenset({"rate_limited", "quota_exceeded", "overloaded", "in_progress", "read_only"})
"""Refusals that say in Retry-After when to come back."""
UNHEARD: frozenset[Code] = frozenset({"bad_body", "headers_too_large", "overloaded"})
"""Refusals that may come before the request has a handler; pages of any origin may read them."""
SAMPLES: Json = {
    "slug": "aB3xQf9K",
    "ext": "jpg",
    "filename": "photo.jpg",
    "mime": "image/jpeg",
    "size": 184732,
    "width": 1920,
    "height": 1080,
    "hdr": False,
    "expiration": "1w",
    "expires_at": 1798761599,
    "created_at": 1798156799,
    "seen_at": 1798156799,
    "resets_at": 1798761600,
    "viewed_at": None,
    "view_limit": None,
    "views": None,
    "folder": None,
    "share_url": f"{ADDRESS}/i/aB3xQf9K",
    "direct_url": f"{ADDRESS}/f/aB3xQf9K.jpg",
    "delete_url": f"{ADDRESS}/d/aB3xQf9K/5d41402abc4b2a76b9719d911017c592",
    "html": f'<img src="{ADDRESS}/f/aB3xQf9K.jpg" alt="photo.jpg" />',
    "bbcode": f"[img]{ADDRESS}/f/aB3xQf9K.jpg[/img]",
    "markdown": f"![photo.jpg]({ADDRESS}/f/aB3xQf9K.jpg)",
    "upload_source": "api",
    "password_protected": False,
    "unlimited": False,
    "offset": 0,
    "next": "WyJuZXdlc3QiLDE3OTgxNTY3OTksImFCM3hRZjlLIl0",
    "action": "move",
    "id": "5d41402abc4b2a76",
    "browser": "Firefox on Linux",
    "network": "192.0.2.0/24",
    "current": True,
    "key": "iu_live_…",
    "used": 4,
    "limit": 10,
    "remaining": 6,
    "plan": "free",
    "name": "Holiday photos",
    "count": 12,
    "documentation": f"{ADDRESS}/docs",
    "openapi": f"{ADDRESS}/openapi.json",
    "mcp": f"{ADDRESS}/mcp",
    "upgrade_url": faults.UPGRADE_URL,
}
"""Values of examples, by the names of what has them."""


class OpenApiHandler(CrossOrigin):
    """The document, with the server's address in it."""

    def show(self) -> None:
        """Send the document, or 304."""
        body: bytes = self.settings["openapi"].replace(ADDRESS.encode(), self.base_url().encode())
        self.set_header("Cache-Control", CACHING)
        self.set_header("Etag", f'"{sha256(body).hexdigest()[:16]}"')
        if self.check_etag_header():
            self.set_status(304)
            return
        self.set_header("Content-Type", "application/json; charset=utf-8")
        self.finish(body)


class DiscoveryHandler(CrossOrigin):
    """What a client that knows the address alone goes on from."""

    def show(self) -> None:
        """Name the documents."""
        base = self.base_url()
        self.set_header("Link", service_links(self))
        self.send_json({"documentation": f"{base}/docs", "openapi": f"{base}/openapi.json", "mcp": f"{base}/mcp"})


def service_links(handler: Handler) -> str:
    """A Link header that names the documentation, and the description for programs (RFC 8631)."""
    path = urlsplit(handler.base_url()).path
    return f'<{path}/docs>; rel="service-doc", <{path}/openapi.json>; rel="service-desc"'


def rendered(routes: Iterable[Route]) -> bytes:
    """The document as JSON, with ADDRESS for the server's."""
    return orjson.dumps(document(routes))


def document(routes: Iterable[Route]) -> Json:
    """The routes as an OpenAPI 3.1 document, with ADDRESS for the server's."""
    described: Json = {
        "openapi": "3.1.0",
        "info": {
            "title": "Image upload",
            "version": __version__,
            "description": "Stores pictures and gives links to them. Location and other private metadata are removed.",
        },
        "servers": [{"url": ADDRESS}],
        "externalDocs": {"url": f"{ADDRESS}/docs"},
        "paths": {route.path: _path(route) for route in routes if is_described(route)},
        "components": {
            "securitySchemes": SCHEMES,
            "examples": {code: {"value": _example(code)} for code in faults.STATUS},
            "headers": {
                name: {"description": schema["description"], "schema": _bare(schema)}
                for name, schema in schemas.ANSWER_HEADERS.items()
            },
        },
    }
    schemas_: Json = {}
    described = _hoisted(described, schemas_)
    described["components"] |= {"schemas": dict(sorted(schemas_.items())), "responses": _shared(described["paths"])}
    return described


def is_described(route: Route) -> bool:
    """Whether programs are told of a route; a slash at the end makes no other one of it."""
    return route.path.split("/")[1] in SECTIONS and not route.path.endswith("/")


def section_of(route: Route) -> str:
    """The section that a route is described in."""
    first, *rest = route.path.strip("/").split("/")
    return rest[0] if first == "api" and rest else SECTIONS[first]


def operation_id(operation: Operation, method: str) -> str:
    """The name of an operation's method in client code: its first method has the plain one."""
    return operation.id if method == operation.methods[0] else f"{operation.id}_{method.lower()}"


def _path(route: Route) -> Json:
    parameters = [_parameter(name, "path", PARTS[name]) for name in route.parts]
    methods = {
        method.lower(): _operation(route, operation, method)
        for operation in route.operations
        for method in operation.methods
    }
    return ({"parameters": parameters} if parameters else {}) | methods


def _operation(route: Route, operation: Operation, method: str) -> Json:
    described: Json = {
        "operationId": operation_id(operation, method),
        "summary": operation.summary,
        "description": operation.description,
        "tags": [section_of(route)],
        "security": SECURITY[operation.access],
        "parameters": _parameters(operation),
        "responses": _responses(route, operation, method),
    }
    if operation.has_body:
        content = {media_type: _form(operation, media_type) for media_type in operation.bodies}
        described["requestBody"] = {"required": True, "content": content}
    return {name: value for name, value in described.items() if value or name == "security"}


def _parameters(operation: Operation) -> list[Json]:
    query = {} if operation.has_body else operation.form
    return [
        *(_parameter(name, "query", schema, name in operation.required) for name, schema in query.items()),
        *(_parameter(name, "header", schemas.REQUEST_HEADERS[name]) for name in operation.takes),
    ]


def _parameter(name: str, place: str, schema: Schema, required: bool = False) -> Json:
    bare = _bare(schema)
    if place == "path":
        bare["pattern"] = f"^{bare['pattern']}$"
    parameter = {"name": name, "in": place, "description": schema["description"], "schema": bare}
    return parameter | ({"required": True} if required or place == "path" else {})


def _bare(schema: Schema) -> Schema:
    return {name: value for name, value in schema.items() if name != "description"}


def _form(operation: Operation, media_type: str) -> Json:
    if media_type == "application/octet-stream":
        return {"schema": schemas.BINARY}
    schema: Schema = {"type": "object", "properties": dict(operation.form)}
    if operation.required:
        schema["required"] = list(operation.required)
    if operation.id:
        schema["title"] = "".join(word.title() for word in operation.id.split("_")) + "Form"
    return {"schema": schema} | ({"example": dict(operation.example)} if operation.example else {})


def _responses(route: Route, operation: Operation, method: str) -> Json:
    answers = {200: Answer(operation.summary, operation.answer, _of_success(route, operation)), **operation.others}
    responses = {status: _response(route, answer, method) for status, answer in answers.items()}
    if operation.as_text and method != "HEAD":
        responses[200]["content"]["text/plain"] = {"schema": {"type": "string", "description": operation.as_text}}
    by_status: dict[int, list[Code]] = {}
    for code in operation.refusals:
        by_status.setdefault(faults.STATUS[code][0], []).append(code)
    for status, codes in by_status.items():
        refusal = _refusal(route, operation, codes, method)
        responses[status] = _merged(responses[status], refusal) if status in responses else refusal
    if route.pages and method != "HEAD":
        for response in responses.values():
            response["content"] = {**response.get("content", {}), "text/html": {"schema": {"type": "string"}}}
    return {str(status): responses[status] for status in sorted(responses)}


def _of_success(route: Route, operation: Operation) -> tuple[str, ...]:
    counted = OF_QUOTA if operation.access in ("key", "session") and issubclass(route.handler, ApiHandler) else ()
    return (*counted, *operation.gives)


def _response(route: Route, answer: Answer, method: str) -> Json:
    described: Json = {"description": answer.when, "headers": _headers(route, answer.headers)}
    if answer.body is not None and method != "HEAD":
        described["content"] = _content(answer.body)
    return described


def _content(body: Schema | str) -> Json:
    if isinstance(body, dict):
        return {JSON: {"schema": body, "example": sample(body)}}
    text = body.startswith("text/")
    return {body: {"schema": {"type": "string"} if text else {} if body == JSON else schemas.BINARY}}


def _refusal(route: Route, operation: Operation, codes: list[Code], method: str) -> Json:
    headers = [
        *(SHARED if UNHEARD & set(codes) else []),
        *(["WWW-Authenticate"] if faults.CHALLENGES.keys() & set(codes) else []),
        *(["Retry-After"] if WAITING & set(codes) else []),
        *(OF_QUOTA if "quota_exceeded" in codes else []),
        *(["Allow"] if "method_not_allowed" in codes else []),
        *(["Accept-Encoding"] if "unsupported_type" in codes else []),
    ]
    described: Json = {
        "description": "; ".join(f"`{code}`: {faults.MEANING[code]}" for code in codes) + ".",
        "headers": _headers(route, headers),
    }
    if method != "HEAD":
        schema = {"anyOf": [operation.refusal, schemas.ERROR]} if operation.refusal else schemas.ERROR
        described["content"] = {
            JSON: {"schema": schema, "examples": {code: {"$ref": f"#/components/examples/{code}"} for code in codes}},
            PROBLEM: {"schema": schemas.PROBLEM},
        }
    return described


def _example(code: Code) -> Json:
    example: Json = {"error": faults.MEANING[code], "code": code}
    return example | ({"quota": sample(schemas.REFUSAL_MEMBERS["quota"])} if code == "quota_exceeded" else {})


def _merged(answer: Json, refusal: Json) -> Json:
    """An answer that has a refusal's status, and the refusal."""
    merged = {**refusal, "description": f"{answer['description']} {refusal['description']}"}
    merged["headers"] = answer["headers"] | refusal["headers"]
    if "content" in refusal and "content" in answer:
        schemas_ = [answer["content"][JSON]["schema"], refusal["content"][JSON]["schema"]]
        merged["content"] = refusal["content"] | {JSON: {**refusal["content"][JSON], "schema": {"anyOf": schemas_}}}
    return merged


def _headers(route: Route, own: Iterable[str]) -> Json:
    shared = SHARED if issubclass(route.handler, CrossOrigin) else ()
    counted = COUNTED if issubclass(route.handler, ApiHandler) else ()
    names = dict.fromkeys((*EVERYWHERE, *shared, *counted, *route.headers, *own))
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def sample(schema: Schema, name: str = "") -> Any:
    """A value that a schema's example may show; `name` is what it is a value of."""
    if "examples" in schema:
        return schema["examples"][0]
    if "enum" in schema and name not in SAMPLES:
        return schema["enum"][0]
    if schema.get("type") == "object":
        return {member: sample(of, member) for member, of in schema.get("properties", {}).items()}
    if schema.get("type") == "array":
        return [sample(schema["items"], name)]
    if name in SAMPLES:
        return SAMPLES[name]
    if "anyOf" in schema:
        return sample(schema["anyOf"][0], name)
    kind = schema["type"] if isinstance(schema["type"], str) else schema["type"][0]
    return {"boolean": True, "integer": 1, "number": 1, "string": name}.get(kind)


def _shared(paths: Json) -> Json:
    """Take the refusals out of the operations, and put a reference there: the same one is met by many."""
    names: dict[bytes, str] = {}
    shared: Json = {}
    for methods in paths.values():
        for operation in (value for value in methods.values() if isinstance(value, dict)):
            for status, response in operation["responses"].items():
                if int(status) >= 400:
                    name = names.setdefault(orjson.dumps(response), f"Refused{status}_{len(names)}")
                    shared[name] = response
                    operation["responses"][status] = {"$ref": f"#/components/responses/{name}"}
    return shared


def _hoisted(node: Any, components: Json) -> Any:
    """The same, with a reference in place of each object that has a title; those are put under `components`."""
    if isinstance(node, list):
        return [_hoisted(item, components) for item in node]
    if not isinstance(node, dict):
        return node
    hoisted = {name: _hoisted(value, components) for name, value in node.items()}
    title = node.get("title")
    if node.get("type") != "object" or not isinstance(title, str):
        return hoisted
    assert components.setdefault(title, hoisted) == hoisted, f"{title} names two schemas"
    return {"$ref": f"#/components/schemas/{title}"}
