"""Detects robots by User-Agent: link previews, mail scanners, crawlers. They never use up a view.

Known are the names of the crawler-user-agents list, a few that it lacks, and the usual forms of robots' names. Scanners
that pose as browsers cannot be detected; for those, the share page shows nothing until somebody clicks.
"""

from __future__ import annotations

import re

from crawleruseragents import CRAWLER_USER_AGENTS_DATA

LONGEST = 512
"""Characters of a User-Agent that are looked at: a few times what browsers in apps send."""
SCRIPTS = {"http-library", "browser-automation"}
"""Tags of the list for what people program themselves, which may look."""
PEOPLE = {"AP3A\\.240617\\.008", "MetaIAB Facebook", "Sogou"}
"""Entries of the list that stand in browsers, too: a build of Android, Facebook's browser, a Chinese one."""

_META = "https://developers.facebook.com/docs/sharing/webmasters/crawler/"
_OFFICE = "https://learn.microsoft.com/en-us/office/troubleshoot/office-suite-issues/click-hyperlink-to-sso-website"
_SCANNERS = "https://check.live-direct-marketing.online/blog/bot-clicks-security-scanners-detect"

MISSING: dict[str, str] = {
    "facebookcatalog": _META,
    "ms-office": _OFFICE,  # Office and Outlook fetch what a link leads to before the browser does
    "Microsoft Office": _OFFICE,
    "Microsoft Outlook": _OFFICE,
    "Outlook-iOS": _OFFICE,
    "Outlook-Android": _OFFICE,
    "Nextcloud-Server": "https://github.com/nextcloud/server/blob/master/lib/private/Http/Client/Client.php",
    "Nextcloud Server": "https://github.com/nextcloud/server/blob/master/lib/private/Http/Client/Client.php",
    "Barracuda": _SCANNERS,
    "Proofpoint": _SCANNERS,
    "Mimecast": _SCANNERS,
    "CiscoSecureEmail": _SCANNERS,
}
"""Names that the list lacks, and where they stand."""

CUSTOMARY = (
    r"(?<![Cc]u)(?:[Bb]ot(?![a-z])|Bot)|[Ss]pider|[Cc]rawl|[Pp]review|\+mailto:|\+https?:"  # Cubot makes phones
    r"|Rocket\.Chat/[\d.]+$"  # its server puts itself behind a browser's User-Agent, its app in the middle of one
)
"""How robots write their names, or where to read about them. No browser does."""

_PLAIN = re.compile(r"(?:[^\\\[\](){}.*+?^$|]|\\\W)+")


def _listed() -> list[str]:
    """The patterns of the list that are for robots and not for scripts, but for those that are customary names."""
    entries = [entry for entry in CRAWLER_USER_AGENTS_DATA if not SCRIPTS & set(entry.get("tags", ()))]
    patterns = [entry["pattern"] for entry in entries if entry["pattern"] not in PEOPLE]
    return [pattern for pattern in patterns if not re.search(CUSTOMARY, _text(pattern))]


def _text(pattern: str) -> str:
    """What a plain pattern matches."""
    return re.sub(r"\\(\W)", r"\1", pattern)


def _any_of(words: list[str]) -> str:
    """A pattern for any of some words. Beginnings that words share are looked for once: forty times as fast."""
    if "" in words:
        return ""
    by_first: dict[str, list[str]] = {}
    for word in words:
        by_first.setdefault(word[0], []).append(word[1:])
    return "(?:" + "|".join(re.escape(first) + _any_of(rest) for first, rest in by_first.items()) + ")"


def _named() -> str:
    """A pattern for every name, listed or missing."""
    listed = _listed()
    plain = [_text(pattern) for pattern in listed if _PLAIN.fullmatch(pattern)]
    others = [pattern for pattern in listed if not _PLAIN.fullmatch(pattern)]
    return "|".join([_any_of([*plain, *MISSING]), *others])


_CUSTOMARY = re.compile(CUSTOMARY)
_ROBOT = re.compile(f"{CUSTOMARY}|{_named()}")
_IN_APP = re.compile(r"; wv\)|like Gecko\) Mobile/|\bElectron/")
"""Browsers in apps, on Android, iOS and desktops: they carry the app's name, which is often its previewer's as well."""


def is_robot(user_agent: str) -> bool:
    """Whether this is the User-Agent of a robot. Who sends none is taken for a script, which may look."""
    beginning = user_agent[:LONGEST]
    return (_CUSTOMARY if _IN_APP.search(beginning) else _ROBOT).search(beginning) is not None
