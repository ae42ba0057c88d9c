"""A second opinion on blobs on S3: the same suites on a server of other authors."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.s3_server import CREDENTIALS, S3Server

SUITES = ["tests/contracts/test_blobs.py", "tests/contracts/test_s3.py"]
UNLIKE_S3 = {
    "test_an_upload_in_parts_that_a_crash_left_is_listed_and_can_be_deleted": "it says that all were begun in 2010",
    "test_what_arrives_damaged_is_refused": "it does not check checksums",
}


@pytest.mark.slow
def test_the_suites_pass_on_moto(tmp_path: Path) -> None:
    server = S3Server.moto(tmp_path)
    server.start()
    try:
        deselected = [f"--deselect={SUITES[1]}::{name}" for name in UNLIKE_S3]
        environ = {**os.environ, **CREDENTIALS, "TEST_S3_ENDPOINT": server.endpoint}
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *SUITES, *deselected]
        done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=300)
    finally:
        server.kill()
    assert done.returncode == 0, done.stdout
