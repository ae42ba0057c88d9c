"""/dashboard: the uploader, and a form for one picture where there are no scripts."""

from __future__ import annotations

from typing import Any

from handlers.api.upload import Uploading
from handlers.formatting import limit_text
from handlers.web.choices import folder_choices, lifetimes, usual_lifetime
from handlers.web.formats import formats_of
from handlers.web.scripted import Scripted
from iuserver.errors import Fault
from iuserver.forms import MAX_PASSWORD, MAX_VIEWS


class DashboardHandler(Uploading, Scripted):
    """The uploader. Its script uploads by the API; without it, the form is sent here."""

    async def admit(self) -> None:
        await super().admit()
        if self.request.method == "POST":
            self.receive(await self.services.uploads.begin(self.caller, self.declared_size(), "web"))

    async def show(self) -> None:
        """Show the uploader, with the links to what the form has just uploaded."""
        slug, image = self.get_query_argument("uploaded", ""), None
        if slug:
            try:
                image = await self.services.library.get(slug, self.caller)
            except Fault as fault:
                if fault.code != "not_found":
                    raise
        plan = self.caller.plan
        self.render(
            "dashboard.html",
            image=image,
            formats=formats_of(image, self.links(), "Link") if image else [],
            lifetimes=lifetimes(plan),
            usual=usual_lifetime(plan),
            folders=folder_choices(self._folders),
            most_views=MAX_VIEWS,
            longest_password=MAX_PASSWORD,
            most_bytes=plan.max_file_bytes,
            most=limit_text(plan.max_file_bytes),
            bytes_left=self._bytes_left(),
        )

    def send_stored(self, answer: dict[str, Any]) -> None:
        self.go_to(f"/dashboard?uploaded={answer['slug']}")

    def _bytes_left(self) -> int | str:
        """What is left of the storage; "" where there is no limit."""
        most = self.caller.plan.storage_bytes
        return max(0, most - self.caller.account.stored_bytes) if most else ""
