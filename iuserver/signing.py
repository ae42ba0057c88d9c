"""Words that we hand out and recognise later: signed ones without having kept them, random ones by their hash.

The secret comes in as an argument.

Source: RFC 7693, BLAKE2s with a key, 128 bits. (An HMAC through OpenSSL takes twenty times as long to set up.)
"""

from __future__ import annotations

import hmac
import secrets
from hashlib import blake2s, sha256

from iuserver.records import Image


def delete_token(secret: bytes, image: Image) -> str:
    """What a deletion link must carry. Bound to the blob: a later image of the same slug has another."""
    return _signed(secret, "delete", image.slug, image.blob)


def is_delete_token(secret: bytes, image: Image, token: str) -> bool:
    """Whether a token is this image's, compared in constant time."""
    return hmac.compare_digest(delete_token(secret, image).encode(), token.encode("utf-8", "surrogatepass"))


def unlock_token(secret: bytes, image: Image, until: int) -> str:
    """What shows, until a time, that its holder has given the image's password; worthless once the password is
    another."""
    return f"{until}.{_signed(secret, 'unlock', image.slug, image.blob, image.password_hash or '', str(until))}"


def is_unlock_token(secret: bytes, image: Image, token: str, now: float) -> bool:
    """Whether a token is this image's and its time is not over, compared in constant time."""
    until = token.partition(".")[0]
    if not (until.isascii() and until.isdigit() and len(until) <= 12) or now >= int(until):
        return False
    expected = unlock_token(secret, image, int(until))
    return hmac.compare_digest(expected.encode(), token.encode("utf-8", "surrogatepass"))


def viewer_of(secret: bytes, image: Image, client: str) -> bytes:
    """What a viewer of an image is known by: nothing that could be told from it who it was, or what else was seen.

    The key is the image's own: it is made of its blob's random name, which goes with the record.
    """
    key = blake2s(f"viewer\0{image.slug}\0{image.blob}".encode(), key=secret, digest_size=32).digest()
    return blake2s(client.encode("utf-8", "surrogatepass"), key=key, digest_size=16).digest()


def new_grant() -> str:
    """A random word, 128 bits."""
    return secrets.token_urlsafe(16)


def grant_hash(word: str) -> bytes:
    """The form in which a grant is stored. It is random, so a plain hash gives nothing to guess at."""
    return sha256(word.encode("utf-8", "surrogatepass")).digest()


def _signed(secret: bytes, *words: str) -> str:
    return blake2s("\0".join(words).encode(), key=secret, digest_size=16).hexdigest()
