"""Settings: defaults, overridden by a TOML file, overridden by IUSERVER_SECTION_KEY variables."""

from __future__ import annotations

import dataclasses
import ipaddress
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from iuserver.records import Plan

PREFIX = "IUSERVER_"
_CONTACT = re.compile(r"[^@\s:/?]+@[^@\s:/?]+|https?://\S+")


class SettingsError(ValueError):
    """A setting that cannot be used; the text is one line that names it."""


def _number(default: int | float, *, least: float = 0, most: float | None = None) -> Any:
    def check(value: Any) -> str | None:
        if not value >= least:  # nan is not
            return f"must be at least {least}"
        return f"must be at most {most}" if most is not None and value > most else None

    return field(default=default, metadata={"check": check})


def _choice(default: str, *choices: str) -> Any:
    def check(value: Any) -> str | None:
        return None if value in choices else f"must be one of {', '.join(map(repr, choices))}"

    return field(default=default, metadata={"check": check})


def _checked(default: Any, check: Callable[[Any], str | None]) -> Any:
    return field(default=default, metadata={"check": check})


def _public_url(value: str) -> str | None:
    usable = value == "" or (value.startswith(("http://", "https://")) and not value.endswith("/"))
    return None if usable else "must start with http:// or https:// and not end with a slash"


def _origin(value: str) -> str | None:
    usable = value == "" or re.fullmatch(_ENDPOINT.removesuffix("/?"), value)
    return None if usable else "must be http:// or https:// and a host, with a port or without one, and nothing behind"


def _catalog_url(value: str) -> str | None:
    usable = value == "sqlite:" or value.startswith(("mongodb://", "mongodb+srv://"))
    return None if usable else "must be 'sqlite:' or begin with mongodb:// or mongodb+srv://"


def _contact(value: str) -> str | None:
    usable = value == "" or _CONTACT.fullmatch(value)
    return None if usable else "must be an e-mail address or a link that starts with http:// or https://"


def _listen(value: str) -> str | None:
    host, _, port = value.rpartition(":")
    usable = value == "" or (host and port.isascii() and port.isdigit() and int(port) < 65536)
    return None if usable else "must be HOST:PORT"


def _hosts(value: tuple[str, ...]) -> str | None:
    named = all(name and not set(name) & set("/@ ") for name in value)
    return None if named else "must be names of hosts, without http:// and without a path"


def _networks(value: tuple[str, ...]) -> str | None:
    for network in value:
        try:
            ipaddress.ip_network(network)
        except ValueError:
            return f"{network!r} is no address and no network"
    return None


@dataclass(frozen=True)
class S3Location:
    """Where blobs are on S3: `s3://BUCKET/PREFIX?endpoint=…&region=…`, of which only the bucket must be there."""

    bucket: str
    prefix: str
    endpoint: str | None
    region: str | None


def s3_location(url: str) -> S3Location:
    """Take such a URL apart. Raises ValueError with what it must have, as in "must have …"."""
    parsed = urlsplit(url)
    try:
        query = dict(parse_qsl(parsed.query, keep_blank_values=True, strict_parsing=bool(parsed.query)))
    except ValueError:
        raise ValueError("must have a query of the form endpoint=…&region=…") from None
    location = S3Location(parsed.netloc, parsed.path.strip("/"), query.pop("endpoint", None), query.pop("region", None))
    if query or parsed.fragment:
        raise ValueError("must have no query but endpoint and region")
    for value, pattern, rule in (
        (location.bucket, _BUCKET, "have a bucket's name behind s3://"),
        (location.prefix, _PREFIX, "have a prefix of letters, digits and !_.*'()-, with / in between"),
        (location.endpoint, _ENDPOINT, "have an endpoint of the form http://HOST:PORT, without a path"),
        (location.region, _REGION, "have a region such as eu-central-1"),
    ):
        if value is not None and not re.fullmatch(pattern, value):
            raise ValueError(f"must {rule}")
    return location


_BUCKET = r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"
_PREFIX = r"([A-Za-z0-9!_.*'()-]+(/[A-Za-z0-9!_.*'()-]+)*)?"
_ENDPOINT = r"https?://([A-Za-z0-9.-]+|\[[0-9a-fA-F:.]+\])(:\d{1,5})?/?"
_REGION = r"[a-z0-9-]+"


