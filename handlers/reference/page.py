"""GET /docs: the reference of this server's API as a page, with its address, plans and limits in it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token

from handlers.api.openapi import CACHING
from handlers.http.faults import STATUS
from handlers.reference import text
from handlers.web.page import Page

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"})
Tokens = Sequence[Token]


@dataclass(frozen=True, slots=True)
class Reference:
    """The reference in HTML, with text.ADDRESS for the server's, and its headings: level, anchor, text."""

    rules: text.Rules
    body: str
    headings: list[tuple[int, str, str]]


class DocsHandler(Page):
    """The reference. It is put together again when the plans or limits are others."""

    async def show(self) -> None:
        """Show it."""
        accounts = self.services.accounts
        rules = text.Rules(accounts.plans, accounts.per_minute, self.services.picture_limits)
        known: Reference | None = self.settings.get("reference")
        if known is None or known.rules != rules:
            known = await asyncio.to_thread(_reference, self.settings["routes"], rules)
            self.settings["reference"] = known
        body = known.body.replace(text.ADDRESS, escape(self.base_url()))
        self.set_header("Cache-Control", CACHING)
        self.render("docs.html", body=body, headings=[heading for heading in known.headings if heading[0] in (2, 3)])


def _reference(routes: Any, rules: text.Rules) -> Reference:
    return Reference(rules, *to_html(text.api(routes, rules, page=True)))


def to_html(markdown: str) -> tuple[str, list[tuple[int, str, str]]]:
    """Markdown of ours as HTML, and its headings."""
    parser = MarkdownIt("commonmark", renderer_cls=Renderer).enable("table")
    tokens = parser.parse(markdown)
    headings = [
        (int(opening.tag[1:]), text.anchor_of(inline.content), inline.content)
        for opening, inline in pairwise(tokens)
        if opening.type == "heading_open"
    ]
    return parser.renderer.render(tokens, parser.options, {}), headings


class Renderer(RendererHTML):
    """HTML with an anchor on every heading and code, tables that scroll on a phone, and code that can be copied."""

    def heading_open(self, tokens: Tokens, idx: int, options: Any, env: Any) -> str:
        anchor = text.anchor_of(tokens[idx + 1].content)
        return f'<{tokens[idx].tag} id="{anchor}"><a class="anchor" href="#{anchor}">'

    def heading_close(self, tokens: Tokens, idx: int, options: Any, env: Any) -> str:
        return f"</a></{tokens[idx].tag}>\n"

    def table_open(self, tokens: Tokens, idx: int, options: Any, env: Any) -> str:
        return '<div class="card" role="group" aria-label="Table" tabindex="0"><table>\n'

    def table_close(self, tokens: Tokens, idx: int, options: Any, env: Any) -> str:
        return "</table></div>\n"

    def td_open(self, tokens: Tokens, idx: int, options: Any, env: Any) -> str:
        code = tokens[idx + 1].content.strip("`") if tokens[idx - 1].type == "tr_open" else ""
        return f'<td id="{code}">' if code in STATUS else "<td>"

    def code_inline(self, tokens: Tokens, idx: int, options: Any, env: Any) -> str:
        content = escape(tokens[idx].content, quote=False)
        return f'<span class="verb">{content}</span>' if content in METHODS else f"<code>{content}</code>"

    def fence(self, tokens: Tokens, idx: int, options: Any, env: Any) -> str:
        return f'<div class="code"><pre tabindex="0">{escape(tokens[idx].content, quote=False)}</pre></div>\n'
