"""JSON Schemas of the objects that replies.py returns, for the route table and the MCP tools; and of headers."""

from __future__ import annotations

from typing import Any, get_args

from iuserver.errors import Code

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
NUMBER: Schema = {"type": "integer"}
FLAG: Schema = {"type": "boolean"}
TIME: Schema = {"type": "integer", "description": "Unix seconds."}
BYTES: Schema = {"type": "integer", "description": "Bytes."}


def thing(properties: dict[str, Schema], *optional: str, title: str = "") -> Schema:
    """An object that has these members, all but the optional ones always; its title is its type's in client code."""
    required = [name for name in properties if name not in optional]
    named = {"title": title} if title else {}
    return {**named, "type": "object", "properties": properties, "required": required}


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
EMBED = thing({"html": TEXT, "bbcode": TEXT, "markdown": TEXT}, title="Snippets")
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
    "delete_url": {**TEXT, "description": "Deletes the image without a key, once, after asking. Keep it private."},
    "removed": or_null(
        {
            **thing({"bytes": BYTES, "kinds": {"type": "array", "items": TEXT}}, title="Removed"),
            "description": "What was in the file and was left out of the picture. Null where that is not known.",
            "examples": [{"bytes": 11620, "kinds": ["gps", "camera", "exif"]}],
        }
    ),
}
LISTED_MEMBERS: dict[str, Schema] = {
    **IMAGE_MEMBERS,
    "created_at": TIME,
    "viewed_at": or_null({**TIME, "description": "When the last viewer came, in unix seconds; null before."}),
    "views": or_null({**NUMBER, "description": "How many have seen a burn or views picture; null for others."}),
}
SESSION = thing(
    {"id": TEXT, "browser": TEXT, "network": TEXT, "created_at": TIME, "seen_at": TIME, "current": FLAG},
    title="Session",
)
FOLDER_MEMBERS: dict[str, Schema] = {
    "slug": {**TEXT, "examples": ["holiday-photos"]},
    "name": TEXT,
    "count": NUMBER,
    "created_at": TIME,
}

IMAGE = thing(LISTED_MEMBERS, title="Image")
UPLOADED = thing(
    {"ok": FLAG, **IMAGE_MEMBERS, "embed": EMBED, "quota": thing(QUOTA_MEMBERS, title="Quota")}, title="UploadedImage"
)
DETAILED = thing({"ok": FLAG, **LISTED_MEMBERS, "embed": EMBED}, title="ImageDetails")
IMAGES = thing(
    {
        "images": {"type": "array", "items": IMAGE},
        "total": {**NUMBER, "description": "All that match, on this page or not."},
        "limit": NUMBER,
        "offset": NUMBER,
        "next": or_null({**TEXT, "description": "Pass it as after to go on. Null at the end."}),
    },
    title="ImagePage",
)
BULK = thing(
    {
        "ok": FLAG,
        "action": TEXT,
        "done": {**NUMBER, "description": "How many were deleted or moved."},
        "results": {
            "type": "array",
            "items": thing({"slug": TEXT, "ok": FLAG, "error": TEXT, "code": TEXT}, "error", "code", title="Outcome"),
            "description": "What became of each picture; error and code where it stayed as it was.",
            "examples": [
                [
                    {"slug": "aB3xQf9K", "ok": True},
                    {"slug": "Zr81mPq2", "ok": False, "error": "There is no such image", "code": "not_found"},
                ]
            ],
        },
    },
    title="Outcomes",
)
SESSIONS = thing({"sessions": {"type": "array", "items": SESSION}}, title="SessionList")
SESSION_ENDED = thing({"ok": FLAG, "id": TEXT}, title="EndedSession")
NEW_KEY = thing(
    {"ok": FLAG, "key": {**TEXT, "description": "The new key; it cannot be asked for again."}}, title="NewKey"
)
DELETED = thing({"ok": FLAG, "slug": TEXT}, title="Deleted")
FOLDERS = thing({"folders": {"type": "array", "items": thing(FOLDER_MEMBERS, title="Folder")}}, title="FolderList")
FOLDER = thing({"ok": FLAG, **FOLDER_MEMBERS}, title="NewFolder")
TICKET = thing(
    {
        "ok": FLAG,
        "ticket": {**TEXT, "description": "Ask get_image for it in place of a slug to learn what became of it."},
        "upload_url": {**TEXT, "description": "A page to drop the picture on; it takes POST and PUT as well."},
        "expires_at": TIME,
        "curl": {**TEXT, "description": "The same from a command line."},
    },
    title="UploadTicket",
)
ACCOUNT = thing(
    {
        **QUOTA_MEMBERS,
        "resets_at": TIME,
        "storage": {
            **thing({"used": BYTES, "limit": or_null(BYTES)}, title="Storage"),
            "examples": [{"used": 1843200, "limit": 524288000}],
        },
    },
    title="Usage",
)
HEALTH = thing({"ok": FLAG}, title="Health")
READINESS = thing(
    {"ok": FLAG, "catalog": FLAG, "blobs": FLAG, "queue": FLAG, "workers": FLAG, "accepting": FLAG}, title="Readiness"
)
DISCOVERY = thing({"documentation": TEXT, "openapi": TEXT, "mcp": TEXT}, title="Discovery")