def _blobs_url(value: str) -> str | None:
    if value == "disk:":
        return None
    if not value.startswith("s3://"):
        return "must be 'disk:' or begin with 's3://'"
    try:
        s3_location(value)
    except ValueError as error:
        return str(error)
    return None


@dataclass(frozen=True)
class ServerSettings:
    host: str = "127.0.0.1"
    port: int = _number(8080, most=65535)
    data: str = "var"
    log_format: str = _choice("text", "text", "json")
    public_url: str = _checked("", _public_url)
    files_url: str = _checked("", _origin)
    hosts: tuple[str, ...] = _checked((), _hosts)
    mcp_origins: tuple[str, ...] = ()
    abuse_contact: str = _checked("", _contact)
    trusted_proxies: tuple[str, ...] = _checked(("127.0.0.0/8", "::1"), _networks)
    drain_mb: int = _number(8)
    drain_seconds: float = _number(5.0)
    shutdown_seconds: float = _number(30.0)
    max_connections: int = _number(4096)
    per_address_share: float = _number(0.25, most=1)
    read_only: bool = False


@dataclass(frozen=True)
class AccountsSettings:
    sign_up: str = _choice("invite", "invite", "open", "closed")
    session_days: int = _number(30, least=1, most=365)
    upgrade_contact: str = _checked("", _contact)


@dataclass(frozen=True)
class LimitsSettings:
    api_per_minute: int = _number(60)
    mcp_per_minute: int = _number(120)
    web_per_minute: int = _number(600)


@dataclass(frozen=True)
class PlanSettings:
    uploads_per_month: int = _number(0)
    storage_mb: int = _number(0)
    max_file_mb: int = _number(25, least=1)
    max_expiration_days: int = _number(0)
    custom_expiration: bool = False
    custom_slug: bool = False


@dataclass(frozen=True)
class PlansSettings:
    free: PlanSettings = PlanSettings(uploads_per_month=10, storage_mb=500, max_expiration_days=30)
    starter: PlanSettings = PlanSettings(uploads_per_month=50, storage_mb=5 * 1024)
    pro: PlanSettings = PlanSettings(storage_mb=50 * 1024, max_file_mb=50, custom_expiration=True, custom_slug=True)
    business: PlanSettings = PlanSettings(
        storage_mb=500 * 1024, max_file_mb=100, custom_expiration=True, custom_slug=True
    )


@dataclass(frozen=True)
class ReceiveSettings:
    max_uploads: int = _number(256, least=1)
    per_account: int = _number(16)
    max_wait: float = _number(10.0)
    min_rate: int = _number(1024)


@dataclass(frozen=True)
class QueueSettings:
    max_jobs: int = _number(128, least=1)
    max_mb: int = _number(512, least=1)
    max_wait: float = _number(10.0)
    per_account_share: float = _number(0.5, most=1)


@dataclass(frozen=True)
class ImagingSettings:
    workers: int = _number(0, most=256)
    max_side: int = _number(16384, least=1)
    max_pixels: int = _number(50_000_000, least=1)
    max_total_pixels: int = _number(200_000_000, least=1)
    max_frames: int = _number(2000, least=1)
    max_scans: int = _number(100, least=1)
    orientation: str = _choice("keep", "keep", "bake")
    max_decode_pixels: int = _number(25_000_000)


@dataclass(frozen=True)
class DeliverySettings:
    max_age: int = _number(3600)
    presign: int = _number(0, most=7 * 86400)


@dataclass(frozen=True)
class MetricsSettings:
    listen: str = _checked("", _listen)
    token: str = ""


@dataclass(frozen=True)
class CatalogSettings:
    url: str = field(default="sqlite:", metadata={"check": _catalog_url, "private": True})


@dataclass(frozen=True)
class BlobsSettings:
    url: str = _checked("disk:", _blobs_url)
    sync: bool = True
    group: str = ""


