"""The route table: every pattern with its name, handler, methods, access, form, answer and faults."""

from __future__ import annotations

from pathlib import Path

from tornado.web import Application

from handlers.api import schemas
from handlers.api.folders import FoldersHandler
from handlers.api.images import ImageHandler, ImagesHandler
from handlers.api.quota import QuotaHandler
from handlers.api.upload import UploadHandler
from handlers.http.base import log_request
from handlers.http.not_found import NotFound
from handlers.http.routing import Operation, Route
from handlers.http.services import Services
from handlers.http.static import StaticHandler
from handlers.mcp.endpoint import McpHandler
from handlers.ops import GuardedMetricsHandler, HealthHandler, MetricsHandler, ReadyHandler
from handlers.web.delete_link import DeleteLinkHandler
from handlers.web.file import FileHandler
from handlers.web.share import ShareHandler
from handlers.web.thumbnail import ThumbnailHandler
from handlers.web.ticket import TicketHandler
from iuserver import forms
from iuserver.errors import Code

GET, POST, DELETE, LOOK = ("GET",), ("POST",), ("DELETE",), ("GET", "HEAD")
HTML, METRICS = "text/html", "text/plain; version=0.0.4"
SLUG, TICKET = "([A-Za-z0-9_-]{1,64})", "([A-Za-z0-9_-]{1,4096})"

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

ROUTES = [  # Tornado asks one after the other: what is wanted most comes first
    Route(
        "/api/upload",
        "upload",
        UploadHandler,
        (Operation(POST, UploadHandler.upload, "key", forms.UPLOAD_FIELDS, schemas.UPLOADED, (*OF_UPLOADS, *OF_KEYS)),),
    ),
    Route(
        rf"/f/{SLUG}\.([a-z0-9]{{1,5}})",
        "file",
        FileHandler,
        (
            Operation(
                LOOK,
                FileHandler.show,
                "optional key",
                answer="image/*",
                faults=(*OF_VIEWS, "password_required", "wrong_password", "rate_limited", "forbidden"),
            ),
        ),
    ),
    Route(
        rf"/t/{SLUG}\.webp",
        "thumbnail",
        ThumbnailHandler,
        (
            Operation(
                LOOK,
                ThumbnailHandler.show,
                "optional key",
                answer="image/webp",
                faults=(*OF_VIEWS, "password_required", "wrong_password", "rate_limited", "forbidden", "overloaded"),
            ),
        ),
    ),
    Route("/api/quota", "quota", QuotaHandler, (Operation(GET, QuotaHandler.show, "key", answer=schemas.ACCOUNT),)),
    Route(
        "/api/images",
        "images",
        ImagesHandler,
        (Operation(GET, ImagesHandler.list, "key", forms.LIST_FIELDS, schemas.IMAGES, ("bad_field",)),),
    ),
    Route(
        f"/api/images/{SLUG}",
        "image",
        ImageHandler,
        (
            Operation(GET, ImageHandler.show, "key", answer=schemas.DETAILED, faults=("not_found",)),
            Operation(DELETE, ImageHandler.remove, "key", answer=schemas.DELETED, faults=("not_found", "read_only")),
        ),
    ),
    Route(
        "/api/folders",
        "folders",
        FoldersHandler,
        (
            Operation(GET, FoldersHandler.list, "key", answer=schemas.FOLDERS),
            Operation(
                POST,
                FoldersHandler.create,
                "key",
                forms.FOLDER_FIELDS,
                schemas.FOLDER,
                ("bad_field", "bad_body", "name_taken", "folder_limit", "read_only"),
            ),
        ),
    ),
    Route(
        f"/d/{SLUG}/([0-9a-f]{{32}})",
        "delete_link",
        DeleteLinkHandler,
        (
            Operation(GET, DeleteLinkHandler.show, "delete link", answer=HTML, faults=("not_found",)),
            Operation(
                POST,
                DeleteLinkHandler.delete_image,
                "delete link",
                answer=HTML,
                faults=("not_found", "forbidden", "read_only"),
            ),
        ),
    ),
    Route(
        f"/i/{SLUG}",
        "share",
        ShareHandler,
        (
            Operation(LOOK, ShareHandler.show, "optional key", answer=HTML, faults=OF_VIEWS),
            Operation(
                POST,
                ShareHandler.open,
                "optional key",
                {"password": {"type": "string"}},
                HTML,
                (*OF_VIEWS, "wrong_password", "rate_limited", "forbidden"),
            ),
        ),
    ),
    Route(r"/static/([a-z]+\.[a-z]+)", "static", StaticHandler, (Operation(LOOK, StaticHandler.show, answer="*/*"),)),
    Route(r"/robots\.txt", "static", StaticHandler, (Operation(LOOK, StaticHandler.show, answer="text/plain"),)),
    Route(r"/favicon\.ico", "static", StaticHandler, (Operation(LOOK, StaticHandler.show, answer="image/*"),)),
    *(
        Route(
            pattern,
            "ticket",
            TicketHandler,
            (
                Operation(GET, TicketHandler.show, "ticket", answer=HTML, faults=("not_found", "ticket_used")),
                Operation(
                    ("POST", "PUT"),
                    TicketHandler.upload,
                    "ticket",
                    answer=schemas.UPLOADED,
                    faults=(*OF_UPLOADS, "in_progress", "not_found", "ticket_used"),
                ),
            ),
        )
        for pattern in (f"/u/{TICKET}", f"/u/{TICKET}/([^/]{{0,255}})")
    ),
    Route(
        "/mcp/?",
        "mcp",
        McpHandler,
        (
            Operation(LOOK, McpHandler.introduce, faults=("forbidden",)),
            Operation(POST, McpHandler.answer, "optional key", faults=("forbidden", "overloaded", "timeout")),
        ),
    ),
    Route("/healthz", "health", HealthHandler, (Operation(LOOK, HealthHandler.show),)),
    Route("/readyz", "ready", ReadyHandler, (Operation(LOOK, ReadyHandler.show),)),
    Route(
        "/metrics",
        "metrics",
        GuardedMetricsHandler,
        (Operation(GET, GuardedMetricsHandler.show, "metrics token", answer=METRICS, faults=("not_found",)),),
    ),
]

OPERATORS_ROUTES = [
    Route("/metrics", "metrics", MetricsHandler, (Operation(GET, MetricsHandler.show, answer=METRICS),))
]

NOWHERE = Route("", "not_found", NotFound, (Operation(NotFound.SUPPORTED_METHODS, NotFound.nothing),))


def application(services: Services, routes: list[Route] = ROUTES) -> Application:
    """The routes as a Tornado application over the use cases."""
    return Application(
        [(route.pattern, route.handler, {"route": route}) for route in routes],
        services=services,
        default_handler_class=NotFound,
        default_handler_args={"route": NOWHERE},
        log_function=log_request,
        template_path=str(Path(__file__).with_name("web") / "templates"),
    )
