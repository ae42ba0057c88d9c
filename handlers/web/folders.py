"""The forms that make, rename and delete folders."""

from __future__ import annotations

from urllib.parse import quote

from handlers.web.images import GALLERY
from handlers.web.signed_in import SignedIn, what_was_wrong
from iuserver.errors import Fault


class FolderPage(SignedIn):
    """A form about a folder."""

    def ask_again(self, fault: Fault, slug: str = "") -> None:
        """Ask for another name. Raises the fault where that would not help."""
        self.render("folder.html", slug=slug, name=self.form_field("name"), problem=what_was_wrong(self, fault))

    def open(self, slug: str) -> None:
        """Go on to a folder."""
        self.go_to(f"{GALLERY}?folder={quote(slug)}")


class NewFolderHandler(FolderPage):
    """POST /dashboard/folders."""

    async def create(self) -> None:
        """Make a folder, and open it."""
        try:
            folder = await self.services.library.create_folder(self.caller, self.form_field("name"))
        except Fault as fault:
            self.ask_again(fault)
            return
        self.open(folder.slug)


class FolderFormHandler(FolderPage):
    """POST /dashboard/folders/SLUG and below it."""

    async def rename(self, slug: str) -> None:
        """Give the folder another name."""
        try:
            await self.services.library.rename_folder(self.caller, slug, self.form_field("name"))
        except Fault as fault:
            self.ask_again(fault, slug)
            return
        self.open(slug)

    async def remove(self, slug: str) -> None:
        """Delete the folder; its images stay, in none."""
        await self.services.library.remove_folder(self.caller, slug)
        self.go_to(GALLERY)
