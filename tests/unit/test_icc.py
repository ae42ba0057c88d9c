"""ICC profiles: what is one, and where it ends."""

from __future__ import annotations

import pytest

from iuserver.imaging import icc
from tests.pictures import SECRET, icc_profile


def test_a_profile_stays_and_what_follows_it_goes() -> None:
    assert icc.profile(icc_profile()) == icc_profile()
    assert icc.profile(icc_profile() + SECRET) == icc_profile()


def with_size(size: int) -> bytes:
    return size.to_bytes(4, "big") + icc_profile()[4:]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        SECRET * 20,
        icc_profile()[:131],
        icc_profile()[:-1],
        with_size(0),
        with_size(131),
        with_size(128 + 4 + 12 * 3),
        with_size(len(icc_profile()) + 1),
        icc_profile()[:36] + b"ACSP" + icc_profile()[40:],
        icc_profile()[:128] + b"\xff\xff\xff\xff" + icc_profile()[132:],
    ],
)
def test_what_browsers_do_not_take_for_a_profile_is_none(data: bytes) -> None:
    assert icc.profile(data) is None