REFUSAL_MEMBERS: dict[str, Schema] = {
    "code": {**TEXT, "enum": list(get_args(Code)), "description": "What is wrong, for programs."},
    "quota": thing(
        {**{name: QUOTA_MEMBERS[name] for name in ("used", "limit", "remaining", "plan")}, "upgrade_url": TEXT},
        title="UsedUpQuota",
    ),
}
ERROR = thing(
    {"error": {**TEXT, "description": "What is wrong, for people."}, **REFUSAL_MEMBERS}, "quota", title="Error"
)
PROBLEM = thing(
    {
        "type": {**TEXT, "description": "Where the documentation tells about this code."},
        "title": {**TEXT, "description": "When this code is answered."},
        "status": NUMBER,
        "detail": {**TEXT, "description": "What is wrong, for people."},
        **REFUSAL_MEMBERS,
    },
    "quota",
    title="Problem",
)
"""Problem details (RFC 9457)."""

JSON_RPC_ID: Schema = {"anyOf": [TEXT, {"type": "number"}]}
JSON_RPC_REQUEST: dict[str, Schema] = {
    "jsonrpc": {**TEXT, "enum": ["2.0"], "description": "The version of JSON-RPC."},
    "id": {**JSON_RPC_ID, "description": "What the answer is to be known by; a notification has none."},
    "method": {**TEXT, "description": "initialize, ping, server/discover, tools/list or tools/call."},
    "params": {"type": "object", "description": "As the method wants them."},
}
JSON_RPC = {
    **thing(
        {
            "jsonrpc": {**TEXT, "enum": ["2.0"]},
            "id": or_null(JSON_RPC_ID),
            "result": {"type": "object"},
            "error": thing({"code": NUMBER, "message": TEXT, "data": {"type": "object"}}, "data", title="JsonRpcError"),
        },
        "result",
        "error",
        title="JsonRpcAnswer",
    ),
    "examples": [{"jsonrpc": "2.0", "id": 1, "result": {"tools": []}}],
}
AGENTS = thing(
    {
        "name": {**TEXT, "examples": ["iuserver"]},
        "title": TEXT,
        "version": TEXT,
        "protocol_versions": {"type": "array", "items": TEXT, "examples": [["2025-11-25", "2026-07-28"]]},
        "tools": {"type": "array", "items": TEXT, "examples": [["get_quota", "upload_image"]]},
        "instructions": TEXT,
    },
    title="AgentEndpoint",
)

