"""The forms that make, rename and delete folders."""

from __future__ import annotations

from urllib.parse import quote

from handlers.web.scripted import Scripted
from handlers.web.signed_in import what_was_wrong
from iuserver.errors import Code, Fault

GALLERY = "/dashboard/images"
ASKED_AGAIN: tuple[Code, ...] = ("bad_field", "name_taken", "folder_limit")


class FolderPage(Scripted):
    """A form about a folder."""

    def refuse_name(self, fault: Fault, slug: str = "") -> None:
        """Ask for another name. Raises Fault for anything else."""
        problem = what_was_wrong(self, fault, ASKED_AGAIN)
        self.render("folder.html", slug=slug, name=self.form_field("name"), problem=problem)


class NewFolderHandler(FolderPage):
    """POST /dashboard/folders."""

    async def create(self) -> None:
        """Make a folder, and open it."""
        try:
            folder = await self.services.library.create_folder(self.caller, self.form_field("name"))
        except Fault as fault:
            self.refuse_name(fault)
            return
        self.go_to(f"{GALLERY}?folder={quote(folder.slug)}")


class FolderFormHandler(FolderPage):
    """POST /dashboard/folders/SLUG: another name."""

    async def rename(self, slug: str) -> None:
        """Rename the folder."""
        try:
            await self.services.library.rename_folder(self.caller, slug, self.form_field("name"))
        except Fault as fault:
            self.refuse_name(fault, slug)
            return
        self.go_to(f"{GALLERY}?folder={quote(slug)}")

    async def remove(self, slug: str) -> None:
        """Delete the folder; its images stay, in none."""
        await self.services.library.remove_folder(self.caller, slug)
        self.go_to(GALLERY)
