"""The route table: every pattern with its name, handler, methods, access, form, answer and faults."""

from __future__ import annotations

from pathlib import Path

from tornado.web import Application

from handlers.api import schemas
from handlers.api.folders import FolderHandler, FoldersHandler
from handlers.api.images import BulkHandler, ImageHandler, ImagesHandler
from handlers.api.quota import QuotaHandler
from handlers.api.sessions import KeyHandler, SessionHandler, SessionsHandler
from handlers.api.upload import UploadHandler
from handlers.http.base import log_request
from handlers.http.routing import Access, Operation, Route
from handlers.http.services import Services
from handlers.http.static import StaticHandler
from handlers.mcp.endpoint import McpHandler
from handlers.ops import GuardedMetricsHandler, HealthHandler, MetricsHandler, ReadyHandler
from handlers.web.admin.accounts import AdminAccountHandler, AdminAccountsHandler
from handlers.web.admin.audit import AuditHandler
from handlers.web.admin.blocklist import BlocklistHandler
from handlers.web.admin.images import AdminImagesHandler
from handlers.web.admin.invites import InvitesHandler
from handlers.web.admin.status import StatusHandler
from handlers.web.connect import ConnectHandler, ShareXHandler
from handlers.web.dashboard import DashboardHandler
from handlers.web.delete_link import DeleteLinkHandler
from handlers.web.file import FileHandler
from handlers.web.folders import FolderFormHandler, NewFolderHandler
from handlers.web.images import GalleryHandler, PanelHandler, QrHandler
from handlers.web.landing import LandingHandler
from handlers.web.lost import LostHandler
from handlers.web.profile import (
    EverywhereFormHandler,
    KeyFormHandler,
    PasswordFormHandler,
    ProfileHandler,
    SessionFormHandler,
)
from handlers.web.share import ShareHandler
from handlers.web.sign_in import LinkHandler, LoginHandler, LogoutHandler, SignUpHandler
from handlers.web.thumbnail import ThumbnailHandler
from handlers.web.ticket import TicketHandler
from iuserver import forms
from iuserver.errors import Code

