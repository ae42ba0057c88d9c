"""The description is whole and in step with the code: what one has and the other lacks fails, as planted ones show."""

from __future__ import annotations

import ast
import dataclasses
import re
from collections import UserDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import requests

from handlers.api import openapi, schemas
from handlers.http import faults, routing
from handlers.http.routing import PARTS, Access, Operation, Route
from handlers.mcp.tools import TOOLS
from handlers.reference import text
from handlers.routes import ROUTES
from iuserver import forms
from iuserver.errors import Code
from tests.described import Judge

HANDLERS = Path(__file__).parents[2] / "handlers"
SOURCES = {path: ast.parse(path.read_text()) for path in sorted(HANDLERS.rglob("*.py")) if "examples" not in path.parts}
DOCUMENT = openapi.document(ROUTES)
OPERATIONS = [(route, operation) for route in ROUTES for operation in route.operations]


def named(case: object) -> str:
    return case.path if isinstance(case, Route) else getattr(case, "methods", ("",))[0]


@pytest.mark.parametrize(("route", "operation"), OPERATIONS, ids=named)
def test_an_operation_has_what_its_description_needs(route: Route, operation: Operation) -> None:
    assert operation.summary, "a summary, for the table of routes"
    assert operation.required == tuple(name for name in operation.form if name in operation.required)
    assert operation.example.keys() <= operation.form.keys()
    if not openapi.is_described(route):
        return
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", operation.id), "an id, for client code"
    assert isinstance(operation.answer, str) or "title" in operation.answer, "the answer's type has a name"
    assert all("description" in schema for schema in operation.form.values()), "what each field means"
    if operation.has_body and operation.bodies[0] == routing.JSON:
        assert operation.example, "values to try it with"


def test_names_in_client_code_are_unique() -> None:
    names = [operation["operationId"] for path in DOCUMENT["paths"].values() for operation in methods_of(path).values()]
    assert len(names) == len(set(names))


def methods_of(path: dict[str, Any]) -> dict[str, Any]:
    return {method: operation for method, operation in path.items() if method != "parameters"}


def test_every_route_of_the_api_is_described_with_its_methods_and_nothing_else_is() -> None:
    served = {
        route.path: set(route.methods)
        for route in ROUTES
        if re.match(r"/(api|f|t|u|healthz|readyz|mcp)(/|$)", route.path) and route.path != "/mcp/"
    }
    described = {path: {method.upper() for method in methods_of(of)} for path, of in DOCUMENT["paths"].items()}
    assert described == served


def test_every_kind_of_access_and_every_code_is_explained() -> None:
    kinds = set(get_args(Access))
    assert kinds == openapi.SECURITY.keys() == routing.OF_ACCESS.keys() == text.ACCESS.keys()
    assert set(get_args(Code)) == faults.STATUS.keys() == faults.MEANING.keys()
    assert text.EXPIRATIONS.keys() == set(forms.EXPIRATIONS)
    schemes = {name for needed in openapi.SECURITY.values() for choice in needed for name in choice}
    assert schemes == openapi.SCHEMES.keys()


def test_every_code_that_is_raised_is_described_and_every_described_one_is_raised() -> None:
    source = "".join(path.read_text() for path in (HANDLERS.parent / "iuserver").rglob("*.py"))
    source += "".join(path.read_text() for path in SOURCES)
    raised = set(re.findall(r'(?:Fault|Tampered)\(\s*"(\w+)"', source)) | set(re.findall(r'return "(\w+)", ', source))
    raised |= {code for code in get_args(Code) if re.search(rf'\("{code}", ', source)}
    described = {code for _, operation in OPERATIONS for code in operation.refusals}
    assert described | {"not_implemented"} == set(get_args(Code)) == raised & set(get_args(Code))


# Headers and fields that are read or set somewhere in handlers/ stand in the tables, and the other way round.

