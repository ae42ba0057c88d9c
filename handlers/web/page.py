"""Pages for people: the headers and the frame they share, and refusals as pages."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from handlers.http import static_files
from handlers.http.cross_site import is_cross_site
from handlers.http.receiving import Receiving
from iuserver.errors import Fault

POLICY = (
    "default-src 'none'; img-src 'self'; style-src 'self'; script-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "X-Robots-Tag": "noindex",
    "Referrer-Policy": "no-referrer",
}
GONE = "There is no picture here"
GONE_TEXT = (
    "It may have expired, been deleted, been seen by everyone it was meant for, or the link may not be complete."
)


class Page(Receiving):
    """A handler that answers in HTML, errors included."""

    caching = "no-store"

    def set_default_headers(self) -> None:
        super().set_default_headers()
        for name, value in HEADERS.items():
            self.set_header(name, value)

    def get_template_namespace(self) -> dict[str, Any]:
        contact = self.services.abuse_contact
        return {
            **super().get_template_namespace(),
            "static": lambda name: self.root() + static_files.path_of(name),
            "site": self._site(),
            "abuse_url": f"mailto:{contact}" if "@" in contact and ":" not in contact else contact,
        }

    def root(self) -> str:
        """The way from this page to the server's root, which a proxy may have put anywhere."""
        return "../" * (self.request.path.count("/") - 1)

    def _site(self) -> str:
        try:
            return urlsplit(self.base_url()).netloc
        except Fault:  # a page of refusal has a frame as well
            return ""

    def send_fault(self, fault: Fault) -> None:
        self.describe_fault(fault)
        title, text = (GONE, GONE_TEXT) if fault.code == "not_found" else ("This did not work", f"{fault.message}.")
        page = self.render_string("error.html", title=title, text=text)
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.set_header("Content-Length", len(page))
        if self.request.method != "HEAD":
            self.write(page)


class FormPage(Page):
    """A page whose forms are taken from our own pages only, and from scripts.

    Nobody is identified by a cookie here: a cookie of ours shows that its holder knows the password of one image.
    """

    def set_default_headers(self) -> None:
        super().set_default_headers()
        self.set_header("Referrer-Policy", "same-origin")  # with no-referrer, browsers send "Origin: null" with a form

    async def admit(self) -> None:
        """Raises Fault("forbidden") for a form that a page of another site sends."""
        own_url = self.base_url(private=True)  # compared, and shown to nobody
        if self.request.method == "POST" and is_cross_site(self.request.headers, own_url, by_cookie=False):
            raise Fault("forbidden", "This can be done on our own pages only, not from another site")
