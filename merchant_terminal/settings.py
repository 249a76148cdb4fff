"""Where the terminal keeps its issuer's address and API key: XDG directories, or beside a --config file."""

from __future__ import annotations

import json
import os
import ssl
import stat
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from merchant_terminal.issuer_api import ApiKey, check_issuer_url
from protocol.errors import InputError

PROGRAM = "merchant-terminal"


@dataclass(frozen=True, slots=True)
class Places:
    """The three paths the terminal uses."""

    config: Path
    key: Path
    unanswered: Path

    @classmethod
    def find(cls, config: str | None, environment: Mapping[str, str]) -> Places:
        """XDG base directories, or, for --config, everything beside that file so that two shops never mix."""
        if config is not None:
            path = Path(config).expanduser()
            return cls(path, path.with_suffix(".key"), path.with_suffix(".unanswered"))
        home = Path(environment.get("HOME") or Path.home())
        config_home = _xdg(environment, "XDG_CONFIG_HOME", home / ".config") / PROGRAM
        state_home = _xdg(environment, "XDG_STATE_HOME", home / ".local" / "state") / PROGRAM
        return cls(config_home / "config.toml", config_home / "config.key", state_home / "unanswered")


def _xdg(environment: Mapping[str, str], name: str, default: Path) -> Path:
    """XDG Base Directory Specification: a relative path in these variables is invalid and ignored."""
    value = Path(environment.get(name) or "")
    return value if value.is_absolute() else default


@dataclass(frozen=True, slots=True)
class Settings:
    """What `login` wrote: the issuer's address and, for a private authority, its certificate."""

    issuer_url: str
    ca_file: str | None = None

    def __post_init__(self) -> None:
        check_issuer_url(self.issuer_url)

    def tls(self) -> ssl.SSLContext | None:
        """The TLS context for a private certificate authority, or None for the system's own list."""
        if self.ca_file is None:
            return None
        try:
            return ssl.create_default_context(cafile=self.ca_file)
        except OSError:
            raise InputError("invalid_ca_file", f"Cannot read certificates from {self.ca_file}.") from None

    def toml(self) -> str:
        """The configuration file. JSON strings are valid TOML basic strings."""
        lines = [f"issuer = {json.dumps(self.issuer_url, ensure_ascii=False)}"]
        if self.ca_file is not None:
            lines.append(f"ca_file = {json.dumps(self.ca_file, ensure_ascii=False)}")
        return "\n".join(lines) + "\n"


def absolute(path: str | None) -> str | None:
    """A path as a person gives it, so that it leads to the same file from every folder."""
    return None if path is None else str(Path(path).expanduser().absolute())


def load_settings(places: Places) -> Settings:
    """Read the configuration file; InputError says how to make one."""
    try:
        document = tomllib.loads(places.config.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(
            "not_logged_in",
            "This terminal does not know its issuer yet. Run: merchant-terminal login --issuer URL",
        ) from None
    except (OSError, ValueError):
        raise InputError(
            "unreadable_config", f"Cannot read {places.config}. Run login again to rewrite it."
        ) from None
    unknown = sorted(set(document) - {"issuer", "ca_file"})
    issuer, ca_file = document.get("issuer"), document.get("ca_file")
    if unknown or not isinstance(issuer, str) or not isinstance(ca_file, str | None):
        wrong = unknown[0] if unknown else "issuer"
        raise InputError(
            "invalid_config", f"{places.config}: '{wrong}' is not right. Run login again to rewrite it."
        )
    return Settings(check_issuer_url(issuer), ca_file)


def load_key(places: Places) -> ApiKey:
    """Read the API key, refusing a file that other people on this machine may read."""
    try:
        mode = places.key.stat().st_mode
        if sys.platform != "win32" and stat.S_IMODE(mode) & 0o077:
            raise InputError(
                "key_file_exposed",
                f"Others on this machine can read {places.key}. Run: chmod 600 {places.key}",
            )
        return ApiKey(places.key.read_text(encoding="ascii").strip())
    except (OSError, UnicodeDecodeError):
        raise InputError(
            "not_logged_in", "No API key is stored. Run: merchant-terminal login --issuer URL"
        ) from None


def save(places: Places, settings: Settings, key: ApiKey) -> None:
    """Write configuration and key, each whole or not at all, the key readable by this user alone."""
    _write_privately(places.key, key.secret + "\n")
    _write_privately(places.config, settings.toml())


def _write_privately(path: Path, text: str) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)
    with os.fdopen(
        os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8"
    ) as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(draft, path)
