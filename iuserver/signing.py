"""Words that we hand out and recognise later: signed ones without having kept them, random ones by their hash.

The secret comes in as an argument.

Source: RFC 7693, BLAKE2s with a key, 128 bits. (An HMAC through OpenSSL takes twenty times as long to set up.)
"""

from __future__ import annotations

import hmac
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import blake2s, sha256

from iuserver.records import Image

NAME_BYTES = 12
TAG_BYTES = 16


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
    if not (len(until) <= 12 and until.isascii() and until.isdigit()) or now >= int(until):
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


def seal(secret: bytes, name: bytes, content: bytes) -> str:
    """Words for somebody to keep for us: nobody but us can read or change them.

    `name` (12 bytes) stands in front for everybody to see, and must never be the same for two contents. Encrypted with
    BLAKE2s as a stream of blocks, then signed.
    """
    hidden = _mixed(secret, name, content)
    return urlsafe_b64encode(name + hidden + _tag(secret, name + hidden)).rstrip(b"=").decode()


def unseal(secret: bytes, word: str) -> tuple[bytes, bytes] | None:
    """The name and the content that were sealed, or None where this is not what `seal` returned."""
    try:
        sealed = urlsafe_b64decode(word.encode("ascii") + b"=" * (-len(word) % 4))
    except ValueError:
        return None
    body, tag = sealed[:-TAG_BYTES], sealed[-TAG_BYTES:]
    if len(body) < NAME_BYTES or not hmac.compare_digest(_tag(secret, body), tag):
        return None
    return body[:NAME_BYTES], _mixed(secret, body[:NAME_BYTES], body[NAME_BYTES:])


def _mixed(secret: bytes, name: bytes, content: bytes) -> bytes:
    """The content with the stream of this name added, or taken away again."""
    size = len(content)
    blocks = (blake2s(name + number.to_bytes(4), key=secret, person=b"hide") for number in range(size // 32 + 1))
    stream = b"".join(block.digest() for block in blocks)[:size]
    return (int.from_bytes(content) ^ int.from_bytes(stream)).to_bytes(size)


def _tag(secret: bytes, body: bytes) -> bytes:
    return blake2s(body, key=secret, digest_size=TAG_BYTES, person=b"seal").digest()


def _signed(secret: bytes, *words: str) -> str:
    return blake2s("\0".join(words).encode(), key=secret, digest_size=16).hexdigest()