GET, POST, PATCH, DELETE, LOOK = ("GET",), ("POST",), ("PATCH",), ("DELETE",), ("GET", "HEAD")
HTML, METRICS = "text/html", "text/plain; version=0.0.4"
SLUG, FOLDER, TICKET = "([A-Za-z0-9_-]{1,64})", "([a-z0-9-]{1,80})", "([A-Za-z0-9_-]{1,4096})"
TOKEN, ID = "([A-Za-z0-9_-]{1,128})", "([A-Za-z0-9_-]{1,64})"

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
OF_PASSWORDS: tuple[Code, ...] = ("wrong_password", "rate_limited", "overloaded", "forbidden", "read_only")
OF_FORMS: tuple[Code, ...] = ("bad_field", "not_found", "forbidden", "read_only")
OF_ADMIN: tuple[Code, ...] = ("forbidden", "storage_unavailable")
SIGN_UPS: tuple[tuple[str, Access], ...] = (("/signup", "anyone"), (f"/signup/{TOKEN}", "sign-in link"))

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
        has_files=True,
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
            ),
        ),
    ),
    Route(
        f"/api/images/{SLUG}",
        "image",
        ImageHandler,
        (
            Operation(GET, ImageHandler.show, "key", answer=schemas.DETAILED, faults=("not_found",)),
            Operation(
                PATCH,
                ImageHandler.change,
                "key",
                forms.CHANGE_FIELDS,
                schemas.DETAILED,
                ("not_found", "bad_field", "bad_body", "plan_required", "overloaded", "read_only"),
            ),
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
        "/api/sessions",
        "sessions",
        SessionsHandler,
        (Operation(GET, SessionsHandler.list, "session", answer=schemas.SESSIONS),),
    ),
    Route(
        f"/api/sessions/{ID}",
        "session",
        SessionHandler,
        (
            Operation(
                DELETE,
                SessionHandler.end,
                "session",
                answer=schemas.SESSION_ENDED,
                faults=("not_found", "forbidden", "read_only"),
            ),
        ),
    ),
    Route(
        "/api/key",
        "key",
        KeyHandler,
        (
            Operation(
                POST,
                KeyHandler.replace,
                "session",
                {"password": schemas.TEXT},
                schemas.NEW_KEY,
                (*OF_PASSWORDS, "password_required", "bad_body", "bad_field"),
            ),
        ),
    ),
    Route(
        f"/api/folders/{FOLDER}",
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
            ),
            Operation(
                DELETE,
                FolderHandler.remove,
                "key",
                answer=schemas.DELETED,
                faults=("not_found", "in_progress", "read_only"),
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
    Route("/", "landing", LandingHandler, (Operation(LOOK, LandingHandler.show, answer=HTML),)),
    Route(
        "/login",
        "login",
        LoginHandler,
        (
            Operation(LOOK, LoginHandler.show, answer=HTML),
            Operation(
                POST,
                LoginHandler.sign_in,
                form={"email": schemas.TEXT, "password": schemas.TEXT, "next": schemas.TEXT},
                answer=HTML,
                faults=OF_PASSWORDS,
            ),
        ),
    ),
    Route(
        f"/login/{TOKEN}",
        "sign_in_link",
        LinkHandler,
        (
            Operation(LOOK, LinkHandler.show, "sign-in link", answer=HTML, faults=("not_found",)),
            Operation(
                POST, LinkHandler.sign_in, "sign-in link", answer=HTML, faults=("not_found", "forbidden", "read_only")
            ),
        ),
    ),
    Route(
        "/logout",
        "logout",
        LogoutHandler,
        (Operation(POST, LogoutHandler.sign_out, answer=HTML, faults=("forbidden",)),),
    ),
    *(
        Route(
            pattern,
            "signup",
            SignUpHandler,
            (
                Operation(LOOK, SignUpHandler.show, access, answer=HTML, faults=("forbidden", "not_found")),
                Operation(
                    POST,
                    SignUpHandler.sign_up,
                    access,
                    {"email": schemas.TEXT, "password": schemas.TEXT},
                    HTML,
                    ("forbidden", "not_found", "bad_field", "name_taken", "rate_limited", "overloaded", "read_only"),
                ),
            ),
        )
        for pattern, access in SIGN_UPS
    ),
    Route(
        "/dashboard",
        "dashboard",
        DashboardHandler,
        (
            Operation(LOOK, DashboardHandler.show, "session", {"uploaded": schemas.TEXT}, HTML),
            Operation(POST, DashboardHandler.upload, "session", forms.UPLOAD_FIELDS, HTML, (*OF_UPLOADS, "forbidden")),
        ),
    ),
    Route(
        "/dashboard/images",
        "gallery",
        GalleryHandler,
        (
            Operation(LOOK, GalleryHandler.list, "session", forms.LIST_FIELDS, HTML, ("bad_field",)),
            Operation(
                POST,
                GalleryHandler.change_many,
                "session",
                {"action": schemas.TEXT, "slug": schemas.TEXT, "folder": schemas.TEXT, "sure": schemas.TEXT},
                HTML,
                OF_FORMS,
            ),
        ),
    ),
    Route(
        f"/dashboard/images/{SLUG}",
        "gallery",
        PanelHandler,
        (
            Operation(LOOK, PanelHandler.show, "session", answer=HTML, faults=("not_found",)),
            Operation(
                POST,
                PanelHandler.change,
                "session",
                {**forms.CHANGE_FIELDS, "remove_password": schemas.TEXT},
                HTML,
                (*OF_FORMS, "plan_required", "overloaded", "storage_unavailable"),
            ),
        ),
    ),
    Route(
        f"/dashboard/images/{SLUG}/delete",
        "gallery",
        PanelHandler,
        (Operation(POST, PanelHandler.remove, "session", answer=HTML, faults=OF_FORMS),),
    ),
    Route(
        rf"/dashboard/images/{SLUG}/qr\.svg",
        "gallery",
        QrHandler,
        (Operation(LOOK, QrHandler.show, "session", answer="image/svg+xml", faults=("not_found",)),),
    ),
    Route(
        "/dashboard/folders",
        "gallery",
        NewFolderHandler,
        (
            Operation(
                POST,
                NewFolderHandler.create,
                "session",
                {"name": schemas.TEXT},
                HTML,
                (*OF_FORMS, "name_taken", "folder_limit"),
            ),
        ),
    ),
    Route(
        f"/dashboard/folders/{FOLDER}",
        "gallery",
        FolderFormHandler,
        (
            Operation(
                POST, FolderFormHandler.rename, "session", {"name": schemas.TEXT}, HTML, (*OF_FORMS, "name_taken")
            ),
        ),
    ),
    Route(
        f"/dashboard/folders/{FOLDER}/delete",
        "gallery",
        FolderFormHandler,
        (Operation(POST, FolderFormHandler.remove, "session", answer=HTML, faults=(*OF_FORMS, "in_progress")),),
    ),
    Route(
        "/dashboard/profile", "profile", ProfileHandler, (Operation(LOOK, ProfileHandler.show, "session", answer=HTML),)
    ),
    Route(
        "/dashboard/profile/key",
        "profile",
        KeyFormHandler,
        (
            Operation(
                POST,
                KeyFormHandler.replace,
                "session",
                {"password": schemas.TEXT},
                HTML,
                (*OF_PASSWORDS, "password_required"),
            ),
        ),
    ),
    Route(
        "/dashboard/profile/password",
        "profile",
        PasswordFormHandler,
        (
            Operation(
                POST,
                PasswordFormHandler.change,
                "session",
                {"current": schemas.TEXT, "new": schemas.TEXT},
                HTML,
                (*OF_PASSWORDS, "bad_field"),
            ),
        ),
    ),
    Route(
        f"/dashboard/profile/sessions/{ID}",
        "profile",
        SessionFormHandler,
        (
            Operation(
                POST, SessionFormHandler.end, "session", answer=HTML, faults=("not_found", "forbidden", "read_only")
            ),
        ),
    ),
    Route(
        "/dashboard/profile/sign-out-everywhere",
        "profile",
        EverywhereFormHandler,
        (Operation(POST, EverywhereFormHandler.end_all, "session", answer=HTML, faults=("forbidden", "read_only")),),
    ),
    Route(
        "/dashboard/connect",
        "connect",
        ConnectHandler,
        (
            Operation(LOOK, ConnectHandler.show, "session", answer=HTML),
            Operation(
                POST, ConnectHandler.show_with_key, "session", {"key": schemas.TEXT}, HTML, faults=("forbidden",)
            ),
        ),
    ),
    Route(
        r"/dashboard/connect/sharex\.sxcu",
        "connect",
        ShareXHandler,
        (
            Operation(LOOK, ShareXHandler.download, "session"),
            Operation(POST, ShareXHandler.download_with_key, "session", {"key": schemas.TEXT}, faults=("forbidden",)),
        ),
    ),
    Route(
        "/admin", "admin", StatusHandler, (Operation(LOOK, StatusHandler.show, "admin", answer=HTML, faults=OF_ADMIN),)
    ),
    Route(
        "/admin/accounts",
        "admin",
        AdminAccountsHandler,
        (
            Operation(
                LOOK, AdminAccountsHandler.list, "admin", {"q": schemas.TEXT, "after": schemas.TEXT}, HTML, OF_ADMIN
            ),
        ),
    ),
    Route(
        f"/admin/accounts/{ID}",
        "admin",
        AdminAccountHandler,
        (Operation(LOOK, AdminAccountHandler.show, "admin", answer=HTML, faults=("not_found", *OF_ADMIN)),),
    ),
    Route(
        f"/admin/accounts/{ID}/(plan|disable|enable|link|remove)",
        "admin",
        AdminAccountHandler,
        (
            Operation(
                POST,
                AdminAccountHandler.change,
                "admin",
                {"plan": schemas.TEXT, "email": schemas.TEXT},
                HTML,
                OF_FORMS,
            ),
        ),
    ),
    Route(
        "/admin/images",
        "admin",
        AdminImagesHandler,
        (Operation(LOOK, AdminImagesHandler.list, "admin", {"after": schemas.TEXT}, HTML, OF_ADMIN),),
    ),
    Route(
        f"/admin/images/{SLUG}/block",
        "admin",
        AdminImagesHandler,
        (Operation(POST, AdminImagesHandler.block, "admin", {"purge": schemas.TEXT}, HTML, OF_FORMS),),
    ),
    Route(
        "/admin/blocklist",
        "admin",
        BlocklistHandler,
        (
            Operation(LOOK, BlocklistHandler.list, "admin", answer=HTML, faults=OF_ADMIN),
            Operation(
                POST, BlocklistHandler.block, "admin", {"sha256": schemas.TEXT, "purge": schemas.TEXT}, HTML, OF_FORMS
            ),
        ),
    ),
    Route(
        f"/admin/blocklist/{ID}/remove",
        "admin",
        BlocklistHandler,
        (Operation(POST, BlocklistHandler.unblock, "admin", answer=HTML, faults=OF_FORMS),),
    ),
    Route(
        "/admin/invites",
        "admin",
        InvitesHandler,
        (
            Operation(LOOK, InvitesHandler.list, "admin", answer=HTML, faults=OF_ADMIN),
            Operation(POST, InvitesHandler.make, "admin", {"plan": schemas.TEXT, "note": schemas.TEXT}, HTML, OF_FORMS),
        ),
    ),
    Route(
        f"/admin/invites/{ID}/revoke",
        "admin",
        InvitesHandler,
        (Operation(POST, InvitesHandler.revoke, "admin", answer=HTML, faults=OF_FORMS),),
    ),
    Route(
        "/admin/audit",
        "admin",
        AuditHandler,
        (Operation(LOOK, AuditHandler.list, "admin", {"after": schemas.TEXT}, HTML, OF_ADMIN),),
    ),
]

OPERATORS_ROUTES = [
    Route("/metrics", "metrics", MetricsHandler, (Operation(GET, MetricsHandler.show, answer=METRICS),))
]

NOWHERE = Route("", "not_found", LostHandler, (Operation(LostHandler.SUPPORTED_METHODS, LostHandler.nothing),))


def application(services: Services, routes: list[Route] = ROUTES) -> Application:
    """The routes as a Tornado application over the use cases."""
    return Application(
        [(route.pattern, route.handler, {"route": route}) for route in routes],
        services=services,
        default_handler_class=LostHandler,
        default_handler_args={"route": NOWHERE},
        log_function=log_request,
        template_path=str(Path(__file__).with_name("web") / "templates"),
    )
