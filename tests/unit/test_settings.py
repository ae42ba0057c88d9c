"""Settings: where values come from, and how a wrong one is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from iuserver.settings import S3Location, Settings, SettingsError, load, s3_location


def wrong(tmp_path: Path, toml: str = "", **environ: str) -> str:
    """The one line that a wrong setting is answered with."""
    file = tmp_path / "conf.toml"
    file.write_text(toml)
    with pytest.raises(SettingsError) as caught:
        load(file, environ)
    assert "\n" not in str(caught.value)
    return str(caught.value)


WRONG_PLACES = [
    "disk:/elsewhere",
    "gs://bucket",
    "s3:bucket",
    "s3://",
    "s3://B",
    "s3://bucket/a b",
    "s3://bucket/a//b",
    "s3://bucket?regoin=x",
    "s3://bucket?endpoint",
    "s3://bucket?endpoint=localhost:9000",
    "s3://bucket?endpoint=http://key:secret@host",
    "s3://bucket?region=",
    "s3://bucket#part",
]
WRONG_ORIGINS = [
    "files.example.org",
    "ftp://files.example.org",
    "https://files.example.org/",
    "https://files.example.org/f",
    "https://me@files.example.org",
    "https://",
]


def test_without_a_file_the_defaults_hold() -> None:
    assert load(None, {"PATH": "/bin"}) == Settings()


def test_a_file_overrides_defaults_and_the_environment_overrides_both(tmp_path: Path) -> None:
    file = tmp_path / "conf.toml"
    file.write_text('[server]\nport = 1\nhost = "::1"\ndrain_seconds = 2\n[plans.free]\nmax_file_mb = 3\n')
    environ = {
        "IUSERVER_SERVER_PORT": "2",
        "IUSERVER_BLOBS_SYNC": "false",
        "IUSERVER_PLANS_PRO_STORAGE_MB": "7",
        "IUSERVER_SERVER_TRUSTED_PROXIES": "10.0.0.0/8, ::1",
    }
    settings = load(file, environ)
    assert (settings.server.port, settings.server.host, settings.server.drain_seconds) == (2, "::1", 2.0)
    assert (settings.plans.free.max_file_mb, settings.plans.free.uploads_per_month) == (3, 10)
    assert (settings.plans.pro.storage_mb, settings.blobs.sync) == (7, False)
    assert settings.server.trusted_proxies == ("10.0.0.0/8", "::1")


@pytest.mark.parametrize(
    ("toml", "name"),
    [
        ("[server]\nprot = 1", "server.prot"),
        ("[sever]\nport = 1", "sever"),
        ('[server]\nport = "1"', "server.port"),
        ("[server]\nport = 70000", "server.port"),
        ("[server]\nport = true", "server.port"),
        ("[server]\ndrain_seconds = nan", "server.drain_seconds"),
        ('[server]\nlog_format = "xml"', "server.log_format"),
        ('[server]\npublic_url = "img.example.org"', "server.public_url"),
        ('[server]\ntrusted_proxies = ["localhost"]', "server.trusted_proxies"),
        ("server = 1", "server"),
        ("[plans.gold]\nstorage_mb = 1", "plans.gold"),
        ("[plans.free]\nstorage_mb = -1", "plans.free.storage_mb"),
        ('[accounts]\nsign_up = "yes"', "accounts.sign_up"),
        ("[accounts]\nsession_days = 0", "accounts.session_days"),
        ("[accounts]\nsession_days = 366", "accounts.session_days"),
        ('[accounts]\nupgrade_contact = "me"', "accounts.upgrade_contact"),
        *((f'[server]\nfiles_url = "{url}"', "server.files_url") for url in WRONG_ORIGINS),
        ('[blobs]\nsync = "yes"', "blobs.sync"),
        ('[catalog]\nurl = "oracle:"', "catalog.url"),
        *((f'[blobs]\nurl = "{url}"', "blobs.url") for url in WRONG_PLACES),
        ("[server\n", "conf.toml"),
    ],
)
def test_a_wrong_file_is_told_by_the_settings_name(tmp_path: Path, toml: str, name: str) -> None:
    assert name in wrong(tmp_path, toml)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("IUSERVER_SERVER_PROT", "1"),
        ("IUSERVER_SERVER_PORT", "one"),
        ("IUSERVER_BLOBS_SYNC", "yes"),
        ("IUSERVER_IMAGING_MAX_SIDE", "0"),
    ],
)
def test_a_wrong_variable_is_told_by_name(tmp_path: Path, variable: str, value: str) -> None:
    told = wrong(tmp_path, **{variable: value})
    assert variable.removeprefix("IUSERVER_").lower().replace("_", ".", 1) in told or variable in told


@pytest.mark.parametrize("url", ["", "https://files.example.org", "http://[::1]:8081", "http://127.0.0.1:8081"])
def test_files_may_have_an_origin_of_their_own(url: str) -> None:
    assert load(None, {"IUSERVER_SERVER_FILES_URL": url}).server.files_url == url


def test_a_catalogs_url_is_judged_by_its_scheme_and_never_shown(tmp_path: Path) -> None:
    for url in ("sqlite:", "mongodb://a", "mongodb+srv://a/b"):
        assert load(None, {"IUSERVER_CATALOG_URL": url}).catalog.url == url
    for url in ("", "sqlite:elsewhere.db", "mongo://me:s3cret@a", "s3cret"):
        told = wrong(tmp_path, IUSERVER_CATALOG_URL=url)
        assert "catalog.url" in told
        assert "s3cret" not in told


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="No such file"):
        load(tmp_path / "nowhere.toml", {})


def test_a_place_on_s3_is_taken_apart() -> None:
    assert s3_location("s3://bucket") == S3Location("bucket", "", None, None)
    url = "s3://my.bucket/a/b/?endpoint=http://[::1]:9000&region=eu-central-1"
    assert s3_location(url) == S3Location("my.bucket", "a/b", "http://[::1]:9000", "eu-central-1")
    assert load(None, {"IUSERVER_BLOBS_URL": url}).blobs.url == url
