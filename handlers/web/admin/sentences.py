"""Rows of the audit log as sentences."""

from __future__ import annotations

from iuserver.records import AuditAction, AuditRow

SENTENCES: dict[AuditAction, str] = {
    "signed_in": "{actor} signed in",
    "signed_in_by_link": "{actor} signed in by a link",
    "signed_up": "{subject} signed up, on {detail}",
    "signed_out_everywhere": "{actor} signed out everywhere",
    "wrong_passwords": "{subject}: 5 wrong passwords",
    "password_set": "{actor} set the password of {subject}",
    "key_replaced": "{actor} replaced the key of {subject}",
    "account_added": "{actor} added {subject}, on {detail}",
    "account_removed": "{actor} removed {subject}",
    "account_disabled": "{actor} disabled {subject}",
    "account_enabled": "{actor} enabled {subject}",
    "plan_set": "{actor} put {subject} on {detail}",
    "role_set": "{actor} made {subject} {detail}",
    "link_made": "{actor} made a sign-in link for {subject}",
    "invite_made": "{actor} made an invite: {detail}",
    "invite_revoked": "{actor} revoked an invite: {detail}",
    "picture_blocked": "{actor} blocked a picture: {detail}",
    "picture_purged": "{actor} purged a blocked picture: {detail}",
    "picture_unblocked": "{actor} took a picture off the blocklist",
}


def sentence(row: AuditRow) -> str:
    """Who did what to whom; unescaped."""
    return SENTENCES[row.action].format(actor=row.actor, subject=row.subject, detail=row.detail or "no note")
