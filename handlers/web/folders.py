"""The forms that make, rename and delete folders."""

from __future__ import annotations

from urllib.parse import quote

from handlers.http import faults
from handlers.web.scripted import Scripted
from iuserver.errors import Fault

GALLERY = "/dashboard/images"
ASKED_AGAIN = ("bad_field", "name_taken", "folder_limit")


class FolderPage(Scripted):
    """A form about a folder."""

    def refuse_name(self, fault: Fault, slug: str = "") -> None:
        """Ask for another name. Raises Fault for anything else."""
        if fault.code not in ASKED_AGAIN:
            raise fault
        self.services.metrics.refusal(fault.code)
        self.set_status(faults.STATUS[fault.code][0])
        self.render("folder.html", slug=slug, name=self.form_field("name"), problem=f"{fault.message}.")


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
