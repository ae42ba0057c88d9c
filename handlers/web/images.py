"""/dashboard/images: the gallery, an image's panel as a page, and the forms of both where there are no scripts."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from io import BytesIO
from typing import Any
from urllib.parse import urlencode

import segno

from handlers.formatting import size_text
from handlers.web.choices import folder_choices, lifetimes
from handlers.web.formats import formats_of
from handlers.web.frame import ROOT
from handlers.web.scripted import Scripted
from handlers.web.signed_in import what_was_wrong
from handlers.web.tiles import facts_of, thumbnail_path, thumbnail_size, tile_of
from iuserver import forms
from iuserver.errors import Fault
from iuserver.forms import cursor_behind
from iuserver.records import Image, ImagePage, ListQuery

PAGE = 60
"""Tiles of a page: whole rows, whether of two, three, four, five or six."""
VIEW = ("folder", "q", "sort", "show")
"""The parameters that make a view of the gallery."""
SORTS = (("newest", "Newest first"), ("oldest", "Oldest first"), ("name", "By name"), ("largest", "Largest first"))
SHOWS = (
    ("all", "Everything"),
    ("expiring", "Expiring soon"),
    ("password", "With a password"),
    ("gone", "Seen and gone"),
)
GALLERY = "/dashboard/images"


class GalleryHandler(Scripted):
    """The gallery."""

    async def list(self) -> None:
        """Show a page of the images."""
        asked = {name: self.get_query_argument(name, "") for name in (*VIEW, "after")}
        query = forms.listing({**asked, "limit": str(PAGE)})
        self.open_folder = ROOT if query.folder == "" else query.folder or ""
        page = await self.services.library.images(self.caller, query)
        self.render("images.html", **self._values(asked, query, page))

    def _values(self, asked: Mapping[str, str], query: ListQuery, page: ImagePage) -> dict[str, Any]:
        view = {name: asked[name] for name in VIEW if asked[name]}
        now, files = self.services.clock(), self.allow_pictures()
        names = dict(folder_choices(self._folders, ROOT))
        return {
            "tiles": [tile_of(image, files, now) for image in page.images],
            "files": files,
            "total": page.total,
            "bytes": size_text(self.caller.account.stored_bytes) if page.total == self._image_count else "",
            "query": query,
            "q": asked["q"],
            "sorts": SORTS,
            "shows": SHOWS,
            "folders": list(names.items()),
            "folder_name": names.get(self.open_folder, self.open_folder),
            "first": f"{GALLERY}?{urlencode(view)}" if asked["after"] else "",
            "next": self._next(view, query, page),
            "has_images": bool(self._image_count),
            "longest_name": forms.MAX_FOLDER_NAME,
            "longest_search": forms.MAX_SEARCH,
        }

    def _next(self, view: Mapping[str, str], query: ListQuery, page: ImagePage) -> str:
        """The address of the page that follows, or ""."""
        if not page.more:
            return ""
        return f"{GALLERY}?{urlencode({**view, 'after': cursor_behind(page.images[-1], query.sort)})}"

    async def change_many(self) -> None:
        """Do what the form says with the images that are ticked; before any is deleted, ask."""
        slugs, action = self.form_values("slug"), self.form_field("action")
        if slugs and action == "delete" and not self.form_field("sure"):
            self.render("images_delete.html", slugs=slugs)
            return
        if slugs:
            folder = self.form_field("folder") or None
            form = forms.bulk({"action": action, "slugs": slugs, "folder": folder})
            outcomes = await self.services.editing.bulk(self.caller, form)
            for fault in filter(None, outcomes.values()):
                if fault.code != "not_found":  # what is gone is as good as deleted
                    raise fault
        self.go_to(GALLERY)


class PanelHandler(Scripted):
    """One image: the panel, as a page. The gallery's script takes it from here."""

    async def show(self, slug: str) -> None:
        """Show the panel."""
        self._show(await self.services.library.get(slug, self.caller))

    async def change(self, slug: str) -> None:
        """Change what the form has."""
        sent = {name: values[-1] for name in forms.CHANGE_FIELDS if (values := self.form_values(name))}
        form: dict[str, object] = {name: value for name, value in sent.items() if value or name == "folder"}
        if self.form_field("remove_password"):
            form["password"] = None
        try:
            await self.services.editing.change(slug, self.caller, forms.changes(form))
        except Fault as fault:
            problem = what_was_wrong(self, fault)
            self._show(await self.services.library.get(slug, self.caller), problem)
            return
        self.go_to(f"{GALLERY}/{slug}")

    async def remove(self, slug: str) -> None:
        """Delete the image."""
        await self.services.library.delete(slug, self.caller)
        self.go_to(GALLERY)

    def _show(self, image: Image, problem: str = "") -> None:
        now, folders = self.services.clock(), folder_choices(self._folders)
        files, links = self.allow_pictures(), self.links()
        self.open_folder = image.folder or ""
        self.render(
            "image.html",
            image=image,
            problem=problem,
            facts=facts_of(image, dict(folders).get(image.folder or "", ""), now),
            thumbnail="" if image.gone else thumbnail_path(image, files),
            thumbnail_size=thumbnail_size(image),
            formats=[] if image.gone else formats_of(image, links, "Link"),
            page=links.page(image),
            folders=folders,
            lifetimes=lifetimes(self.caller.plan),
            most_views=forms.MAX_VIEWS,
            longest_name=forms.MAX_FILENAME,
            longest_password=forms.MAX_PASSWORD,
        )


class QrHandler(Scripted):
    """The QR code of an image's link, as SVG."""

    async def show(self, slug: str) -> None:
        """Draw it, off the loop: it takes some milliseconds."""
        image = await self.services.library.get(slug, self.caller)
        drawing = await asyncio.to_thread(qr_code, self.links().page(image))
        self.set_header("Content-Type", "image/svg+xml")
        self.finish(drawing)


def qr_code(text: str) -> bytes:
    """A QR code (ISO/IEC 18004), of which a seventh may be damaged."""
    drawing = BytesIO()
    segno.make_qr(text, error="m").save(drawing, "svg", scale=4, border=4, light="#fff", xmldecl=False)
    return drawing.getvalue()