BINARY: Schema = {"type": "string", "format": "binary"}
FILE: dict[str, Schema] = {
    "file": {**BINARY, "description": "The picture, with a file name. Its bytes decide the type, not the name."}
}

REQUEST_HEADERS: dict[str, Schema] = {
    "Idempotency-Key": {
        "type": "string",
        "pattern": "^[!-~]{1,255}$",
        "description": "A word of the client's own for this upload. Repeated within 24 hours with the same file and "
        "fields, it gets the first answer again and costs nothing.",
        "examples": ["holiday-2026-0001"],
    },
    "X-Image-Password": {**TEXT, "description": "The password of a picture that has one."},
    "Range": {**TEXT, "description": "One range of bytes, of a picture that anybody may see."},
    "If-Range": {**TEXT, "description": "The ETag for which the range is wanted."},
    "If-None-Match": {**TEXT, "description": "The ETag that the client has: 304 where it is still right."},
    "MCP-Protocol-Version": {**TEXT, "description": "The revision of MCP that the client goes by."},
    "Mcp-Method": {**TEXT, "description": "The request's method, from revision 2026-07-28 on."},
    "Mcp-Name": {**TEXT, "description": "The tool that is called, from revision 2026-07-28 on."},
}
ANSWER_HEADERS: dict[str, Schema] = {
    "X-Request-Id": {**TEXT, "description": "What the server's log calls this request."},
    "Cache-Control": {**TEXT, "description": "Who may keep the answer, and how long."},
    "X-Content-Type-Options": {**TEXT, "description": "Always nosniff."},
    "RateLimit-Policy": {**TEXT, "description": "Calls a minute (draft-ietf-httpapi-ratelimit-headers-10)."},
    "RateLimit": {**TEXT, "description": "Calls that are left (draft-ietf-httpapi-ratelimit-headers-10)."},
    "X-Quota-Used": {**NUMBER, "description": "Uploads counted this month."},
    "X-Quota-Limit": {**TEXT, "description": "Uploads a month, or unlimited."},
    "X-Quota-Remaining": {**TEXT, "description": "Uploads that are left this month, or unlimited."},
    "Retry-After": {**NUMBER, "description": "Seconds after which to try again."},
    "WWW-Authenticate": {**TEXT, "description": "What is asked for: Bearer, or X-Image-Password."},
    "Idempotent-Replay": {**TEXT, "description": "true where this answer was given before."},
    "Allow": {**TEXT, "description": "The methods that there are."},
    "Accept-Encoding": {**TEXT, "description": "identity, where the body was compressed."},
    "ETag": {**TEXT, "description": "Names these bytes."},
    "Accept-Ranges": {**TEXT, "description": "bytes, where ranges are served."},
    "Content-Range": {**TEXT, "description": "Which part this is."},
    "Content-Disposition": {**TEXT, "description": "inline, with the file's name."},
    "Location": {**TEXT, "description": "Where to look instead."},
    "Set-Cookie": {**TEXT, "description": "Shows for an hour that its holder knows the picture's password."},
    "Link": {**TEXT, "description": "The documentation and this description (RFC 8631)."},
    "Vary": {**TEXT, "description": "The request headers that the answer depends on."},
    "Content-Security-Policy": {**TEXT, "description": "Lets nothing in the answer run."},
    "Cross-Origin-Opener-Policy": {**TEXT, "description": "Keeps other sites' windows away from the page."},
    "Cross-Origin-Resource-Policy": {**TEXT, "description": "cross-origin: pages of any site may show the picture."},
    "Referrer-Policy": {**TEXT, "description": "Tells other sites nothing of the address."},
    "X-Robots-Tag": {**TEXT, "description": "noindex"},
    "Access-Control-Allow-Origin": {**TEXT, "description": "Whose pages may read the answer."},
    "Access-Control-Expose-Headers": {**TEXT, "description": "The headers that pages of other origins may read."},
}
