"""Names of browsers by User-Agent, as in "Firefox on Linux", for the list of sessions. A guess, believed by nobody."""

from __future__ import annotations

LONGEST = 512
"""Characters of a User-Agent that are looked at."""
BROWSERS = {
    "Edg": "Edge",
    "OPR/": "Opera",
    "SamsungBrowser/": "Samsung Internet",
    "Vivaldi/": "Vivaldi",
    "Firefox/": "Firefox",
    "FxiOS/": "Firefox",
    "CriOS/": "Chrome",
    "Chrome/": "Chrome",
    "Safari/": "Safari",
    "curl/": "curl",
    "python-requests/": "a script",
}
"""By what a User-Agent has in it; of several the first, as browsers also name those that they resemble."""
SYSTEMS = {
    "iPhone": "iPhone",
    "iPad": "iPad",
    "Android": "Android",
    "Windows": "Windows",
    "CrOS": "ChromeOS",
    "Mac OS X": "macOS",
    "Linux": "Linux",
}


def browser_name(user_agent: str) -> str:
    """What a browser is called."""
    beginning = user_agent[:LONGEST]
    browser = _first(BROWSERS, beginning) or "A browser"
    system = _first(SYSTEMS, beginning)
    return f"{browser} on {system}" if system else browser


def _first(names: dict[str, str], text: str) -> str | None:
    return next((name for part, name in names.items() if part in text), None)
