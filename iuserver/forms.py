"""Forms: validates untrusted fields and returns typed values. REST, MCP and web share them.

Each field's JSON Schema is here too, built from the same bounds as its check.
"""

from __future__ import annotations

import re
import secrets
import unicodedata
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from string import ascii_lowercase, digits
from typing import Any, cast, get_args

import orjson

from iuserver.errors import Fault, not_your_folder
from iuserver.records import Expiration, Image, ListQuery, Position, Show, Sort

EXPIRATIONS = tuple(name for name in get_args(Expiration) if name != "custom")
MAX_VIEWS = 999
MAX_PASSWORD = 256
MIN_ACCOUNT_PASSWORD = 10
MAX_EMAIL = 254
MAX_FILENAME = 200
MAX_FOLDER_NAME = 40
MAX_SEARCH = 200
MAX_SEARCH_NAME = 400
MAX_CURSOR = 4096
MAX_BULK = 1000
SORTS = get_args(Sort)
SHOWS = get_args(Show)
ACTIONS = ("delete", "move")
LOOKED_AT = 1024
"""Characters at the end of a file name that are looked at: its ending counts, and to normalize a long text takes time
that grows with the square of its length."""
MOST_COMPOSED = 4
"""So many characters at most are one when they are normalized (Unicode Standard, section 3.11: NFC after NFD)."""
LONGEST_TIME = len("2026-12-31T23:59:59.123456+00:00")
DEFAULT_PAGE = 50
MAX_PAGE = 100
MAX_OFFSET = 10**9
LAST_SECOND = 253_402_300_799
"""9999-12-31T23:59:59Z: RFC 3339 has years of four digits, and no page could show a later time."""
ROOT_FOLDERS = frozenset({"default", "unsorted"})
RESERVED_FOLDERS = ROOT_FOLDERS | {"root", "all"}
RESERVED_SLUGS = frozenset(
    {"api", "bulk", "mcp", "dashboard", "login", "logout", "static", "upload", "healthz", "readyz", "metrics"}
)
BASE36 = digits + ascii_lowercase
EXTENSIONS = {
    "jpg": {"jpg", "jpeg", "jpe", "jfif"},
    "png": {"png", "apng"},
    "gif": {"gif"},
    "webp": {"webp"},
    "avif": {"avif"},
}
"""The file name endings that tell the truth about a type; the type's own comes first."""
MIMES = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "webp": "image/webp",
    "gif": "image/gif",
    "avif": "image/avif",
}

_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s]{1,190}")
_SLUG = re.compile(r"[A-Za-z0-9_-]{3,64}")
_FOLDER_SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_LINK = re.compile(r"[A-Za-z0-9_-]{1,64}")
_CURSOR = re.compile(r"[A-Za-z0-9_-]+")
_KEY = re.compile(r"[!-~]{1,255}")
_WORDS = re.compile(r"[a-z0-9]+")
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,6})?([Zz]|[+-]\d\d:\d\d)")
_SEPARATORS = re.compile(r"[/\\]")
_JOINERS = "\u200c\u200d"
"""Zero-width non-joiner and joiner: inside Persian and Indic words, between the members of an emoji family."""
_SELECTORS = "".join(map(chr, range(0xFE00, 0xFE10)))
"""Variation selectors: which picture, or which form of a letter, the character before is shown as."""
_UNSEEN_RUNS = re.compile(rf"([{_JOINERS}{_SELECTORS}]{{2}})[{_JOINERS}{_SELECTORS}]++")
"""An emoji is followed by a selector and a joiner at most; more than that hides something."""
_SPACES = "".join(c for c in map(chr, range(0x3001)) if c.isspace())
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0\U0001d159")
"""Letters, marks and symbols that show as nothing, or as an empty place."""

Schema = dict[str, Any]

