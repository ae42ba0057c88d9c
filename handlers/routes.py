"""The route table: every path with its name, handler and operations; OpenAPI and the docs are made of it."""

from __future__ import annotations

from pathlib import Path

from tornado.web import Application

from handlers.api import schemas
from handlers.api.folders import FolderHandler, FoldersHandler
from handlers.api.images import BulkHandler, ImageHandler, ImagesHandler
from handlers.api.openapi import DiscoveryHandler, OpenApiHandler, rendered
from handlers.api.quota import QuotaHandler
from handlers.api.upload import UploadHandler
from handlers.http.base import log_request
from handlers.http.not_found import NotFound
from handlers.http.routing import JSON, Answer, Operation, Route
from handlers.http.services import Services
from handlers.http.static import StaticHandler
from handlers.mcp.endpoint import McpHandler
from handlers.ops import GuardedMetricsHandler, HealthHandler, MetricsHandler, ReadyHandler
from handlers.reference.page import DocsHandler
from handlers.web import page
from handlers.web.delete_link import DeleteLinkHandler
from handlers.web.file import FileHandler
from handlers.web.share import ShareHandler
from handlers.web.ticket import TicketHandler
from iuserver import forms
from iuserver.errors import Code

GET, POST, PATCH, DELETE, LOOK = ("GET",), ("POST",), ("PATCH",), ("DELETE",), ("GET", "HEAD")
HTML, METRICS, PICTURE = "text/html", "text/plain; version=0.0.4", "image/*"
MULTIPART, URLENCODED, BYTES = "multipart/form-data", "application/x-www-form-urlencoded", "application/octet-stream"

OF_PICTURES: tuple[Code, ...] = (
    "too_large",
    "unsupported_type",
    "broken_image",
    "too_many_pixels",
    "too_many_frames",
    "too_many_scans",
    "blocked",
)
OF_UPLOADS: tuple[Code, ...] = (
    *OF_PICTURES,
    "quota_exceeded",
    "storage_quota_exceeded",
    "plan_required",
    "bad_field",
    "bad_body",
    "slug_taken",
    "overloaded",
    "timeout",
    "storage_unavailable",
    "read_only",
)
OF_KEYS: tuple[Code, ...] = ("idempotency_conflict", "in_progress")
OF_VIEWS: tuple[Code, ...] = ("not_found", "storage_unavailable")
OF_BYTES = (
    "Content-Disposition",
    "Content-Security-Policy",
    "Cross-Origin-Resource-Policy",
    "X-Robots-Tag",
    "Referrer-Policy",
)

