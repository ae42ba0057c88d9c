"""The route table: every path with its name, handler and operations; OpenAPI and the docs are made of it."""

from __future__ import annotations

from pathlib import Path

from tornado.web import Application

from handlers.api import schemas
from handlers.api.folders import FolderHandler, FoldersHandler
from handlers.api.images import BulkHandler, ImageHandler, ImagesHandler
from handlers.api.openapi import DiscoveryHandler, OpenApiHandler, rendered
from handlers.api.quota import QuotaHandler
from handlers.api.sessions import KeyHandler, SessionHandler, SessionsHandler
from handlers.api.upload import UploadHandler
from handlers.http.base import log_request
from handlers.http.routing import JSON, Access, Answer, Operation, Route
from handlers.http.services import Services
from handlers.http.static import StaticHandler
from handlers.mcp.endpoint import McpHandler
from handlers.ops import GuardedMetricsHandler, HealthHandler, MetricsHandler, ReadyHandler
from handlers.reference.page import DocsHandler
from handlers.web import page
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
from handlers.web.not_found_page import NotFoundPage
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
OF_PASSWORDS: tuple[Code, ...] = ("wrong_password", "rate_limited", "overloaded", "forbidden", "read_only")
OF_FORMS: tuple[Code, ...] = ("bad_field", "not_found", "forbidden", "read_only")
OF_ADMIN: tuple[Code, ...] = ("forbidden", "storage_unavailable")
SIGN_UPS: tuple[tuple[str, Access], ...] = (("/signup", "anyone"), ("/signup/{token}", "sign-in link"))
OF_BYTES = (
    "Content-Disposition",
    "Content-Security-Policy",
    "Cross-Origin-Resource-Policy",
    "X-Robots-Tag",
    "Referrer-Policy",
)