@dataclass(frozen=True)
class Settings:
    """Every setting, section by section; conf/iuserver.toml says what each is for."""

    server: ServerSettings = ServerSettings()
    accounts: AccountsSettings = AccountsSettings()
    limits: LimitsSettings = LimitsSettings()
    plans: PlansSettings = PlansSettings()
    receive: ReceiveSettings = ReceiveSettings()
    queue: QueueSettings = QueueSettings()
    imaging: ImagingSettings = ImagingSettings()
    delivery: DeliverySettings = DeliverySettings()
    metrics: MetricsSettings = MetricsSettings()
    catalog: CatalogSettings = CatalogSettings()
    blobs: BlobsSettings = BlobsSettings()

    def plan_records(self) -> dict[str, Plan]:
        """The plans by name, as the use cases know them."""
        return {
            f.name: Plan(name=f.name, **dataclasses.asdict(getattr(self.plans, f.name))) for f in fields(self.plans)
        }


def load(file: Path | None, environ: Mapping[str, str]) -> Settings:
    """Read the settings: defaults, then `file`, then the IUSERVER_* variables of `environ`.

    Raises SettingsError for an unknown key, a value of the wrong type or out of range, an unreadable file.
    """
    settings: Settings = Settings()
    if file is not None:
        settings = _overlay(settings, _read(file), str(file))
    settings = _overlay(settings, _from_environment(environ), "the environment")
    assert isinstance(settings, Settings)
    return settings


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except OSError as error:
        raise SettingsError(f"{file}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file}: {error}") from error


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    names = {PREFIX + "_".join(path).upper(): path for path in _paths(Settings())}
    tree: dict[str, Any] = {}
    for name in sorted(name for name in environ if name.startswith(PREFIX)):
        if name not in names:
            raise SettingsError(f"{name}: there is no such setting")
        *sections, key = names[name]
        branch = tree
        for section in sections:
            branch = branch.setdefault(section, {})
        branch[key] = _Text(environ[name])
    return tree


class _Text(str):
    """A value from the environment: text that stands for whatever type the setting has."""


def _paths(node: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for f in fields(node):
        value = getattr(node, f.name)
        if dataclasses.is_dataclass(value):
            yield from _paths(value, (*path, f.name))
        else:
            yield (*path, f.name)


def _overlay(node: Any, changes: Any, origin: str, path: str = "") -> Any:
    if not isinstance(changes, dict):
        raise SettingsError(f"{path}: must be a section (in {origin})")
    known = {f.name: f for f in fields(node)}
    values = {}
    for key, value in changes.items():
        name = f"{path}.{key}" if path else key
        if key not in known:
            raise SettingsError(f"{name}: there is no such setting (in {origin})")
        old = getattr(node, key)
        if dataclasses.is_dataclass(old):
            values[key] = _overlay(old, value, origin, name)
        else:
            values[key] = _value(name, value, old, known[key].metadata)
    return dataclasses.replace(node, **values)


def _value(name: str, value: Any, old: Any, metadata: Mapping[str, Any]) -> Any:
    typed = _parse(name, value, old) if isinstance(value, _Text) else _exact(name, value, old)
    check = metadata.get("check")
    problem = check(typed) if check else None
    if problem:  # what may hold a password is not shown
        raise SettingsError(f"{name}: {problem}" + ("" if metadata.get("private") else f", not {value!r}"))
    return typed


def _exact(name: str, value: Any, old: Any) -> Any:
    if isinstance(old, tuple) and isinstance(value, list) and all(isinstance(item, str) for item in value):
        return tuple(value)
    if isinstance(old, float) and type(value) is int:
        return float(value)
    if type(value) is not type(old):
        raise SettingsError(f"{name}: must be {_KINDS[type(old)]}, not {value!r}")
    return value


def _parse(name: str, text: str, old: Any) -> Any:
    try:
        if isinstance(old, bool):
            return {"true": True, "false": False}[text.lower()]
        if isinstance(old, tuple):
            return tuple(item.strip() for item in text.split(",") if item.strip())
        return type(old)(text)
    except (ValueError, KeyError):
        raise SettingsError(f"{name}: must be {_KINDS[type(old)]}, not {str(text)!r}") from None


_KINDS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text in quotes",
    tuple: "a list of texts",
}
