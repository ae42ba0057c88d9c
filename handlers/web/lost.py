"""404 for every path that has no route: a page for browsers that look for one, else JSON."""

from __future__ import annotations

from typing import Any

from handlers.http.answers import JSON, Answers
from handlers.http.not_found import NotFound
from handlers.web import page
from handlers.web.signed_in import FRONT


class LostHandler(NotFound):
    """The handler of all that no other one takes."""

    def choose_answers(self) -> Answers:
        is_page = self.allowed_origin() is None and "text/html" in self.request.headers.get("Accept", "")
        return FRONT if is_page else JSON

    def get_template_namespace(self) -> dict[str, Any]:
        """What every template may use."""
        return {**super().get_template_namespace(), **page.namespace(self)}