TO_THE_PAGE = Answer(
    "A browser opens a gated picture: its page asks for what viewers must do.", None, ("Location", "Referrer-Policy")
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
                "strong `ETag`, single byte ranges, and `Cache-Control` no longer than the picture lives. Others are "
                "always sent whole, and a view of a `burn` or `views` picture counts. The owner's key opens any "
                "picture and counts as no viewer.",
                takes=("X-Image-Password", "Range", "If-Range", "If-None-Match"),
                gives=(*OF_BYTES, "ETag", "Accept-Ranges", "Set-Cookie"),
                others={
                    206: Answer(
                        "The part that was asked for.", PICTURE, (*OF_BYTES, "ETag", "Accept-Ranges", "Content-Range")
                    ),
                    303: TO_THE_PAGE,
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
        has_files=True,
    ),
    Route(
        "/t/{slug}.webp",
        "thumbnail",
        ThumbnailHandler,
        (
            Operation(
                LOOK,
                ThumbnailHandler.show,
                "optional key",
                answer="image/webp",
                faults=(*OF_VIEWS, "password_required", "wrong_password", "rate_limited", "forbidden", "overloaded"),
                id="get_thumbnail",
                summary="A picture's thumbnail",
                description="A WebP of at most 320 pixels on the longer side and 64 KiB: upright, in sRGB, of an "
                "animation the first frame, without any metadata. Whoever may see a picture may see its thumbnail; "
                "that of a `burn` or `views` picture is its owner's alone (`forbidden`). It has an `ETag` and the "
                "picture's `Cache-Control`, and counts no view. It is made at the first request: who waits longer than "
                "30 seconds is answered `overloaded`. A picture that cannot be decoded has a grey placeholder.",
                takes=("X-Image-Password", "If-None-Match"),
                gives=(*OF_BYTES, "ETag", "Set-Cookie"),
                others={
                    303: TO_THE_PAGE,
                    304: Answer("The client has these bytes already.", None, (*OF_BYTES, "ETag")),
                },
            ),
        ),
        has_files=True,
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
                description="`next` is null at the end, else it goes on as `after`. A list that is gone through so "
                "skips and repeats nothing when pictures are uploaded or deleted meanwhile, and its last page costs no "
                "more than its first. Each picture is described as in the answer to its upload, less `ok`, `embed` and "
                "`quota`. One whose last viewer has seen it stays in the list until it would have expired, at most 30 "
                "days, with size 0 and without its name; what was in it is gone, and `removed` is null. It is also "
                "null for pictures that an older version has stored.",
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
                description="1 to 1,000 slugs, in at most 128 KiB. To move needs `folder`. Pictures are done in slices "
                "of 250. It is not all or nothing: the answer says of each picture what became of it. Those that are "
                "not there, or another account's, are `not_found`; where a store fails half way, the rest are "
                "`storage_unavailable`.",
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
                description="At least one of the fields; the plan's rules are those of an upload. The expiry of a "
                "picture that counts views cannot change any more once somebody has looked; of one that its last "
                "viewer has seen only the folder can. What browsers and proxies keep of a public picture they keep for "
                "`delivery.max_age`.",
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
                bodies=(JSON, URLENCODED),
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
        "/api/sessions",
        "sessions",
        SessionsHandler,
        (
            Operation(
                GET,
                SessionsHandler.list,
                "session",
                answer=schemas.SESSIONS,
                id="list_sessions",
                summary="List sessions",
                description="The browsers that are signed in to the account, the last seen first. By cookie alone.",
            ),
        ),
    ),
    Route(
        "/api/sessions/{id}",
        "session",
        SessionHandler,
        (
            Operation(
                DELETE,
                SessionHandler.end,
                "session",
                answer=schemas.SESSION_ENDED,
                faults=("not_found", "forbidden", "read_only"),
                id="end_session",
                summary="Sign a browser out",
                description="By cookie alone.",
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
                {"password": {**schemas.TEXT, "description": "The account's password."}},
                schemas.NEW_KEY,
                (*OF_PASSWORDS, "password_required", "bad_body", "bad_field"),
                id="replace_key",
                summary="Replace the key",
                description="The old one is refused at once; the new one is in the answer, once. By cookie alone.",
                required=("password",),
                example={"password": "correct horse battery staple"},
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
                    description="One picture, as a form or as the bare bytes, whose name may stand at the end of the "
                    "address, from whoever has the ticket. The fields that the ticket was made with hold, whatever is "
                    "sent. A browser gets a page as the answer.",
                    bodies=(MULTIPART, BYTES),
                    gives=("X-Quota-Used", "X-Quota-Limit", "X-Quota-Remaining", "Idempotent-Replay"),
                    as_text="The direct URL alone.",
                ),
            ),
            headers=(*page.HEADERS, *page.OVER_TLS),
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
        "/", "landing", LandingHandler, (Operation(LOOK, LandingHandler.show, answer=HTML, summary="The front page"),)
    ),
    Route(
        "/login",
        "login",
        LoginHandler,
        (
            Operation(LOOK, LoginHandler.show, answer=HTML, summary="Asks for an address and a password"),
            Operation(
                POST,
                LoginHandler.sign_in,
                form={"email": schemas.TEXT, "password": schemas.TEXT, "next": schemas.TEXT},
                answer=HTML,
                faults=OF_PASSWORDS,
                summary="Signs in",
                bodies=(URLENCODED,),
            ),
        ),
    ),
    Route(
        "/login/{token}",
        "sign_in_link",
        LinkHandler,
        (
            Operation(
                LOOK,
                LinkHandler.show,
                "sign-in link",
                answer=HTML,
                faults=("not_found",),
                summary="Asks before a link is used up",
            ),
            Operation(
                POST,
                LinkHandler.sign_in,
                "sign-in link",
                answer=HTML,
                faults=("not_found", "forbidden", "read_only"),
                summary="Signs in by a link that works once",
            ),
        ),
    ),
    Route(
        "/logout",
        "logout",
        LogoutHandler,
        (Operation(POST, LogoutHandler.sign_out, answer=HTML, faults=("forbidden", "read_only"), summary="Signs out"),),
    ),
    *(
        Route(
            path,
            "signup",
            SignUpHandler,
            (
                Operation(
                    LOOK,
                    SignUpHandler.show,
                    access,
                    answer=HTML,
                    faults=("forbidden", "not_found"),
                    summary="Asks for an address and a password",
                ),
                Operation(
                    POST,
                    SignUpHandler.sign_up,
                    access,
                    {"email": schemas.TEXT, "password": schemas.TEXT},
                    HTML,
                    ("forbidden", "not_found", "bad_field", "name_taken", "rate_limited", "overloaded", "read_only"),
                    summary="Makes an account",
                    bodies=(URLENCODED,),
                ),
            ),
        )
        for path, access in SIGN_UPS
    ),
    Route(
        "/dashboard",
        "dashboard",
        DashboardHandler,
        (
            Operation(LOOK, DashboardHandler.show, "session", {"uploaded": schemas.TEXT}, HTML, summary="The uploader"),
            Operation(
                POST,
                DashboardHandler.upload,
                "session",
                {**schemas.FILE, **forms.UPLOAD_FIELDS},
                HTML,
                (*OF_UPLOADS, "forbidden"),
                summary="Takes one picture from a form, with the fields of an upload",
                bodies=(MULTIPART,),
            ),
        ),
    ),
    Route(
        "/dashboard/images",
        "gallery",
        GalleryHandler,
        (
            Operation(
                LOOK,
                GalleryHandler.list,
                "session",
                {name: forms.LIST_FIELDS[name] for name in ("folder", "q", "sort", "show", "after")},
                HTML,
                ("bad_field",),
                summary="The gallery",
            ),
            Operation(
                POST,
                GalleryHandler.change_many,
                "session",
                {"action": schemas.TEXT, "slug": schemas.TEXT, "folder": schemas.TEXT, "sure": schemas.TEXT},
                HTML,
                OF_FORMS,
                summary="Deletes or moves the pictures that a form names",
                bodies=(URLENCODED,),
            ),
        ),
    ),
    Route(
        "/dashboard/images/{slug}",
        "gallery",
        PanelHandler,
        (
            Operation(
                LOOK,
                PanelHandler.show,
                "session",
                answer=HTML,
                faults=("not_found",),
                summary="One of one's own pictures",
            ),
            Operation(
                POST,
                PanelHandler.change,
                "session",
                {**forms.CHANGE_FIELDS, "remove_password": schemas.TEXT},
                HTML,
                (*OF_FORMS, "plan_required", "overloaded", "storage_unavailable"),
                summary="Changes it",
                bodies=(URLENCODED,),
            ),
        ),
    ),
    Route(
        "/dashboard/images/{slug}/delete",
        "gallery",
        PanelHandler,
        (Operation(POST, PanelHandler.remove, "session", answer=HTML, faults=OF_FORMS, summary="Deletes it"),),
    ),
    Route(
        "/dashboard/images/{slug}/qr.svg",
        "gallery",
        QrHandler,
        (
            Operation(
                LOOK,
                QrHandler.show,
                "session",
                answer="image/svg+xml",
                faults=("not_found",),
                summary="The QR code of its link",
            ),
        ),
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
                summary="Makes a folder",
                bodies=(URLENCODED,),
            ),
        ),
    ),
    Route(
        "/dashboard/folders/{folder}",
        "gallery",
        FolderFormHandler,
        (
            Operation(
                POST,
                FolderFormHandler.rename,
                "session",
                {"name": schemas.TEXT},
                HTML,
                (*OF_FORMS, "name_taken"),
                summary="Gives it another name",
                bodies=(URLENCODED,),
            ),
        ),
    ),
    Route(
        "/dashboard/folders/{folder}/delete",
        "gallery",
        FolderFormHandler,
        (
            Operation(
                POST,
                FolderFormHandler.remove,
                "session",
                answer=HTML,
                faults=(*OF_FORMS, "in_progress"),
                summary="Deletes it; its pictures stay",
            ),
        ),
    ),
    Route(
        "/dashboard/profile",
        "profile",
        ProfileHandler,
        (Operation(LOOK, ProfileHandler.show, "session", answer=HTML, summary="Key, plan, sessions, password"),),
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
                summary="Replaces the key",
                bodies=(URLENCODED,),
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
                summary="Changes the password: the `current` one, where there is one, and the `new` one",
                bodies=(URLENCODED,),
            ),
        ),
    ),
    Route(
        "/dashboard/profile/sessions/{id}",
        "profile",
        SessionFormHandler,
        (
            Operation(
                POST,
                SessionFormHandler.end,
                "session",
                answer=HTML,
                faults=("not_found", "forbidden", "read_only"),
                summary="Signs another browser out",
            ),
        ),
    ),
    Route(
        "/dashboard/profile/sign-out-everywhere",
        "profile",
        EverywhereFormHandler,
        (
            Operation(
                POST,
                EverywhereFormHandler.end_all,
                "session",
                answer=HTML,
                faults=("forbidden", "read_only"),
                summary="Signs every browser out",
            ),
        ),
    ),
    Route(
        "/dashboard/connect",
        "connect",
        ConnectHandler,
        (
            Operation(LOOK, ConnectHandler.show, "session", answer=HTML, summary="Configurations of programs"),
            Operation(
                POST,
                ConnectHandler.show_with_key,
                "session",
                {"key": schemas.TEXT},
                HTML,
                faults=("forbidden",),
                summary="The same, with the key that is sent, if it is the account's",
                bodies=(URLENCODED,),
            ),
        ),
    ),
    Route(
        "/dashboard/connect/sharex.sxcu",
        "connect",
        ShareXHandler,
        (
            Operation(LOOK, ShareXHandler.download, "session", summary="A configuration of ShareX"),
            Operation(
                POST,
                ShareXHandler.download_with_key,
                "session",
                {"key": schemas.TEXT},
                faults=("forbidden",),
                summary="The same, with the key that is sent, if it is the account's",
                bodies=(URLENCODED,),
            ),
        ),
    ),
    Route(
        "/admin",
        "admin",
        StatusHandler,
        (
            Operation(
                LOOK,
                StatusHandler.show,
                "admin",
                {"of": schemas.TEXT},
                HTML,
                faults=OF_ADMIN,
                summary="An admin's view of the server",
            ),
        ),
    ),
    Route(
        "/admin/accounts",
        "admin",
        AdminAccountsHandler,
        (
            Operation(
                LOOK,
                AdminAccountsHandler.list,
                "admin",
                {"q": schemas.TEXT, "after": schemas.TEXT},
                HTML,
                OF_ADMIN,
                summary="Accounts, page by page",
            ),
        ),
    ),
    Route(
        "/admin/accounts/{id}",
        "admin",
        AdminAccountHandler,
        (
            Operation(
                LOOK,
                AdminAccountHandler.show,
                "admin",
                answer=HTML,
                faults=("not_found", *OF_ADMIN),
                summary="One account",
            ),
        ),
    ),
    Route(
        "/admin/accounts/{id}/{action}",
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
                summary="Puts it on another `plan`, disables, enables or (with its `email`) removes it, makes a link "
                "that signs in",
                bodies=(URLENCODED,),
            ),
        ),
    ),
    Route(
        "/admin/images",
        "admin",
        AdminImagesHandler,
        (
            Operation(
                LOOK,
                AdminImagesHandler.list,
                "admin",
                {"after": schemas.TEXT},
                HTML,
                OF_ADMIN,
                summary="Everybody's newest pictures",
            ),
        ),
    ),
    Route(
        "/admin/images/{slug}/block",
        "admin",
        AdminImagesHandler,
        (
            Operation(
                POST,
                AdminImagesHandler.block,
                "admin",
                {"purge": schemas.TEXT},
                HTML,
                OF_FORMS,
                summary="Blocks a picture; with `purge=1` deletes every copy",
                bodies=(URLENCODED,),
            ),
        ),
    ),
    Route(
        "/admin/blocklist",
        "admin",
        BlocklistHandler,
        (
            Operation(LOOK, BlocklistHandler.list, "admin", answer=HTML, faults=OF_ADMIN, summary="The blocklist"),
            Operation(
                POST,
                BlocklistHandler.block,
                "admin",
                {"sha256": schemas.TEXT, "purge": schemas.TEXT},
                HTML,
                OF_FORMS,
                summary="Blocks a `sha256`; with `purge=1` deletes every copy",
                bodies=(URLENCODED,),
            ),
        ),
    ),
    Route(
        "/admin/blocklist/{id}/remove",
        "admin",
        BlocklistHandler,
        (
            Operation(
                POST, BlocklistHandler.unblock, "admin", answer=HTML, faults=OF_FORMS, summary="Lets a picture in again"
            ),
        ),
    ),
    Route(
        "/admin/invites",
        "admin",
        InvitesHandler,
        (
            Operation(LOOK, InvitesHandler.list, "admin", answer=HTML, faults=OF_ADMIN, summary="Open invites"),
            Operation(
                POST,
                InvitesHandler.make,
                "admin",
                {"plan": schemas.TEXT, "note": schemas.TEXT},
                HTML,
                OF_FORMS,
                summary="Makes one",
                bodies=(URLENCODED,),
            ),
        ),
    ),
    Route(
        "/admin/invites/{id}/revoke",
        "admin",
        InvitesHandler,
        (Operation(POST, InvitesHandler.revoke, "admin", answer=HTML, faults=OF_FORMS, summary="Makes one void"),),
    ),
    Route(
        "/admin/audit",
        "admin",
        AuditHandler,
        (Operation(LOOK, AuditHandler.list, "admin", {"after": schemas.TEXT}, HTML, OF_ADMIN, summary="Who did what"),),
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
                description="200 while backends answer, the queue has room and workers run.",
                others={503: Answer("One of them fails; the body says which.", schemas.READINESS)},
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
                summary="The metrics for Prometheus",
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

NOWHERE = Route("", "not_found", NotFoundPage, (Operation(NotFoundPage.SUPPORTED_METHODS, NotFoundPage.nothing),))


def application(services: Services, routes: list[Route] = ROUTES) -> Application:
    """The routes as a Tornado application over the use cases."""
    return Application(
        [(route.pattern, route.handler, {"route": route}) for route in routes],
        services=services,
        routes=routes,
        openapi=rendered(routes),
        default_handler_class=NotFoundPage,
        default_handler_args={"route": NOWHERE},
        log_function=log_request,
        template_path=str(Path(__file__).with_name("web") / "templates"),
    )