OF_HTTP = {
    *("accept", "accept-language", "authorization", "connection", "content-disposition", "content-encoding"),
    *("content-length", "content-type", "cookie", "expect", "host", "transfer-encoding", "user-agent"),
    *("access-control-request-headers", "access-control-request-method", "origin", "last-event-id", "mcp-session-id"),
    *("forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip"),
    *("purpose", "sec-purpose", "sec-fetch-mode", "sec-fetch-site", "x-moz", "x-purpose"),
}
"""Request headers that say how HTTP is spoken, by whom, and through what."""
OF_ANSWERS = {
    *("server", "date", "content-type", "content-length", "connection", "transfer-encoding", "keep-alive"),
    *("access-control-allow-methods", "access-control-allow-headers", "access-control-max-age"),
    *("x-accel-redirect", "x-accel-expires"),
}
"""Headers of any answer, of preflights, and those that nginx takes for itself."""


ELSEWHERE = [
    path for path in SOURCES if path.name not in ("schemas.py", "routes.py") and path.parent.name != "reference"
]
"""Code other than the tables themselves."""


def literals(of: str) -> Iterator[str]:
    """The texts by which headers are read (of a request) or set."""
    for path in ELSEWHERE:
        for node in ast.walk(SOURCES[path]):
            match node:
                case ast.Call(func=ast.Attribute(value=value, attr="get"), args=[ast.Constant(value=str(name)), *_]):
                    read = re.search(r"\bheaders$", ast.unparse(value))
                case ast.Subscript(value=value, ctx=ast.Load(), slice=ast.Constant(value=str(name))):
                    read = re.search(r"\bheaders$", ast.unparse(value))
                case ast.Call(func=ast.Attribute(attr="set_header"), args=[ast.Constant(value=str(name)), *_]):
                    read = None
                    if of == "set":
                        yield name.lower()
                case _:
                    continue
            if read and of == "read":
                yield name.lower()


def test_every_header_that_is_read_is_described() -> None:
    described = {name.lower() for name in schemas.REQUEST_HEADERS}
    assert set(literals("read")) - OF_HTTP <= described


def test_every_header_that_is_set_is_described() -> None:
    described = {name.lower() for name in schemas.ANSWER_HEADERS}
    assert set(literals("set")) - OF_ANSWERS <= described


@pytest.mark.parametrize("name", [*schemas.REQUEST_HEADERS, *schemas.ANSWER_HEADERS])
def test_every_described_header_is_in_the_code_and_an_operation_has_it(name: str) -> None:
    libraries = {"If-None-Match", "Set-Cookie", "Location"}  # Tornado's methods know these
    assert name in libraries or any(f'"{name.lower()}"' in path.read_text().lower() for path in ELSEWHERE)
    assert f"/headers/{name}" in str(DOCUMENT["paths"]) + str(DOCUMENT["components"]["responses"]) or any(
        name in operation.takes for _, operation in OPERATIONS
    )


class Asked(UserDict[str, str]):
    """A form that remembers what was looked for in it."""

    def __init__(self, fields: dict[str, str]) -> None:
        super().__init__(fields)
        self.names: set[str] = set()

    def get(self, name: str, default: Any = None) -> Any:
        self.names.add(name)
        return super().get(name, default)


def test_every_field_of_an_upload_or_a_list_that_is_looked_at_is_described_and_the_other_way_round() -> None:
    views, time, listed = Asked({"expiration": "views", "view_limit": "3"}), Asked({"expires_at": "1"}), Asked({})
    forms.upload(views, "photo.jpg")
    forms.upload(time, "photo.jpg")
    forms.listing(listed)
    assert views.names | time.names == forms.UPLOAD_FIELDS.keys()
    assert listed.names == forms.LIST_FIELDS.keys()


def test_every_query_and_form_field_that_a_handler_names_is_described() -> None:
    source = "".join(path.read_text() for path in SOURCES)
    asked = set(re.findall(r'(?:get_query_argument|form_field|get_argument)\(\s*"(\w+)"', source)) - {"v"}
    assert asked <= {name for _, operation in OPERATIONS for name in operation.form}