FOLDER_SLUG: Schema = {"type": "string", "maxLength": 2 * MAX_FOLDER_NAME, "pattern": f"^{_FOLDER_SLUG.pattern}$"}
UPLOAD_FIELDS: dict[str, Schema] = {
    "expiration": {
        "type": "string",
        "enum": list(EXPIRATIONS),
        "description": "How long the image lives: 1d (the default), 1w and 1mo are a day, a week, 30 days; burn "
        "deletes it after the first view, views after view_limit different viewers; forever needs a paid plan.",
    },
    "view_limit": {
        "type": "integer",
        "minimum": 1,
        "maximum": MAX_VIEWS,
        "description": "How many different viewers may see it; required with expiration=views, ignored otherwise.",
    },
    "password": {
        "type": "string",
        "maxLength": MAX_PASSWORD,
        "description": "What viewers must know. Tell it to the user; it cannot be read back.",
    },
    "folder": {
        **FOLDER_SLUG,
        "description": "The slug of one of the account's folders; leave it out for the root, which default and "
        "unsorted mean, too.",
    },
    "expires_at": {
        "type": "string",
        "pattern": rf"^([0-9]{{1,12}}|{_RFC3339.pattern})$",
        "description": "A time of one's own in place of expiration: RFC 3339, as in 2026-12-31T23:59:59Z, or unix "
        "seconds. Pro and Business plans.",
    },
    "custom_slug": {
        "type": "string",
        "pattern": f"^{_SLUG.pattern}$",
        "description": "A short link of one's own: 3 to 64 letters, digits, - and _. Pro and Business plans.",
    },
}
LIST_FIELDS: dict[str, Schema] = {
    "folder": {
        **FOLDER_SLUG,
        "description": 'The slug of a folder, or "unsorted" for the root; leave it out for all images.',
    },
    "limit": {
        "type": "integer",
        "minimum": 1,
        "maximum": MAX_PAGE,
        "default": DEFAULT_PAGE,
        "description": "How many images a page has at most.",
    },
    "offset": {
        "type": "integer",
        "minimum": 0,
        "maximum": MAX_OFFSET,
        "default": 0,
        "description": "How many images to skip, in place of after: that is quicker, and skips none where others are "
        "deleted.",
    },
    "q": {
        "type": "string",
        "maxLength": MAX_SEARCH,
        "description": "A part of the file name; upper and lower case are the same, in any script.",
    },
    "sort": {
        "type": "string",
        "enum": list(SORTS),
        "default": "newest",
        "description": "What comes first in the list.",
    },
    "show": {
        "type": "string",
        "enum": list(SHOWS),
        "default": "all",
        "description": "expiring: within seven days; password: those with one; gone: seen by all they were meant for.",
    },
    "after": {
        "type": "string",
        "maxLength": MAX_CURSOR,
        "description": "The next of an answer with the same sort: goes on behind it.",
    },
}
CHANGE_FIELDS: dict[str, Schema] = {
    "filename": {"type": "string", "minLength": 1, "description": "Another name; the ending of the true type stays."},
    "folder": {"type": ["string", "null"], "description": "The slug of one of the account's folders; null: the root."},
    "expiration": {
        "type": "string",
        "enum": list(EXPIRATIONS),
        "description": "How long the image lives from now on, as at an upload: with view_limit where it is views.",
    },
    "view_limit": UPLOAD_FIELDS["view_limit"],
    "expires_at": {**UPLOAD_FIELDS["expires_at"], "type": ["string", "integer"]},
    "password": {
        "type": ["string", "null"],
        "minLength": 1,
        "maxLength": MAX_PASSWORD,
        "description": "What viewers must know from now on; null: nothing. Who has unlocked the image must do so "
        "again.",
    },
}
OF_EXPIRY = ("expiration", "view_limit", "expires_at")
BULK_FIELDS: dict[str, Schema] = {
    "action": {"type": "string", "enum": list(ACTIONS), "description": "What is to become of the images."},
    "slugs": {
        "type": "array",
        "items": {"type": "string"},
        "minItems": 1,
        "maxItems": MAX_BULK,
        "description": "The images that are meant.",
    },
    "folder": {"type": ["string", "null"], "description": "Where they are moved to; null: the root."},
}
FOLDER_FIELDS: dict[str, Schema] = {
    "name": {
        "type": "string",
        "minLength": 1,
        "maxLength": MAX_FOLDER_NAME,
        "pattern": r"\S",
        "description": "The folder's name, in visible characters.",
    },
}

GRANT_FIELDS: dict[str, Schema] = {
    "grant": {
        "type": "string",
        "description": "What the picture's page got for a click on Reveal; it shows the picture for a minute.",
    },
}


def texts(values: Mapping[str, object], fields: Mapping[str, Schema]) -> dict[str, str]:
    """The values of some fields as the texts that a form would hold; null is absent. Raises Fault("bad_field")."""
    return {name: _as_text(name, values[name]) for name in fields if values.get(name) is not None}


def _as_text(name: str, value: object) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # JSON has one kind of number: 5.0 is a whole one
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        return str(value)
    raise Fault("bad_field", f"{name} must be a text or a number")