UNCHANGED = Answer("The client has these bytes already.")
ROUTES = [  # Tornado asks one after the other: what is wanted most comes first
    Route(
        "/api/upload",
        "upload",
        UploadHandler,
        (
            Operation(
                POST,
                UploadHandler.upload,
                "key",
                {**schemas.FILE, **forms.UPLOAD_FIELDS},
                schemas.UPLOADED,
                (*OF_UPLOADS, *OF_KEYS),
                id="upload_image",
                summary="Upload a picture",
                description="Fields may come before or after the file. Unknown ones are ignored, empty ones count as "
                "absent, one given twice is refused. Status 200 means that the bytes and the record are on the disk.",
                required=("file",),
                bodies=(MULTIPART,),
                example={"expiration": "1mo"},
                takes=("Idempotency-Key",),
                gives=("Idempotent-Replay",),
                as_text="The direct URL alone.",
            ),
        ),
    ),
    Route(
        "/f/{slug}.{ext}",
        "file",
        FileHandler,
        (
            Operation(
                LOOK,
                FileHandler.show,
                "optional key",
                forms.GRANT_FIELDS,
                PICTURE,
                (*OF_VIEWS, "password_required", "wrong_password", "rate_limited", "forbidden", "overloaded"),
                id="get_picture",
                summary="A picture's bytes",
                description="Pictures without a password or a limited number of views are served to anybody, with a "
                "strong `ETag` and single byte ranges. Others are always sent whole, and a view of a `burn` or `views` "
                "picture counts. The owner's key opens any picture and counts as no viewer.",
                takes=("X-Image-Password", "Range", "If-Range", "If-None-Match"),
                gives=(*OF_BYTES, "ETag", "Accept-Ranges", "Set-Cookie"),
                others={
                    206: Answer(
                        "The part that was asked for.", PICTURE, (*OF_BYTES, "ETag", "Accept-Ranges", "Content-Range")
                    ),
                    303: Answer(
                        "A browser opens a gated picture: its page asks for what viewers must do.",
                        None,
                        ("Location", "Referrer-Policy"),
                    ),
                    304: Answer("The client has these bytes already.", None, (*OF_BYTES, "ETag", "Accept-Ranges")),
                    307: Answer(
                        "The bytes are at this address for a while (`delivery.presign`).",
                        None,
                        ("Location", "Cross-Origin-Resource-Policy", "Referrer-Policy"),
                    ),
                    416: Answer(
                        "The picture has no such bytes.", None, (*OF_BYTES, "ETag", "Accept-Ranges", "Content-Range")
                    ),
                },
            ),
        ),
    ),
    Route(
        "/api/quota",
        "quota",
        QuotaHandler,
        (
            Operation(
                GET,
                QuotaHandler.show,
                "key",
                answer=schemas.ACCOUNT,
                id="get_quota",
                summary="The month and the storage",
                description="How many uploads are counted this month, when it ends, and how much storage is used.",
            ),
        ),
    ),
    Route(
        "/api/images",
        "images",
        ImagesHandler,
        (
            Operation(
                GET,
                ImagesHandler.list,
                "key",
                forms.LIST_FIELDS,
                schemas.IMAGES,
                ("bad_field",),
                id="list_images",
                summary="List pictures",
                description="`total` counts all that match. `next` is null at the end, else it goes on as `after`: so "
                "nothing is skipped or repeated when pictures are uploaded or deleted meanwhile. `views` counts the "
                "viewers of a `burn` or `views` picture, `viewed_at` is when the last of them came. A picture whose "
                "last viewer has seen it stays in the list until it would have expired, at most 30 days, with size 0 "
                "and without its name.",
                example={"limit": 20},
            ),
        ),
    ),
    Route(
        "/api/images/bulk",
        "bulk",
        BulkHandler,
        (
            Operation(
                POST,
                BulkHandler.do,
                "key",
                forms.BULK_FIELDS,
                schemas.BULK,
                ("bad_field", "bad_body", "too_large", "read_only"),
                id="change_many_images",
                summary="Delete or move many pictures",
                description="The body may have 128 KiB. It is not all or nothing: the answer says of each picture what "
                "became of it. Those that are not there, or another account's, are `not_found`; where a store fails "
                "half way, the rest are `storage_unavailable`.",
                required=("action", "slugs"),
                example={"action": "move", "slugs": ["aB3xQf9K"], "folder": "holiday-photos"},
            ),
        ),
    ),
    Route(
        "/api/images/{slug}",
        "image",
        ImageHandler,
        (
            Operation(
                GET,
                ImageHandler.show,
                "key",
                answer=schemas.DETAILED,
                faults=("not_found",),
                id="get_image",
                summary="Look at a picture's data",
                description="What the list tells, and the snippets to paste. Counts no view.",
            ),
            Operation(
                PATCH,
                ImageHandler.change,
                "key",
                forms.CHANGE_FIELDS,
                schemas.DETAILED,
                ("not_found", "bad_field", "bad_body", "plan_required", "overloaded", "read_only"),
                id="change_image",
                summary="Change a picture's name, folder, expiry or password",
                description="At least one of the fields. The expiry of a picture that counts views cannot change any "
                "more once somebody has looked; of one that its last viewer has seen only the folder can. Who has "
                "unlocked the picture must do so again when its password changes.",
                example={"folder": "holiday-photos", "expiration": "1mo"},
            ),
            Operation(
                DELETE,
                ImageHandler.remove,
                "key",
                answer=schemas.DELETED,
                faults=("not_found", "read_only"),
                id="delete_image",
                summary="Delete a picture",
                description="For good. Its slug names nothing else for 30 days.",
            ),
        ),
    ),
    Route(
        "/api/folders",
        "folders",
        FoldersHandler,
        (
            Operation(
                GET,
                FoldersHandler.list,
                "key",
                answer=schemas.FOLDERS,
                id="list_folders",
                summary="List folders",
                description="The account's folders, each with the number of its pictures.",
            ),
            Operation(
                POST,
                FoldersHandler.create,
                "key",
                forms.FOLDER_FIELDS,
                schemas.FOLDER,
                ("bad_field", "bad_body", "name_taken", "folder_limit", "read_only"),
                id="create_folder",
                summary="Make a folder",
                description="The folder's slug is made of its name.",
                required=("name",),
                bodies=(JSON, URLENCODED),
                example={"name": "Holiday photos"},
            ),
        ),
    ),
    Route(
        "/api/folders/{folder}",
        "folder",
        FolderHandler,
        (
            Operation(
                PATCH,
                FolderHandler.rename,
                "key",
                forms.FOLDER_FIELDS,
                schemas.FOLDER,
                ("not_found", "bad_field", "bad_body", "name_taken", "read_only"),
                id="rename_folder",
                summary="Rename a folder",
                description="Its slug stays.",
                required=("name",),
                example={"name": "Holiday 2026"},
            ),
            Operation(
                DELETE,
                FolderHandler.remove,
                "key",
                answer=schemas.DELETED,
                faults=("not_found", "in_progress", "read_only"),
                id="delete_folder",
                summary="Delete a folder",
                description="Its pictures move to the root, 250 at a time; the answer comes when all are there.",
            ),
        ),
    ),
    Route(
        "/api",
        "discovery",
        DiscoveryHandler,
        (
            Operation(
                LOOK,
                DiscoveryHandler.show,
                answer=schemas.DISCOVERY,
                id="discover",
                summary="Where the API is described",
                gives=("Link",),
            ),
        ),
    ),
    Route(
        "/openapi.json",
        "openapi",
        OpenApiHandler,
        (
            Operation(
                LOOK,
                OpenApiHandler.show,
                summary="This API for programs: OpenAPI 3.1",
                takes=("If-None-Match",),
                gives=("ETag",),
                others={304: UNCHANGED},
            ),
        ),
    ),
    Route(
        "/docs",
        "docs",
        DocsHandler,
        (Operation(LOOK, DocsHandler.show, answer=HTML, summary="This reference as a page"),),
    ),
    Route(
        "/d/{slug}/{signature}",
        "delete_link",
        DeleteLinkHandler,
        (
            Operation(
                GET,
                DeleteLinkHandler.show,
                "delete link",
                answer=HTML,
                faults=("not_found",),
                summary="The deletion link of an upload: asks",
            ),
            Operation(
                POST,
                DeleteLinkHandler.delete_image,
                "delete link",
                answer=HTML,
                faults=("not_found", "forbidden", "read_only"),
                summary="Deletes the picture, once",
            ),
        ),
    ),
    Route(
        "/i/{slug}",
        "share",
        ShareHandler,
        (
            Operation(
                LOOK,
                ShareHandler.show,
                "optional key",
                answer=HTML,
                faults=OF_VIEWS,
                summary="The picture's page, for people",
            ),
            Operation(
                POST,
                ShareHandler.open,
                "optional key",
                {"password": {"type": "string"}},
                HTML,
                (*OF_VIEWS, "wrong_password", "rate_limited", "forbidden"),
                summary="Takes the password, or the click on Reveal",
                bodies=(URLENCODED,),
            ),
        ),
    ),
    Route(
        "/static/{file}",
        "static",
        StaticHandler,
        (Operation(LOOK, StaticHandler.show, answer="*/*", faults=("not_found",), summary="What the pages need"),),
    ),
    Route(
        "/robots.txt",
        "static",
        StaticHandler,
        (Operation(LOOK, StaticHandler.show, answer="text/plain", summary="What robots should leave alone"),),
    ),
    Route(
        "/favicon.ico",
        "static",
        StaticHandler,
        (Operation(LOOK, StaticHandler.show, answer=PICTURE, summary="The icon"),),
    ),
    *(
        Route(
            path,
            "ticket",
            TicketHandler,
            (
                Operation(
                    GET,
                    TicketHandler.show,
                    "ticket",
                    answer=HTML,
                    faults=("not_found", "ticket_used", "in_progress"),
                    id=f"open_ticket{suffix}",
                    summary=f"The page of an upload ticket{words}",
                    description="For whoever has the picture: a page to drop it on.",
                ),
                Operation(
                    ("POST", "PUT"),
                    TicketHandler.upload,
                    "ticket",
                    schemas.FILE,
                    schemas.UPLOADED,
                    (*OF_UPLOADS, "in_progress", "not_found", "ticket_used"),
                    id=f"use_ticket{suffix}",
                    summary=f"Upload a picture with a ticket{words}",
                    description="One picture, as a form or as the bare bytes, from whoever has the ticket. The fields "
                    "that the ticket was made with hold, whatever is sent. A browser gets a page as the answer.",
                    bodies=(MULTIPART, BYTES),
                    gives=("X-Quota-Used", "X-Quota-Limit", "X-Quota-Remaining", "Idempotent-Replay"),
                    as_text="The direct URL alone.",
                ),
            ),
            headers=tuple(page.HEADERS),
            pages=True,
        )
        for path, suffix, words in (
            ("/u/{ticket}", "", ""),
            ("/u/{ticket}/{filename}", "_named", " and a name"),
        )
    ),
    *(
        Route(
            path,
            "mcp",
            McpHandler,
            (
                Operation(
                    LOOK,
                    McpHandler.introduce,
                    answer=schemas.AGENTS,
                    faults=("forbidden", "method_not_allowed"),
                    id="introduce_agents",
                    summary="What agents are offered",
                    description="Event streams are refused: there are none.",
                ),
                Operation(
                    POST,
                    McpHandler.answer,
                    "optional key",
                    schemas.JSON_RPC_REQUEST,
                    schemas.JSON_RPC,
                    ("missing_key", "invalid_key", "forbidden", "overloaded", "rate_limited"),
                    id="call_agent_endpoint",
                    summary="The Model Context Protocol",
                    description="One JSON-RPC request, one JSON answer. Errors of tools come with status 200.",
                    required=("jsonrpc", "method"),
                    bodies=(JSON,),
                    example={"jsonrpc": "2.0", "id": 1, "method": "tools/list"},
                    takes=("MCP-Protocol-Version", "Mcp-Method", "Mcp-Name"),
                    gives=("Retry-After", "X-Quota-Used", "X-Quota-Limit", "X-Quota-Remaining"),
                    others={
                        202: Answer("A notification: there is nothing to answer."),
                        404: Answer("There is no such method.", schemas.JSON_RPC),
                    },
                    refusal=schemas.JSON_RPC,
                ),
            ),
            headers=("Vary",),
        )
        for path in ("/mcp", "/mcp/")
    ),
    Route(
        "/healthz",
        "health",
        HealthHandler,
        (
            Operation(
                LOOK, HealthHandler.show, answer=schemas.HEALTH, id="get_health", summary="Whether the server is alive"
            ),
        ),
    ),
    Route(
        "/readyz",
        "ready",
        ReadyHandler,
        (
            Operation(
                LOOK,
                ReadyHandler.show,
                answer=schemas.READINESS,
                id="get_readiness",
                summary="Whether uploads can be stored",
                description="Backends answer, the queue has room, workers run.",
                others={503: Answer("A part is not ready; the body says which.", schemas.READINESS)},
            ),
        ),
    ),
    Route(
        "/metrics",
        "metrics",
        GuardedMetricsHandler,
        (
            Operation(
                GET,
                GuardedMetricsHandler.show,
                "metrics token",
                answer=METRICS,
                faults=("not_found",),
                summary="The metrics for Prometheus, for who has the token",
            ),
        ),
    ),
]

OPERATORS_ROUTES = [
    Route(
        "/metrics",
        "metrics",
        MetricsHandler,
        (Operation(GET, MetricsHandler.show, answer=METRICS, summary="The metrics for Prometheus"),),
    )
]

NOWHERE = Route("", "not_found", NotFound, (Operation(NotFound.SUPPORTED_METHODS, NotFound.nothing),))


def application(services: Services, routes: list[Route] = ROUTES) -> Application:
    """The routes as a Tornado application over the use cases."""
    return Application(
        [(route.pattern, route.handler, {"route": route}) for route in routes],
        services=services,
        routes=routes,
        openapi=rendered(routes),
        default_handler_class=NotFound,
        default_handler_args={"route": NOWHERE},
        log_function=log_request,
        template_path=str(Path(__file__).with_name("web") / "templates"),
    )