def test_tools_have_the_fields_and_answers_of_the_api() -> None:
    form = {name for name in forms.UPLOAD_FIELDS if TOOLS["upload_image"].fields[name] is forms.UPLOAD_FIELDS[name]}
    assert form == forms.UPLOAD_FIELDS.keys()
    assert TOOLS["list_images"].fields is forms.LIST_FIELDS
    assert TOOLS["upload_image"].output is schemas.UPLOADED


# Planted: an answer with something that the description has lost is found out, and one that lacks something.


def told_otherwise(path: str, method: str, **changes: Any) -> list[Route]:
    """The routes, with one operation told otherwise."""
    return [
        dataclasses.replace(
            route,
            operations=tuple(
                dataclasses.replace(operation, **changes) if method in operation.methods else operation
                for operation in route.operations
            ),
        )
        if route.path == path
        else route
        for route in ROUTES
    ]


def answer(method: str, path: str, status: int, body: bytes, **headers: str) -> requests.Response:
    made = requests.Response()
    made.request = requests.Request(method, f"http://127.0.0.1{path}").prepare()
    made.status_code, made._content = status, body
    made.headers.update({"Content-Type": "application/json", **{n.replace("_", "-"): v for n, v in headers.items()}})
    return made


LOST = {
    **schemas.FOLDER,
    "title": "Lost",
    "properties": {"ok": schemas.FLAG, "slug": schemas.TEXT, "name": schemas.TEXT},
}
REFUSED = b'{"error": "The name exists", "code": "name_taken"}'
FOLDER = b'{"ok": true, "slug": "a", "name": "A", "count": 0, "created_at": 1}'
PLANTED = {
    "a route": (answer("GET", "/api/secret", 200, b"{}"), ROUTES, ["GET /api/secret is not described"]),
    "a method": (answer("DELETE", "/api/quota", 200, b"{}"), ROUTES, ["DELETE /api/quota is not described"]),
    "a status": (answer("GET", "/api/quota", 418, b"{}"), ROUTES, ["GET /api/quota: status 418 is not described"]),
    "a header": (
        answer("POST", "/api/folders", 200, FOLDER, X_New="1"),
        ROUTES,
        ["POST /api/folders 200: the header X-New is not described"],
    ),
    "a field": (
        answer("POST", "/api/folders", 200, FOLDER),
        told_otherwise("/api/folders", "POST", answer={**LOST, "required": ["slug", "id"]}),
        [
            f"POST /api/folders 200: the body {what}"
            for what in ("lacks id", "has count, which is not described", "has created_at, which is not described")
        ],
    ),
    "a type": (
        answer("POST", "/api/folders", 200, FOLDER.replace(b'"A"', b"1")),
        ROUTES,
        ["POST /api/folders 200: the body.name is 1 and no string"],
    ),
    "a code": (
        answer("POST", "/api/folders", 409, REFUSED),
        told_otherwise("/api/folders", "POST", faults=("slug_taken",)),
        ["POST /api/folders 409: the code name_taken is not described"],
    ),
    "a route untold": (
        answer("GET", "/api/folders", 200, b"{}"),
        [route for route in ROUTES if route.name != "folders"],
        ["GET /api/folders is not described"],
    ),
}


@pytest.mark.parametrize("planted", PLANTED)
def test_a_planted_difference_is_found(planted: str) -> None:
    given, routes, expected = PLANTED[planted]
    assert Judge(routes).differences(given) == expected


def test_what_is_as_described_is_not_found() -> None:
    judge = Judge(ROUTES)
    assert judge.differences(answer("POST", "/api/folders", 200, FOLDER, X_Request_Id="1")) == []
    assert judge.differences(answer("POST", "/api/folders", 409, REFUSED)) == []


def test_a_part_of_a_path_has_one_form_for_the_router_and_for_programs() -> None:
    for route in ROUTES:
        assert set(route.parts) <= PARTS.keys()
        assert re.compile(route.pattern).groups == len(route.parts)
    with pytest.raises(AssertionError, match="in braces"):
        Route("/api/([a-z]+)", "planted", object, ())
