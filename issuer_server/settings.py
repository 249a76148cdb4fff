"""What the operator of an issuer decides, read from one TOML file; no secret stands in it."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeVar

from issuer_server.key_custody.token_settings import TokenSettings, token_settings
from issuer_server.operations.operating_settings import (
    SECTIONS,
    LogSettings,
    MetricsSettings,
    TracingSettings,
)
from issuer_server.payment import Deadlines
from issuer_server.rate_limits import USUAL_LIMITS, Limits
from protocol.enrolment import check_issuer_url, is_loopback
from protocol.errors import InputError
from protocol.identifiers import IssuerId, check_issuer_id

MOST_PIN_ATTEMPTS = 3

N = TypeVar("N", Deadlines, Limits)


def _refuse(advice: str) -> InputError:
    return InputError("invalid_settings", advice)


@dataclass(frozen=True, slots=True)
class Settings:
    """Checked when built; raises InputError (invalid_settings) with what to change.

    `keys` is the file of the issuer's long-term keys, readable by the service alone. Times are seconds.
    """

    issuer_id: IssuerId
    database: Path
    keys: Path
    host: str = "127.0.0.1"
    port: int = 8480  # 0 takes any free port
    public_url: str | None = None  # what phones and readers call, where it differs from host and port
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    insecure_plain_http_on_a_public_address: bool = False
    deadlines: Deadlines = field(default_factory=Deadlines)
    pin_attempts_per_payment: int = 1
    webhooks_to_private_addresses: bool = False  # also lets them go over plain HTTP: for development
    webhook_days_kept: float = 30.0  # how long a webhook that was given up may still be sent again
    limits: Limits = USUAL_LIMITS
    stop_grace: float = 10.0  # how long payments in flight may still end by themselves at a graceful stop
    metrics: MetricsSettings | None = None
    log: LogSettings = field(default_factory=LogSettings)
    tracing: TracingSettings | None = None
    pkcs11: TokenSettings | None = None

    def __post_init__(self) -> None:
        check_issuer_id(self.issuer_id)
        if not 0 <= self.port <= 65535:
            raise _refuse("port must be 0 to 65535")
        if self.public_url is not None:
            try:
                check_issuer_url(self.public_url)
            except InputError:
                raise _refuse("public_url must be an address like https://issuer.example:8443") from None
        if not 1 <= self.pin_attempts_per_payment <= MOST_PIN_ATTEMPTS:
            raise _refuse(f"pin_attempts_per_payment must be 1 to {MOST_PIN_ATTEMPTS}")
        if not 0 <= self.stop_grace <= 600:
            raise _refuse("stop_grace must be 0 to 600 seconds")
        if not 0 <= self.webhook_days_kept <= 3650:
            raise _refuse("webhook_days_kept must be 0 to 3650 days")
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise _refuse("give tls_certificate and tls_key together, or neither")
        if not (self.has_tls or self.is_loopback or self.insecure_plain_http_on_a_public_address):
            raise _refuse(
                f"plain HTTP is for this machine alone, and {self.host} is not: set tls_certificate and"
                " tls_key, listen on 127.0.0.1, or set insecure_plain_http_on_a_public_address = true"
            )
        if self.metrics is not None and not (
            self.has_tls or self.metrics.is_loopback or self.insecure_plain_http_on_a_public_address
        ):
            raise _refuse(
                f"metrics go over plain HTTP on this machine alone, and {self.metrics.host} is not: set"
                ' tls_certificate and tls_key, or host = "127.0.0.1" under [metrics]'
            )

    @property
    def has_tls(self) -> bool:
        return self.tls_certificate is not None

    @property
    def is_loopback(self) -> bool:
        """Only this machine can reach `host`."""
        return is_loopback(self.host)


def load_settings(path: Path) -> Settings:
    """Read a settings file; its relative paths start at its folder. Raises InputError (invalid_settings)."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise _refuse(f"cannot read the settings file {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise _refuse(f"{path} is not TOML: {error}") from None
    return settings_from(table, path.parent)


def settings_from(table: Mapping[str, Any], folder: Path) -> Settings:
    """Settings of a parsed TOML table: keys as in Settings, `[deadlines]`, `[limits]` … likewise."""
    types: Mapping[str, type | tuple[type, ...]] = {
        "issuer_id": str,
        "database": str,
        "keys": str,
        "host": str,
        "port": int,
        "public_url": str,
        "tls_certificate": str,
        "tls_key": str,
        "insecure_plain_http_on_a_public_address": bool,
        "deadlines": dict,
        "limits": dict,
        "pin_attempts_per_payment": int,
        "webhooks_to_private_addresses": bool,
        "webhook_days_kept": (int, float),
        "stop_grace": (int, float),
        **dict.fromkeys(SECTIONS, dict),
        "pkcs11": dict,
    }
    values: dict[str, Any] = {}
    for name, value in table.items():
        if name not in types:
            raise _refuse(f"there is no setting {name!r}; the settings are {', '.join(types)}")
        expected = types[name]
        if not isinstance(value, expected) or (isinstance(value, bool) and expected is not bool):
            raise _refuse(f"the setting {name} has a value of the wrong type")
        values[name] = value
    for name in ("issuer_id", "database", "keys"):
        if name not in values:
            raise _refuse(f"the setting {name} is missing")
    for name in ("database", "keys", "tls_certificate", "tls_key"):
        if name in values:
            values[name] = folder / values[name]
    if "deadlines" in values:
        values["deadlines"] = _numbers(Deadlines(), "deadlines", "a number of seconds", values["deadlines"])
    if "limits" in values:
        values["limits"] = _numbers(USUAL_LIMITS, "limits", "a number, 0 for no limit", values["limits"])
    for name, read in SECTIONS.items():
        if name in values:
            values[name] = read(values[name])
    if "pkcs11" in values:
        values["pkcs11"] = token_settings(values["pkcs11"], folder)
    return Settings(**values)


def _numbers(usual: N, section: str, what: str, table: Mapping[str, Any]) -> N:
    """A section of numbers; what it does not name stays as usual."""
    known = {entry.name for entry in fields(usual)}
    for name, value in table.items():
        if name not in known or isinstance(value, bool) or not isinstance(value, int | float):
            raise _refuse(f"[{section}] takes {', '.join(sorted(known))}, each {what}")
    try:
        return replace(usual, **table)
    except ValueError as rule:
        raise _refuse(str(rule)) from None
