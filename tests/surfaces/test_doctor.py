"""`iuserver doctor`: a healthy set-up is called healthy, and each thing that it can name is provoked and named."""

from __future__ import annotations

import contextlib
import io
import ipaddress
import os
import re
import resource
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from iuserver.blobs.s3 import S3Blobs
from iuserver.catalog.mongo import MongoCatalog
from iuserver.cli import doctor_machine, doctor_public, main
from iuserver.errors import blobs_unavailable
from tests.nginx import nginx
from tests.running import RunningServer, running
from tests.surfaces.test_cli import ROOT, RUN

pytestmark = pytest.mark.slow

SETTINGS: dict[str, Any] = {"limits": {"api_per_minute": 0}, "imaging": {"workers": 1}}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with running(tmp_path_factory.mktemp("data"), **SETTINGS) as server:
        yield server


@pytest.fixture(autouse=True)
def sound_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the tests' own machine lacks is not what these tests are about."""
    monkeypatch.setattr(doctor_machine, "SLOW_SYNC_SECONDS", 1e9)
    monkeypatch.setattr(doctor_machine, "SCARCE", 0.0)
    monkeypatch.setattr(doctor_machine, "SPARE_FILES", -4096)
    monkeypatch.setattr(doctor_machine, "PROCESSES", 0)
    monkeypatch.setattr("iuserver.imaging.pool.Pool.unconfined", [])


def address(server: RunningServer) -> str:
    return server.url.removeprefix("http://")


def told(*arguments: str) -> tuple[int, str]:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        status = main(["doctor", *arguments])
    return status, out.getvalue()


def named(level: str, text: str, *arguments: str) -> str:
    """Look, and find this alone; returns the line that fixes it."""
    status, lines = told(*arguments)
    found = re.findall(r"(?m)^(warning|error) +(.+)\n +fix: (.+)$", lines)
    assert len(found) == 1, lines
    assert found[0][0] == level
    assert re.match(text, found[0][1]), lines
    assert status == {"warning": 1, "error": 2}[level]
    return str(found[0][2])


