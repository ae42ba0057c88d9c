"""Base classes of HTML pages: security headers, template namespace, and errors as pages."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from handlers import callers
from handlers.http import static_files
from handlers.http.answers import Answers
from handlers.http.base import Handler
from handlers.http.receiving import Receiving
from handlers.web.icons import ICONS
from iuserver import __version__
from iuserver.errors import Fault

POLICY = (
    "default-src 'none'; img-src 'self'; style-src 'self'; script-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Robots-Tag": "noindex",
    "Referrer-Policy": "no-referrer",
}
OVER_TLS = {"Cross-Origin-Opener-Policy": "same-origin"}
"""Over plain http, browsers ignore it and complain."""
GONE = "There is no picture here"
GONE_TEXT = (
    "It may have expired, been deleted, been seen by everyone it was meant for, or the link may not be complete."
)


class HtmlAnswers(Answers):
    """Pages, refusals included."""

    def refuse(self, handler: Handler, fault: Fault) -> None:
        handler.describe_fault(fault)
        page = self.refusal(handler, fault)
        handler.set_header("Content-Type", "text/html; charset=utf-8")
        handler.set_header("Content-Length", len(page))
        if handler.request.method != "HEAD":
            handler.write(page)

    def refusal(self, handler: Handler, fault: Fault) -> bytes:
        """The page that says what was refused, and why."""
        title, text = (GONE, GONE_TEXT) if fault.code == "not_found" else ("This did not work", f"{fault.message}.")
        return handler.render_string("error.html", title=title, text=text)


HTML = HtmlAnswers(HEADERS, OVER_TLS)
FORMS = HtmlAnswers({**HEADERS, "Referrer-Policy": "same-origin"}, OVER_TLS)
"""With no-referrer, browsers send "Origin: null" with a form (Fetch standard, section 3.2.4)."""


class Page(Receiving):
    """A handler that answers in HTML, refusals included."""

    caching = "no-store"

    def choose_answers(self) -> Answers:
        return HTML

    def get_template_namespace(self) -> dict[str, Any]:
        return {**super().get_template_namespace(), **namespace(self)}


class FormPage(Page):
    """A page whose forms are taken from our own pages only, and from scripts.

    It identifies nobody by a cookie before the body is here; a handler that does is in signed_in.py.
    """

    def choose_answers(self) -> Answers:
        return FORMS

    async def admit(self) -> None:
        """Raises Fault("forbidden") for a form that a page of another site sends."""
        callers.check_own_page(self, by_cookie=False)


def allow_pictures(handler: Handler, origin: str) -> None:
    """Let a page show pictures of another origin of ours."""
    handler.set_header("Content-Security-Policy", POLICY.replace("img-src 'self'", f"img-src 'self' {origin}"))


def namespace(handler: Handler) -> dict[str, Any]:
    """What every template may use."""
    return {
        "static": lambda name: root(handler) + static_files.path_of(name),
        "at": handler.path_to,
        "site": _site(handler),
        "icons": ICONS,
        "version": __version__,
        "abuse_url": contact_url(handler.services.http.abuse_contact),
    }


def contact_url(contact: str) -> str:
    """Where a contact of the settings leads, an e-mail address or a link."""
    return f"mailto:{contact}" if "@" in contact and ":" not in contact else contact


def root(handler: Handler) -> str:
    """The way from a page to the server's root, which a proxy may have put anywhere."""
    return "../" * (handler.request.path.count("/") - 1)


def _site(handler: Handler) -> str:
    try:
        return urlsplit(handler.base_url()).netloc
    except Fault:  # a page of refusal has a frame as well
        return ""
