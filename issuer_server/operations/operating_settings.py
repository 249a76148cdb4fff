"""The settings of those who watch an issuer: `[metrics]`, `[log]` and `[tracing]` of its settings file."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

from protocol.enrolment import is_loopback
from protocol.errors import InputError

METRICS_PORT: Final = 9480
_LEVELS: Final = ("debug", "info", "warning", "error")

S = TypeVar("S")
Types = Mapping[str, type | tuple[type, ...]]


class LogFormat(StrEnum):
    """How log lines look."""

    AUTO = "auto"  # plain at a terminal, JSON elsewhere
    PLAIN = "plain"
    JSON = "json"


def _refuse(advice: str) -> InputError:
    return InputError("invalid_settings", advice)


@dataclass(frozen=True, slots=True)
class MetricsSettings:
    """Where /metrics, /healthz and /readyz are served to whoever watches. The section's presence turns it on.

    Beyond this machine they are served over TLS, with the issuer's certificate.
    """

    host: str = "127.0.0.1"
    port: int = METRICS_PORT  # 0 takes any free port

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise _refuse("the port of [metrics] must be 0 to 65535")

    @property
    def is_loopback(self) -> bool:
        return is_loopback(self.host)


@dataclass(frozen=True, slots=True)
class LogSettings:
    """Log lines on standard error."""

    format: LogFormat = LogFormat.AUTO
    level: str = "info"

    def __post_init__(self) -> None:
        if self.level not in _LEVELS:
            raise _refuse(f"the level of [log] is one of {', '.join(_LEVELS)}")

    @property
    def number(self) -> int:
        """The level as `logging` counts."""
        return logging.getLevelNamesMapping()[self.level.upper()]


@dataclass(frozen=True, slots=True)
class TracingSettings:
    """Where traces go, by OTLP over HTTP: `http://127.0.0.1:4318/v1/traces`. `sample` is the part kept."""

    endpoint: str
    sample: float = 1.0
    service_name: str = "blind-relay-issuer"

    def __post_init__(self) -> None:
        address = urlsplit(self.endpoint)
        if address.scheme not in ("http", "https") or not address.hostname or "@" in address.netloc:
            raise _refuse("the endpoint of [tracing] is an address like http://127.0.0.1:4318/v1/traces")
        if address.scheme == "http" and not is_loopback(address.hostname):
            raise _refuse("the endpoint of [tracing] must be https://, or on this machine: 127.0.0.1")
        if not 0 <= self.sample <= 1:
            raise _refuse("sample of [tracing] must be 0 (nothing) to 1 (everything)")
        if not self.service_name.strip():
            raise _refuse("service_name of [tracing] must not be empty")


def metrics_settings(table: Mapping[str, Any]) -> MetricsSettings:
    """The section `[metrics]`; raises InputError (invalid_settings)."""
    return MetricsSettings(**_checked(MetricsSettings, "metrics", table, {"host": str, "port": int}))


def log_settings(table: Mapping[str, Any]) -> LogSettings:
    """The section `[log]`; raises InputError (invalid_settings)."""
    values = _checked(LogSettings, "log", table, {"format": str, "level": str})
    if "format" in values:
        try:
            values["format"] = LogFormat(values["format"])
        except ValueError:
            raise _refuse(f"the format of [log] is one of {', '.join(LogFormat)}") from None
    return LogSettings(**values)


def tracing_settings(table: Mapping[str, Any]) -> TracingSettings:
    """The section `[tracing]`; raises InputError (invalid_settings)."""
    types: Types = {"endpoint": str, "sample": (int, float), "service_name": str}
    values = _checked(TracingSettings, "tracing", table, types)
    if "endpoint" not in values:
        raise _refuse("[tracing] needs endpoint: where the traces go")
    return TracingSettings(**values)


SECTIONS: Final[Mapping[str, Callable[[Mapping[str, Any]], object]]] = {
    "metrics": metrics_settings,
    "log": log_settings,
    "tracing": tracing_settings,
}


def _checked(section: type[S], name: str, table: Mapping[str, Any], types: Types) -> dict[str, Any]:
    known = [entry.name for entry in fields(section)]  # type: ignore[arg-type]
    for key, value in table.items():
        if key not in known:
            raise _refuse(f"[{name}] has no setting {key!r}; it takes {', '.join(known)}")
        if not isinstance(value, types[key]) or isinstance(value, bool):
            raise _refuse(f"{key} of [{name}] has a value of the wrong type")
    return dict(table)