@pytest.fixture
def keyed(server: RunningServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The operator's key, and the port of the server."""
    monkeypatch.setenv("IMAGEUPLOAD_API_KEY", server.new_key("pro"))
    monkeypatch.setenv("IUSERVER_SERVER_PORT", address(server).rpartition(":")[2])


def test_a_healthy_server_is_called_healthy(server: RunningServer, tmp_path: Path, keyed: None) -> None:
    before = server.blobs()
    with nginx([address(server)], tmp_path) as url:
        status, lines = told(url, "--data", str(server.data))
    assert (status, lines.count("\nwarning"), lines.count("\nerror")) == (0, 0, 0), lines
    assert lines.endswith(" well, 0 warnings, 0 errors\n")
    assert os.environ["IMAGEUPLOAD_API_KEY"] not in lines
    assert server.blobs() == before


def through(server: RunningServer, folder: Path, level: str, text: str, **how: Any) -> str:
    """The one thing that is found behind nginx with another configuration."""
    with nginx([address(server)], folder, **how) as url:
        return named(level, text, url, "--remote")


def without_forwarded(text: str) -> str:
    return re.sub(r"(?m)^ *proxy_set_header (X-Forwarded-\w+|Host) .*\n", "", text)


def test_a_proxy_that_does_not_say_how_it_was_called(server: RunningServer, tmp_path: Path, keyed: None) -> None:
    fix = through(server, tmp_path, "error", r"links begin with http://iuserver", edit=without_forwarded)
    assert fix.startswith("the proxy does not say how it was called: proxy_set_header X-Forwarded-Proto")


@pytest.mark.parametrize(
    ("settings", "edit", "expected"),
    [
        ({"trusted_proxies": ()}, without_forwarded, "the server does not believe its proxy: .*trusted_proxies"),
        (
            {"public_url": "http://wrong.example"},
            str,
            'server.public_url is another one: server.public_url = "http://127',
        ),
    ],
    ids=["untrusted proxy", "wrong public URL"],
)
def test_a_server_whose_links_lead_elsewhere(
    tmp_path: Path,
    settings: dict[str, Any],
    edit: Callable[[str], str],
    expected: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with running(tmp_path / "data", **SETTINGS, server=settings) as server:
        monkeypatch.setenv("IMAGEUPLOAD_API_KEY", server.new_key("pro"))
        monkeypatch.setenv("IUSERVER_SERVER_PORT", address(server).rpartition(":")[2])
        (tmp_path / "nginx").mkdir()
        assert re.match(expected, through(server, tmp_path / "nginx", "error", "links begin with http://", edit=edit))
        monkeypatch.setenv("IUSERVER_SERVER_PORT", "0")  # where the server itself cannot be asked
        (tmp_path / "again").mkdir()
        fix = through(server, tmp_path / "again", "error", "links begin with http://", edit=edit)
        assert fix.startswith('server.public_url = "http://127.0.0.1:')


def test_a_proxy_that_limits_bodies(server: RunningServer, tmp_path: Path, keyed: None) -> None:
    with nginx([address(server)], tmp_path, client_max_body_size="1m") as url:
        status, lines = told(url, "--remote")
    assert status == 2
    assert "error    the proxy refuses a body of 2 MB (413)\n         fix: client_max_body_size 0;\n" in lines


def test_a_proxy_that_keeps_bodies_back(
    server: RunningServer, tmp_path: Path, keyed: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor_public, "ANSWER_SECONDS", 1.0)
    fix = through(server, tmp_path, "warning", "a proxy keeps bodies back", proxy_request_buffering="on")
    assert fix == "proxy_request_buffering off;"


def test_a_cache_that_shows_what_is_deleted(
    server: RunningServer, tmp_path: Path, keyed: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor_public, "GONE_SECONDS", 1.5)
    ignored = "X-Accel-Expires Cache-Control; proxy_cache_valid 200 1m"
    fix = through(server, tmp_path, "error", "a deleted picture is still shown", proxy_ignore_headers=ignored)
    assert "X-Accel-Expires" in fix


def test_x_accel_that_nobody_sends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with running(tmp_path / "data", **SETTINGS, delivery={"x_accel": True}) as server:
        monkeypatch.setenv("IMAGEUPLOAD_API_KEY", server.new_key("pro"))
        assert "X-Accel" in named("error", "it is shown empty", server.url, "--remote")
        (tmp_path / "nginx").mkdir()
        fix = through(server, tmp_path / "nginx", "error", r"it is not found \(404\)", blobs=tmp_path / "elsewhere")
        assert fix.startswith("alias in nginx's location of X-Accel must be server.data/blobs/")


def test_a_missing_and_a_wrong_key(server: RunningServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("IMAGEUPLOAD_API_KEY", raising=False)
    assert "key of an account" in named("warning", "no picture was sent", server.url, "--remote")
    monkeypatch.setenv("IMAGEUPLOAD_API_KEY", "iu_live_wrong")
    assert "rotate-key" in named("error", "a picture is refused: 401 invalid_key", server.url, "--remote")


@contextlib.contextmanager
def odd_server(**answers: Any) -> Iterator[str]:
    """Something that answers /healthz as told: `status`, `body`, `date`; and uploads 502."""

    class Odd(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.answer(answers.get("status", 200), answers.get("body", b'{"ok":true}'))

        def do_POST(self) -> None:
            with contextlib.suppress(OSError):
                self.rfile.read(int(self.headers["Content-Length"]))
                self.answer(502, b"<h1>Bad Gateway</h1>")

        def answer(self, status: int, body: bytes) -> None:
            self.send_response_only(status)
            if date := answers.get("date", self.date_time_string()):
                self.send_header("Date", date)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: Any) -> None:
            pass

    odd = ThreadingHTTPServer(("127.0.0.1", 0), Odd)
    thread = threading.Thread(target=odd.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{odd.server_port}"
    finally:
        odd.shutdown()
        thread.join()
        odd.server_close()


def test_what_does_not_answer_as_a_server_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_public, "ANSWER_SECONDS", 0.5)
    with odd_server(status=502) as url:
        assert "start it" in named("error", r"the proxy does not reach the server \(502\)", url, "--remote")
    with odd_server(body=b"<h1>Welcome to nginx!</h1>") as url:
        assert "location /" in named("error", "/healthz is answered 200 by something else", url, "--remote")
    assert "firewall" in named("error", r"http://127\.0\.0\.1:1 cannot be reached", "http://127.0.0.1:1", "--remote")
    with odd_server() as url:
        status, lines = told(url, "--remote")
        assert (status, "error    a body that is refused early is answered 502\n" in lines) == (2, True)
    with odd_server(date="Mon, 01 Jan 2001 00:00:00 GMT") as url:
        assert re.search(
            r"(?m)^warning +its clock and this one are \d+ s apart\n +fix: timedatectl", told(url, "--remote")[1]
        )
    with odd_server(date="") as url:
        assert "warning  the answer has no Date\n" in told(url, "--remote")[1]


def certificate(folder: Path, days: int) -> Path:
    """A certificate for 127.0.0.1 by its own authority, and its key beside it."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=days, hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return folder / "cert.pem"


def test_a_certificate_that_expires_soon_or_is_not_valid(
    server: RunningServer, tmp_path: Path, keyed: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = certificate(tmp_path, days=5)
    lines = f"ssl http2;\n ssl_certificate {path};\n ssl_certificate_key {tmp_path}/key.pem;"
    edit = lambda text: re.sub(r"(listen 127\.0\.0\.1:\d+);", rf"\1 {lines}", text)  # noqa: E731
    with nginx([address(server)], tmp_path, edit=edit) as plain:
        url = plain.replace("http://", "https://")
        assert "whole chain" in named("error", rf"{url}: the certificate is not valid: self.signed", url, "--remote")
        monkeypatch.setenv("SSL_CERT_FILE", str(path))
        if ssl.get_default_verify_paths().cafile == str(path):
            assert "certbot" in named("warning", "the certificate is valid for 5 more days", url, "--remote")


def test_a_slow_disk(server: RunningServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_machine, "SLOW_SYNC_SECONDS", 0.0)
    assert "SSD" in named("warning", r"a sync of the disk takes [\d.]+ ms", "--data", str(server.data))


@pytest.mark.parametrize(("level", "free"), [("warning", 5), ("error", 1)])
@pytest.mark.parametrize("what", ["space", "inodes"])
def test_a_disk_that_is_nearly_full(
    server: RunningServer, level: str, free: int, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor_machine, "SCARCE", 0.1)
    found = {"space": 90, "inodes": 90, what: free}

    class Disk:
        f_blocks = f_files = 100
        f_bavail, f_favail = found["space"], found["inodes"]

    monkeypatch.setattr(os, "statvfs", lambda path: Disk)
    assert "free some" in named(level, f"{free} % of the disk's {what} are free", "--data", str(server.data))


@pytest.mark.parametrize(
    ("kind", "text", "fix"),
    [
        (resource.RLIMIT_NOFILE, "open files: 1024", "LimitNOFILE"),
        (resource.RLIMIT_NPROC, "processes: 1024", "LimitNPROC"),
    ],
)
def test_limits_that_are_low(
    server: RunningServer, kind: int, text: str, fix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor_machine, "SPARE_FILES", 512)
    monkeypatch.setattr(doctor_machine, "PROCESSES", 2000)
    low = {kind: (1024, 1024)}
    monkeypatch.setattr(resource, "getrlimit", lambda kind: low.get(kind, (-1, -1)))
    assert fix in named("warning", text, "--data", str(server.data))


def test_a_kernel_that_confines_no_worker(server: RunningServer) -> None:
    command = [sys.executable, "-m", "tests.old_kernel", "Landlock,seccomp", *RUN, "doctor", "--data", str(server.data)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert re.search(r"(?m)^warning +workers are confined without .*Landlock.*\n +fix: a kernel of 5", done.stdout)


def test_a_data_folder_that_is_not_there_or_another_users(
    server: RunningServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    status, lines = told("--data", str(tmp_path / "nowhere"))
    assert (status, lines.count("error  ")) == (2, 2)  # no folder, no catalog
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    assert "sudo -u" in named("warning", ".+ belongs to another user", "--data", str(server.data))


def test_a_mongodb_that_is_a_single_server(
    mongo_database: str, server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IUSERVER_CATALOG_URL", mongo_database)
    opened = MongoCatalog.open

    async def alone(url: str, node: str = "", clock: Any = None) -> MongoCatalog:
        return await opened(url, node, transactions=False)

    with running(server.data.parent / "mongo", **SETTINGS, catalog={"url": mongo_database}):
        monkeypatch.setattr(MongoCatalog, "open", alone)
        assert "replica set" in named("warning", "MongoDB is a single server", "--data", str(server.data))


@pytest.mark.parametrize(
    ("method", "permissions"),
    [
        ("put", ["s3:PutObject", "s3:PutObject in parts"]),
        ("open", ["s3:GetObject"]),
        ("delete", ["s3:DeleteObject", "s3:DeleteObject of what was put in parts"]),
        ("listing", ["s3:ListBucket, s3:ListBucketMultipartUploads"]),
    ],
)
def test_a_permission_on_s3_that_is_missing(
    s3_url: str, server: RunningServer, method: str, permissions: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object) -> Any:
        raise blobs_unavailable() from PermissionError("AccessDenied")

    monkeypatch.setenv("IUSERVER_BLOBS_URL", s3_url)
    assert told("--data", str(server.data))[0] == 0
    monkeypatch.setattr(S3Blobs, method, refuse)
    status, lines = told("--data", str(server.data))
    found = re.findall(r"(?m)^error +(s3:.+): AccessDenied$", lines)
    assert (status, set(permissions) <= set(found)) == (2, True), lines


def test_an_address_that_is_none_is_told_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "ftp://example.org"]) == 2
    assert capsys.readouterr().err == "iuserver: URL must be an address that begins with http:// or https://\n"
