"""The whole public surface on one screen."""

from __future__ import annotations

from pathlib import Path

from tornado.web import Application

from handlers.api.images import FoldersHandler, ImageRecordHandler, ImagesHandler
from handlers.api.upload import UploadHandler
from handlers.http.base import Handler, Services, log_request
from handlers.http.not_found import NotFound
from handlers.http.static import StaticHandler
from handlers.mcp.endpoint import McpHandler
from handlers.ops import GuardedMetricsHandler, HealthHandler, MetricsHandler, QuotaHandler, ReadyHandler
from handlers.web.file import ImageHandler
from handlers.web.share import DeleteLinkHandler, ShareHandler
from handlers.web.ticket import TicketHandler

ROUTES: list[tuple[str, type[Handler]]] = [
    (r"/api/upload", UploadHandler),  # Tornado asks one after the other: what is wanted most comes first
    (r"/f/([A-Za-z0-9_-]{1,64})\.([a-z0-9]{1,5})", ImageHandler),
    (r"/api/quota", QuotaHandler),
    (r"/api/images", ImagesHandler),
    (r"/api/images/([A-Za-z0-9_-]{1,64})", ImageRecordHandler),
    (r"/api/folders", FoldersHandler),
    (r"/d/([A-Za-z0-9_-]{1,64})/([0-9a-f]{32})", DeleteLinkHandler),
    (r"/i/([A-Za-z0-9_-]{1,64})", ShareHandler),
    (r"/static/([a-z]+\.[a-z]+)", StaticHandler),
    (r"/robots\.txt", StaticHandler),
    (r"/favicon\.ico", StaticHandler),
    (r"/u/([A-Za-z0-9_-]{1,4096})", TicketHandler),
    (r"/u/([A-Za-z0-9_-]{1,4096})/([^/]{0,255})", TicketHandler),
    (r"/mcp/?", McpHandler),
    (r"/healthz", HealthHandler),
    (r"/readyz", ReadyHandler),
    (r"/metrics", GuardedMetricsHandler),
]


OPERATORS_ROUTES: list[tuple[str, type[Handler]]] = [(r"/metrics", MetricsHandler)]


def application(services: Services, routes: list[tuple[str, type[Handler]]] = ROUTES) -> Application:
    """The routes as a Tornado application over the use cases."""
    arguments = {"services": services}
    return Application(
        [(path, handler, arguments) for path, handler in routes],
        default_handler_class=NotFound,
        default_handler_args=arguments,
        log_function=log_request,
        template_path=str(Path(__file__).with_name("web") / "templates"),
    )