@dataclass(frozen=True, slots=True)
class UploadForm:
    """What a client wants done with its picture; `filename` is as the client sent it."""

    filename: str
    expiration: Expiration
    view_limit: int | None
    password: str | None
    folder: str | None
    expires_at: int | None = None
    custom_slug: str | None = None


def upload(fields: Mapping[str, str], filename: str) -> UploadForm:
    """Check an upload's fields; empty ones count as absent, unknown ones do not matter. Raises Fault("bad_field")."""
    expires_at = _time(fields.get("expires_at", ""))
    expiration = _expiration(fields.get("expiration", ""), expires_at)
    return UploadForm(
        filename=filename,
        expiration=expiration,
        view_limit=_view_limit(fields.get("view_limit", "")) if expiration == "views" else None,
        password=_password(fields.get("password", "")),
        folder=_folder(fields.get("folder", "")),
        expires_at=expires_at,
        custom_slug=_slug(fields.get("custom_slug", "")),
    )


def listing(fields: Mapping[str, str]) -> ListQuery:
    """Check which page of a list is wanted; empty fields count as absent. Raises Fault("bad_field")."""
    sort = cast(Sort, _choice("sort", fields.get("sort") or SORTS[0], SORTS))
    query = ListQuery(
        folder=_folder_slug(fields.get("folder", "")),
        limit=_whole("limit", fields.get("limit", ""), DEFAULT_PAGE, 1, MAX_PAGE),
        offset=_whole("offset", fields.get("offset", ""), 0, 0, MAX_OFFSET),
        sort=sort,
        show=cast(Show, _choice("show", fields.get("show") or SHOWS[0], SHOWS)),
        name=_search(fields.get("q", "")),
        after=_position(fields.get("after", ""), sort),
    )
    if query.after and query.offset:
        raise Fault("bad_field", "after and offset exclude each other")
    return query


def _choice(name: str, value: object, choices: Sequence[str]) -> str:
    if not isinstance(value, str) or value not in choices:
        raise Fault("bad_field", f"{name} must be one of {', '.join(choices)}")
    return value


def _search(text: str) -> str:
    if len(text) > MAX_SEARCH or not all(map(_may_stand, text)):
        raise Fault("bad_field", f"q must have at most {MAX_SEARCH} visible characters")
    return search_name(text)


def search_name(name: str) -> str:
    """A file name, or a part of one, as it is compared: NFKC, without case (Unicode Standard, section 3.13)."""
    if name.isascii():
        return name.lower()[:MAX_SEARCH_NAME]
    composed = unicodedata.normalize("NFKC", name[:LOOKED_AT]).casefold()
    return unicodedata.normalize("NFKC", composed)[:MAX_SEARCH_NAME]


def cursor_behind(image: Image, sort: Sort) -> str:
    """The cursor of what follows an image in a list. It says where, and gives no right to anything."""
    key = {"name": search_name(image.filename), "largest": image.size}.get(sort, image.created_at)
    return urlsafe_b64encode(orjson.dumps([sort, key, image.slug])).rstrip(b"=").decode()


def _position(cursor: str, sort: Sort) -> Position | None:
    """Where a list is to go on. Raises Fault("bad_field") for what `cursor_behind` has not made for such a list."""
    if not cursor:
        return None
    match _cursor_content(cursor):
        case [str(order), str(key) | int(key), str(slug)] if order == sort and is_slug(slug) and _is_key(key, sort):
            return Position(key, slug)
    raise Fault("bad_field", "after must be the next of an answer with the same sort")


def _is_key(key: str | int, sort: Sort) -> bool:
    """Whether a list of this order can have this as what it is sorted by."""
    if sort == "name":
        return isinstance(key, str) and len(key) <= MAX_SEARCH_NAME
    return type(key) is int and 0 <= key < 1 << 53


