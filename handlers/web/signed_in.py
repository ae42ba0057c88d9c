"""Base classes of the pages for the signed-in and for admins: who asks, the frame around them, refusals in it."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from handlers import callers
from handlers.http import faults
from handlers.http.answers import Answers
from handlers.http.base import Handler
from handlers.http.receiving import Receiving
from handlers.web import page
from handlers.web.frame import frame_of
from iuserver.errors import Code, Fault
from iuserver.policy import check_rate
from iuserver.records import Caller, Folder

ASKED_AGAIN: tuple[Code, ...] = (
    "wrong_password",
    "password_required",
    "bad_field",
    "name_taken",
    "folder_limit",
    "plan_required",
    "rate_limited",
    "overloaded",
    "read_only",
)
"""Refusals of a form that can be filled in once more."""
LONGEST = 500
"""Characters of an address to come back to."""


class FrontAnswers(page.HtmlAnswers):
    """Pages in the frame of the front door."""

    def refusal(self, handler: Handler, fault: Fault) -> bytes:
        return handler.render_string("refused.html", **words_of(fault))


class FramedAnswers(page.HtmlAnswers):
    """Pages in the frame of the signed-in; a stranger is sent to sign in."""

    def refuse(self, handler: Handler, fault: Fault) -> None:
        if fault.code == "missing_key":
            send_to_sign_in(handler)
        else:
            super().refuse(handler, fault)

    def refusal(self, handler: Handler, fault: Fault) -> bytes:
        name = "refused_inside.html" if isinstance(handler, SignedIn) and handler.is_known else "refused.html"
        return handler.render_string(name, **words_of(fault))


HEADERS = {**page.HEADERS, "Referrer-Policy": "same-origin"}
FRONT = FrontAnswers(HEADERS, page.OVER_TLS)
FRAMED = FramedAnswers(HEADERS, page.OVER_TLS)


def words_of(fault: Fault) -> dict[str, str]:
    """What a page of refusal says: its title and its text."""
    titles = {"not_found": "There is nothing here", "internal": "Something went wrong", "forbidden": "Not allowed"}
    title = titles.get(fault.code, "This did not work")
    text = "The address may not be complete" if fault.message == title else fault.message
    return {"title": title, "text": f"{text}."}


def what_was_wrong(handler: Handler, fault: Fault) -> str:
    """A sentence for a form that is shown again, with the status and headers of the answer.

    Raises the fault where to fill the form in once more would not help.
    """
    if fault.code not in ASKED_AGAIN:
        raise fault
    handler.services.metrics.refusal(fault.code)
    handler.set_status(faults.STATUS[fault.code][0])
    if fault.retry_after is not None:
        handler.set_header("Retry-After", fault.retry_after)
    return f"{fault.message}."


def send_to_sign_in(handler: Handler) -> None:
    """Answer with the way to the sign-in form, and from there back to what was asked for."""
    asked = handler.request.uri or "" if handler.request.method in callers.SAFE else ""
    back = f"?next={quote(asked, safe='/')}" if asked and len(asked) <= LONGEST else ""
    handler.set_status(303)
    handler.set_header("Location", handler.path_to(f"/login{back}"))
    handler.set_header("Content-Length", 0)


class Front(page.FormPage):
    """A page in the frame of the front door."""

    def choose_answers(self) -> Answers:
        return FRONT


class SignedIn(Receiving):
    """A page for whoever is signed in, by cookie; a key opens none."""

    private = True
    _folders: list[tuple[Folder, int]]
    _image_count: int
    open_folder = ""
    """The slug of the folder that the page shows."""

    def initialize(self, *args: Any, **kwargs: Any) -> None:
        super().initialize(*args, **kwargs)
        self._folders, self._image_count = [], 0

    def choose_answers(self) -> Answers:
        return FRAMED

    async def admit(self) -> None:
        """Raises Fault: missing_key where nobody is signed in, forbidden, rate_limited."""
        caller = await callers.signed_in(self)
        if caller is None:
            callers.count_anonymous(self, "web")
            raise Fault("missing_key", "Nobody is signed in")
        check_rate(callers.count_call(self, caller, "web"))
        await self.frame(caller)

    async def frame(self, caller: Caller) -> None:
        """Show this and every refusal in the frame of a caller."""
        self._folders = await self.services.library.folders(caller)
        self._image_count = await self.services.library.count(caller)
        self.caller = caller

    def get_template_namespace(self) -> dict[str, Any]:
        """What every template may use, with the frame."""
        found = {**super().get_template_namespace(), **page.namespace(self)}
        if self.is_known:
            found["frame"] = frame_of(
                self.caller,
                self._folders,
                self._image_count,
                self.request.path,
                self.open_folder,
                self.services.clock(),
            )
        return found
