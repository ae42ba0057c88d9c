"""JSON Schemas of the objects that replies.py returns, for the route table and the MCP tools."""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
NUMBER: Schema = {"type": "integer"}
FLAG: Schema = {"type": "boolean"}
TIME: Schema = {"type": "integer", "description": "Unix seconds."}
BYTES: Schema = {"type": "integer", "description": "Bytes."}


def thing(properties: dict[str, Schema], *optional: str) -> Schema:
    """An object that has these members, all but the optional ones always."""
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": required}


def or_null(schema: Schema) -> Schema:
    """The same, or null. (A list of types says it shorter, but some models' providers refuse that.)"""
    return {"anyOf": [schema, {"type": "null"}]}


QUOTA_MEMBERS: dict[str, Schema] = {
    "used": NUMBER,
    "limit": or_null(NUMBER),
    "remaining": or_null(NUMBER),
    "plan": TEXT,
    "unlimited": FLAG,
}
EMBED = thing({"html": TEXT, "bbcode": TEXT, "markdown": TEXT})
IMAGE_MEMBERS: dict[str, Schema] = {
    "slug": TEXT,
    "ext": TEXT,
    "filename": TEXT,
    "mime": TEXT,
    "size": BYTES,
    "width": NUMBER,
    "height": NUMBER,
    "hdr": {**FLAG, "description": "Whether it has more than the standard range of brightness."},
    "expiration": TEXT,
    "expires_at": or_null(TIME),
    "view_limit": or_null(NUMBER),
    "password_protected": FLAG,
    "folder": or_null(TEXT),
    "share_url": {**TEXT, "description": "A page for people; it asks for the password and counts views."},
    "direct_url": {**TEXT, "description": "The picture's bytes, for <img> and downloads."},
    "upload_source": TEXT,
    "delete_url": {**TEXT, "description": "Deletes the image without a key, after asking. Keep it private."},
    "removed": or_null(
        {
            **thing({"bytes": BYTES, "kinds": {"type": "array", "items": TEXT}}),
            "description": "What was in the picture and was left out of it. Null where that is not known.",
        }
    ),
}
LISTED_MEMBERS: dict[str, Schema] = {
    **IMAGE_MEMBERS,
    "created_at": TIME,
    "viewed_at": or_null(TIME),
    "views": or_null(NUMBER),
}
SESSION = thing({"id": TEXT, "browser": TEXT, "network": TEXT, "created_at": TIME, "seen_at": TIME, "current": FLAG})
FOLDER_MEMBERS: dict[str, Schema] = {"slug": TEXT, "name": TEXT, "count": NUMBER, "created_at": TIME}

UPLOADED = thing({"ok": FLAG, **IMAGE_MEMBERS, "embed": EMBED, "quota": thing(QUOTA_MEMBERS)})
DETAILED = thing({"ok": FLAG, **LISTED_MEMBERS, "embed": EMBED})
IMAGES = thing(
    {
        "images": {"type": "array", "items": thing(LISTED_MEMBERS)},
        "total": NUMBER,
        "limit": NUMBER,
        "offset": NUMBER,
        "next": or_null({**TEXT, "description": "Pass it as after to go on. Null at the end."}),
    }
)
BULK = thing(
    {
        "ok": FLAG,
        "action": TEXT,
        "done": NUMBER,
        "results": {
            "type": "array",
            "items": thing({"slug": TEXT, "ok": FLAG, "error": TEXT, "code": TEXT}, "error", "code"),
        },
    }
)
SESSIONS = thing({"sessions": {"type": "array", "items": SESSION}})
SESSION_ENDED = thing({"ok": FLAG, "id": TEXT})
NEW_KEY = thing({"ok": FLAG, "key": {**TEXT, "description": "The new key; it cannot be asked for again."}})
DELETED = thing({"ok": FLAG, "slug": TEXT})
FOLDERS = thing({"folders": {"type": "array", "items": thing(FOLDER_MEMBERS)}})
FOLDER = thing({"ok": FLAG, **FOLDER_MEMBERS})
TICKET = thing(
    {
        "ok": FLAG,
        "ticket": {**TEXT, "description": "Ask get_image for it in place of a slug to learn what became of it."},
        "upload_url": {**TEXT, "description": "A page to drop the picture on; it takes POST and PUT as well."},
        "expires_at": TIME,
        "curl": {**TEXT, "description": "The same from a command line."},
    }
)
ACCOUNT = thing(
    {**QUOTA_MEMBERS, "resets_at": TIME, "storage": thing({"used": BYTES, "limit": or_null(BYTES)})},
)
