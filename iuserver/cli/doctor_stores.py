"""`iuserver doctor`, what a server works with elsewhere: MongoDB, and each permission on S3."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

from iuserver.backends import StartError, open_blobs, open_catalog_at
from iuserver.cli.findings import Finding, error, ok, warning
from iuserver.errors import Fault
from iuserver.ports import BlobStore
from iuserver.settings import Settings, SettingsError

LARGE = 9 * 1024 * 1024
"""Bytes that go to S3 in parts."""


async def stores(settings: Settings) -> AsyncIterator[Finding]:
    """What is found about the backends that the settings name."""
    yield await _catalog(settings)
    if settings.blobs.url.startswith("s3:"):
        async for finding in _s3(settings):
            yield finding


async def _catalog(settings: Settings) -> Finding:
    try:
        catalog = await open_catalog_at(settings.catalog.url, settings, make=False)
    except StartError as reason:
        return error(str(reason), "iuserver serve makes one; docs/backends.md says what MongoDB needs")
    try:
        alone = getattr(catalog, "transactions", True) is False
    finally:
        await catalog.close()
    if alone:
        text = "MongoDB is a single server: an acknowledged upload is on one disk, and there are no transactions"
        return warning(text, "make it a replica set of three, and name it in catalog.url: …?replicaSet=NAME")
    return ok("the catalog can be opened")


async def _s3(settings: Settings) -> AsyncIterator[Finding]:
    """Each thing that the server does with a bucket, done once."""
    try:
        blobs = await open_blobs(settings)
    except (StartError, SettingsError) as reason:
        yield error(str(reason), "check the bucket, the credentials and s3:ListBucket (docs/backends.md has a policy)")
        return
    key = secrets.token_hex(16)
    try:
        with tempfile.TemporaryDirectory() as folder:
            for permission, step in _steps(blobs, key, Path(folder)):
                yield await _tried(permission, step)
    finally:
        await blobs.close()


def _steps(blobs: BlobStore, key: str, folder: Path) -> list[tuple[str, Callable[[], Awaitable[object]]]]:
    small, large = folder / "small", folder / "large"
    small.write_bytes(b"doctor")
    large.write_bytes(bytes(LARGE))

    async def read() -> None:
        blob = await blobs.open(key)
        try:
            async for _ in blob.read(0, blob.size):
                pass
        finally:
            blob.close()

    async def listing() -> None:
        async for _ in blobs.listing():
            break

    other = key[::-1]
    return [
        ("s3:PutObject", lambda: blobs.put(key, str(small))),
        ("s3:GetObject", read),
        ("s3:ListBucket, s3:ListBucketMultipartUploads", listing),
        ("s3:PutObject in parts", lambda: blobs.put(other, str(large))),
        ("s3:DeleteObject", lambda: blobs.delete(key)),
        ("s3:DeleteObject of what was put in parts", lambda: blobs.delete(other)),
    ]


async def _tried(permission: str, step: Callable[[], Awaitable[object]]) -> Finding:
    try:
        await step()
    except Fault as fault:
        reason = " ".join(str(fault.__cause__ or fault.message).split())
        return error(f"{permission}: {reason}", "add it to the policy of the server's user (docs/backends.md)")
    return ok(f"{permission} is allowed")