def _cursor_content(cursor: str) -> object:
    """The JSON in a cursor; None where there is none."""
    if len(cursor) > MAX_CURSOR or not _CURSOR.fullmatch(cursor):
        return None
    try:
        return orjson.loads(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class ChangeForm:
    """What is to change about an image: `fields` names them, of filename, folder, password and expiration, which is
    that of an upload now (`expires_at` where it is "custom")."""

    fields: frozenset[str]
    filename: str
    folder: str | None
    password: str | None
    expiration: Expiration
    expires_at: int | None
    view_limit: int | None


def changes(values: Mapping[str, object]) -> ChangeForm:
    """Check what is to change about an image. Null removes a folder and a password; what else is null or empty is
    absent. Raises Fault("bad_field")."""
    given = {name: text for name, text in texts(values, CHANGE_FIELDS).items() if text or name not in OF_EXPIRY}
    fields = given.keys() | {name for name in ("folder", "password") if name in values}
    expires_at = _time(given.get("expires_at", ""))
    expiration = _expiration(given.get("expiration", ""), expires_at)
    if "filename" in fields and not any(map(_is_seen, given["filename"][:LOOKED_AT])):
        raise Fault("bad_field", "filename must have a visible character")
    if given.get("password") == "":
        raise Fault("bad_field", f"password must have 1 to {MAX_PASSWORD} characters; null removes it")
    fields = fields - set(OF_EXPIRY) | ({"expiration"} if fields & {"expiration", "expires_at"} else set())
    if not fields:
        raise Fault("bad_field", f"There is nothing to change: name one of {', '.join(CHANGE_FIELDS)}")
    return ChangeForm(
        fields=frozenset(fields),
        filename=given.get("filename", ""),
        folder=_folder(given.get("folder", "")),
        password=_password(given.get("password", "")),
        expiration=expiration,
        expires_at=expires_at,
        view_limit=_view_limit(given.get("view_limit", "")) if expiration == "views" else None,
    )


def _is_seen(c: str) -> bool:
    return _may_stand(c) and not c.isspace() and c not in _JOINERS + _SELECTORS


@dataclass(frozen=True, slots=True)
class BulkForm:
    """What is to become of some images, each named once: they are deleted, or moved to a folder (None: the root)."""

    action: str
    slugs: list[str]
    folder: str | None


def bulk(values: Mapping[str, object]) -> BulkForm:
    """Check what is to be done with many images. Raises Fault("bad_field")."""
    action = _choice("action", values.get("action"), ACTIONS)
    slugs = values.get("slugs")
    if not isinstance(slugs, list) or not 1 <= len(slugs) <= MAX_BULK or not all(isinstance(s, str) for s in slugs):
        raise Fault("bad_field", f"slugs must be a list of 1 to {MAX_BULK} texts")
    if action == "move" and "folder" not in values:
        raise Fault("bad_field", "folder is missing: the slug of one, or null for the root")
    folder = _folder(texts(values, {"folder": {}}).get("folder", "")) if action == "move" else None
    return BulkForm(action, list(dict.fromkeys(slugs)), folder)


def is_slug(text: str) -> bool:
    """Whether an image could have this slug."""
    return _LINK.fullmatch(text) is not None


def _folder_slug(text: str) -> str | None:
    if text in ("", "all"):
        return None
    return _folder("" if text == "root" else text) or ""


def _whole(name: str, text: str, default: int, least: int, most: int) -> int:
    if not text:
        return default
    if not (len(text) <= 12 and text.isascii() and text.isdigit() and least <= int(text) <= most):
        raise Fault("bad_field", f"{name} must be a whole number from {least} to {most}")
    return int(text)


def idempotency_key(text: str | None) -> str | None:
    """Check an idempotency key. Raises Fault("bad_field")."""
    if text is not None and not _KEY.fullmatch(text):
        raise Fault("bad_field", "Idempotency-Key must have 1 to 255 visible ASCII characters")
    return text


def folder_name(value: object) -> str:
    """Check the name of a new folder. Raises Fault("bad_field")."""
    short = isinstance(value, str) and len(value) <= MOST_COMPOSED * MAX_FOLDER_NAME
    name = unicodedata.normalize("NFC", cast(str, value)).strip() if short else ""
    allowed = all(c == " " or (_may_stand(c) and not c.isspace()) for c in name)
    if not allowed or not name.strip(f" {_JOINERS}{_SELECTORS}") or len(name) > MAX_FOLDER_NAME:
        raise Fault("bad_field", f"name must have 1 to {MAX_FOLDER_NAME} visible characters")
    return name


def folder_slug(name: str) -> str:
    """A folder's slug: its name in lower-case ASCII words with hyphens; a random one where nothing is left of it."""
    plain = unicodedata.normalize("NFKD", name.casefold()).encode("ascii", "ignore").decode()
    words = "-".join(_WORDS.findall(plain))
    if words in RESERVED_FOLDERS:
        raise Fault("bad_field", f"{name} is a reserved name")
    return words or "folder-" + "".join(secrets.choice(BASE36) for _ in range(6))


def _expiration(text: str, expires_at: int | None) -> Expiration:
    if expires_at is not None:
        if text:
            raise Fault("bad_field", "expires_at and expiration exclude each other")
        return "custom"
    if text and text not in EXPIRATIONS:
        raise Fault("bad_field", f"expiration must be one of {', '.join(EXPIRATIONS)}")
    return cast(Expiration, text or "1d")


def _time(text: str) -> int | None:
    """Unix seconds, or a date and time by RFC 3339, which has a zone."""
    if not text:
        return None
    if len(text) <= 12 and text.isascii() and text.isdigit():
        seconds: int | None = int(text)
    else:
        try:
            right = len(text) <= LONGEST_TIME and _RFC3339.fullmatch(text)
            seconds = int(datetime.fromisoformat(text).timestamp()) if right else None
        except ValueError:
            seconds = None
    if seconds is None or seconds > LAST_SECOND:
        raise Fault("bad_field", "expires_at must be unix seconds or a time such as 2026-12-31T23:59:59Z")
    return seconds


def _slug(text: str) -> str | None:
    if text and not _SLUG.fullmatch(text):
        raise Fault("bad_field", "custom_slug must have 3 to 64 letters, digits, hyphens or underscores")
    if text.lower() in RESERVED_SLUGS or text.lower().startswith("tk_"):
        raise Fault("bad_field", f"The short link {text} is reserved")
    return text or None


def _view_limit(text: str) -> int:
    if not text:
        raise Fault("bad_field", "view_limit is required when expiration is views")
    if not (len(text) <= 3 and text.isascii() and text.isdigit() and 1 <= int(text) <= MAX_VIEWS):
        raise Fault("bad_field", f"view_limit must be a whole number from 1 to {MAX_VIEWS}")
    return int(text)


def _password(text: str) -> str | None:
    if len(text) > MAX_PASSWORD:
        raise Fault("bad_field", f"password must have at most {MAX_PASSWORD} characters")
    return text or None


def account_password(text: str) -> str:
    """A new password of an account. Raises Fault("bad_field")."""
    if not (MIN_ACCOUNT_PASSWORD <= len(text) <= MAX_PASSWORD and _is_unicode(text)):
        sentence = f"A password must have {MIN_ACCOUNT_PASSWORD} to {MAX_PASSWORD} characters"
        raise Fault("bad_field", sentence)
    return text


def may_be_password(text: str) -> bool:
    """Whether a text can be some account's password: then it is short enough to be hashed."""
    return len(text) <= MAX_PASSWORD and _is_unicode(text)


def email(text: str) -> str:
    """An account's address. Raises Fault("bad_field")."""
    if not is_email(text):
        raise Fault("bad_field", f"{text[:MAX_EMAIL]!r} is no e-mail address")
    return text


def is_email(text: str) -> bool:
    """Whether a text can be an account's address: with one @, nothing invisible or bidirectional, and not too long."""
    return len(text) <= MAX_EMAIL and _EMAIL.fullmatch(text) is not None and text.isprintable()


def _is_unicode(text: str) -> bool:
    """Whether a text can be encoded: it has no lone surrogates, as JSON may have."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _folder(text: str) -> str | None:
    if not text or text in ROOT_FOLDERS:
        return None
    if len(text) > 2 * MAX_FOLDER_NAME or not _FOLDER_SLUG.fullmatch(text):
        raise not_your_folder()
    return text


def safe_filename(name: str, ext: str) -> str:
    """A file name fit to be shown: no path, nothing invisible or bidirectional, an extension that states the
    true type."""
    base = _SEPARATORS.split(name[-LOOKED_AT:])[-1]
    if not (base.isascii() and base.isprintable()):
        visible = _UNSEEN_RUNS.sub(r"\1", "".join(filter(_may_stand, base)))
        base = unicodedata.normalize("NFC", visible)
    base = base.strip()
    stem, dot, ending = base.rpartition(".")
    if dot and ending.lower() in EXTENSIONS.get(ext, {ext}):
        return f"{_trimmed(stem)}.{ending}"
    return f"{_trimmed(stem if dot and len(ending) <= 5 else base)}.{ext}"


def _trimmed(stem: str) -> str:
    around = f".{_SPACES}{_JOINERS}"
    return stem.lstrip(around + _SELECTORS)[:MAX_FILENAME].rstrip(around) or "image"


def _may_stand(c: str) -> bool:
    """Whether a character may stand in a name: no control or formatting character (general category C: bidirectional
    overrides, tags, byte order marks) but the joiners, no line or paragraph separator, no blank filler."""
    if c in _JOINERS:
        return True
    category = unicodedata.category(c)
    return category[0] != "C" and category not in ("Zl", "Zp") and c not in _BLANK
