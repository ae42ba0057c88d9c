"""Tokens: stateless MAC tokens, sealed (encrypted) tokens, and random tokens stored as SHA-256.

The secret is an argument. MACs are keyed BLAKE2s, 128 bits (RFC 7693): an HMAC through OpenSSL takes twenty times as
long to set up. Sealed tokens are ChaCha20-Poly1305 (RFC 8439).
"""

from __future__ import annotations

import hmac
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import blake2s, sha256

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from iuserver.records import Image

NONCE_BYTES = 12
TOKEN_LENGTH = 43
SEAL_VERSION = "1"
"""The first character of a sealed token: how the rest is to be read."""


def delete_token(secret: bytes, image: Image) -> str:
    """The token of a deletion link. Bound to the blob: a later image with the same slug has another."""
    return _signed(secret, "delete", image.slug, image.blob)


def is_delete_token(secret: bytes, image: Image, token: str) -> bool:
    """Whether a token is this image's, compared in constant time."""
    return hmac.compare_digest(delete_token(secret, image).encode(), token.encode("utf-8", "surrogatepass"))


def unlock_token(secret: bytes, image: Image, until: int) -> str:
    """A token that proves, until a time, that its holder knew the image's password; void once that changes."""
    return f"{until}.{_signed(secret, 'unlock', image.slug, image.blob, image.password_hash or '', str(until))}"


def is_unlock_token(secret: bytes, image: Image, token: str, now: float) -> bool:
    """Whether a token is this image's and its time is not over, compared in constant time."""
    until = token.partition(".")[0]
    if not (len(until) <= 12 and until.isascii() and until.isdigit()) or now >= int(until):
        return False
    expected = unlock_token(secret, image, int(until))
    return hmac.compare_digest(expected.encode(), token.encode("utf-8", "surrogatepass"))


def viewer_of(secret: bytes, image: Image, client: str) -> bytes:
    """An opaque id of a viewer of one image: it reveals neither who it was nor what else they viewed.

    The key is derived from the blob's random name, which is deleted with the record.
    """
    key = blake2s(f"viewer\0{image.slug}\0{image.blob}".encode(), key=secret, digest_size=32).digest()
    return blake2s(client.encode("utf-8", "surrogatepass"), key=key, digest_size=16).digest()


def new_grant() -> str:
    """A random token, 128 bits."""
    return secrets.token_urlsafe(16)


def new_token() -> str:
    """A random token, 256 bits, of TOKEN_LENGTH characters: of a session, a sign-in link, an invite."""
    return secrets.token_urlsafe(32)


def token_hash(token: str) -> bytes:
    """The stored form of a token. A token is random, so a plain hash cannot be guessed."""
    return sha256(token.encode("utf-8", "surrogatepass")).digest()


def seal(secret: bytes, nonce: bytes, content: bytes) -> str:
    """Encrypt and authenticate content into a token that its holder can neither read nor change.

    `nonce` (12 bytes) is readable at the front of the token, and must never be used for two contents.
    """
    sealed = _cipher(secret).encrypt(nonce, content, SEAL_VERSION.encode())
    return SEAL_VERSION + urlsafe_b64encode(nonce + sealed).rstrip(b"=").decode()


def unseal(secret: bytes, token: str) -> tuple[bytes, bytes] | None:
    """The nonce and the content of a sealed token, or None where `seal` did not return it."""
    nonce = nonce_of(token)
    if nonce is None:
        return None
    try:
        sealed = _decoded(token)[NONCE_BYTES:]
        return nonce, _cipher(secret).decrypt(nonce, sealed, SEAL_VERSION.encode())
    except (ValueError, InvalidTag):
        return None


def nonce_of(token: str) -> bytes | None:
    """The nonce at the front of a sealed token, or of the part of one that has it; it is not secret."""
    if not token.startswith(SEAL_VERSION):
        return None
    try:
        nonce = _decoded(token[: 1 + NONCE_BYTES * 4 // 3])
    except ValueError:
        return None
    return nonce if len(nonce) == NONCE_BYTES else None


def _decoded(token: str) -> bytes:
    """The bytes behind the version. Raises ValueError for anything but unpadded base64url in its one spelling."""
    text = token.removeprefix(SEAL_VERSION).encode("ascii")
    decoded = urlsafe_b64decode(text + b"=" * (-len(text) % 4))
    if urlsafe_b64encode(decoded).rstrip(b"=") != text:
        raise ValueError("not the canonical encoding")
    return decoded


def _cipher(secret: bytes) -> ChaCha20Poly1305:
    return ChaCha20Poly1305(blake2s(b"seal", key=secret, person=b"iu-seal", digest_size=32).digest())


def _signed(secret: bytes, *parts: str) -> str:
    return blake2s("\0".join(parts).encode(), key=secret, digest_size=16).hexdigest()
