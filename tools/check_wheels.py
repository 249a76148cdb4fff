"""Whether a 64-bit Arm reader can be installed without a compiler: `python -m tools.check_wheels`.

Every library of the reader's extra, at the version and with a hash of requirements.lock, must have a wheel
for the Pythons of Debian 12 and 13. Asks the package index as pip is configured here; nothing is installed.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path
from typing import Final

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename

LOCK: Final = Path(__file__).resolve().parents[1] / "requirements.lock"
TARGETS: Final = {"3.11": (2, 36), "3.13": (2, 41)}
"""Python of Debian 12 and 13, each with its glibc: wheels for an older one run too."""
_OLDEST_GLIBC: Final = 17  # manylinux2014
_INSTEAD: Final = {
    "aiohttp": "python3-aiohttp",
    "bleak": "python3-bleak",
    "cbor2": "python3-cbor2",
    "cffi": "python3-cffi-backend",
    "cryptography": "python3-cryptography",
    "dbus-fast": "python3-dbus-fast",
    "dbus-next": "python3-dbus-next",
    "evdev": "python3-evdev",
    "gpiod": "python3-libgpiod",
    "luma-oled": "python3-luma.oled",
    "pillow": "python3-pil",
    "smbus2": "python3-smbus2",
}
"""What Debian has of them, mostly older: what to try where a wheel is missing."""


@dataclass(frozen=True, slots=True)
class Wheel:
    """What pip would install of one library; `file` is None where it finds nothing that fits."""

    library: str
    version: str
    file: str | None
    problem: str = ""

    @property
    def is_compiled(self) -> bool:
        """Whether it is one for this machine and no other."""
        return self.file is not None and not self.file.endswith("-any.whl")


def libraries(python: str, extra: str = "reader", ours: str = "blind-relay") -> set[str]:
    """What the extra needs on 64-bit Arm, by the metadata of what is installed here."""
    environment: dict[str, str] = {**default_environment()}  # type: ignore[dict-item]
    environment |= {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "platform_machine": "aarch64",
        "sys_platform": "linux",
        "platform_system": "Linux",
    }
    found: set[str] = set()
    waiting = [(ours, frozenset({extra}))]
    while waiting:
        name, extras = waiting.pop()
        for needed in map(Requirement, requires(name) or ()):
            if needed.marker is None or any(
                needed.marker.evaluate({**environment, "extra": one}) for one in (extras or {""})
            ):
                library = canonicalize_name(needed.name)
                if library not in found:
                    found.add(library)
                    waiting.append((library, frozenset(needed.extras)))
    return found


def locked(text: str) -> Mapping[str, tuple[str, str]]:
    """Version and hashes of every library in the lock, the hashes as pip takes them."""
    found: dict[str, tuple[str, str]] = {}
    for name, version, hashes in re.findall(
        r"^([A-Za-z0-9._-]+)==(\S+)[^\n]*\\\n((?:    --hash=\S+(?: \\)?\n)+)", text, re.MULTILINE
    ):
        found[canonicalize_name(name)] = (version, " ".join(re.findall(r"--hash=\S+", hashes)))
    return found


def wheels(python: str, glibc: tuple[int, int], lock: Mapping[str, tuple[str, str]]) -> Iterator[Wheel]:
    """What pip chooses for each library: all at once, and one by one only to name those without."""
    wanted = sorted(libraries(python))
    with tempfile.TemporaryDirectory() as folder:
        together = _download(python, glibc, {name: lock[name] for name in wanted}, Path(folder))
        for name in wanted if together else ():
            alone = _download(python, glibc, {name: lock[name]}, Path(folder))
            if alone:
                yield Wheel(name, lock[name][0], None, alone)
        for file in sorted(Path(folder).iterdir()):
            library, version, *_ = parse_wheel_filename(file.name)
            yield Wheel(library, str(version), file.name)


def _download(
    python: str, glibc: tuple[int, int], pinned: Mapping[str, tuple[str, str]], folder: Path
) -> str:
    """Empty when pip found a wheel, with a hash of the lock, for each; else what pip says."""
    tags = [f"manylinux_{glibc[0]}_{minor}_aarch64" for minor in range(glibc[1], _OLDEST_GLIBC - 1, -1)]
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.writelines(f"{name}=={version} {hashes}\n" for name, (version, hashes) in pinned.items())
        file.flush()
        done = subprocess.run(  # noqa: S603 - pip with arguments of this file
            [
                *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"),
                *("--no-deps", "--require-hashes", "--only-binary=:all:", "--dest", str(folder)),
                *("--implementation", "cp", "--python-version", python),
                *("--abi", f"cp{python.replace('.', '')}", "--abi", "abi3", "--abi", "none"),
                *(word for tag in (*tags, "manylinux2014_aarch64") for word in ("--platform", tag)),
                *("--requirement", file.name),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
    return done.stderr.strip() if done.returncode else ""


def main() -> int:
    """A line for each library; 1 when one has no wheel, 2 when that cannot be told here."""
    lock = locked(LOCK.read_text())
    missing = 0
    for python, glibc in TARGETS.items():
        print(f"Python {python}, glibc {glibc[0]}.{glibc[1]}, aarch64:")  # noqa: T201 - a command prints
        try:
            found = list(wheels(python, glibc, lock))
        except (PackageNotFoundError, KeyError) as problem:
            print(f"  {problem}: run make setup, on Linux, and make lock")  # noqa: T201
            return 2
        for wheel in found:
            missing += wheel.file is None
            print(f"  {wheel.library:18} {wheel.version:10} {wheel.file or _without(wheel)}")  # noqa: T201
        compiled = sum(wheel.is_compiled for wheel in found)
        print(f"  {len(found)} libraries, {compiled} of them compiled for Arm")  # noqa: T201
    return int(missing > 0)


def _without(wheel: Wheel) -> str:
    instead = _INSTEAD.get(wheel.library)
    debian = f"Debian has {instead}" if instead else "Debian has nothing in its place"
    said = wheel.problem.splitlines()
    return f"NO WHEEL; {debian}. {said[-1] if said else ''}"


if __name__ == "__main__":
    sys.exit(main())
