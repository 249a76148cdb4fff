"""Builds the bench's disk: a small Debian with bluetoothd, btvirt, a kernel, and a venv with our libraries.

    python -m tests.bluez.image

prints where it is. It is built once for each content of this file and of requirements.lock, and each Debian
release, in `$XDG_CACHE_HOME/blind-relay/bench-…` (or ~/.cache). Packages come through this machine's own apt
and pip, with their sources and proxies; the guest itself has no network.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
LOCK: Final = ROOT / "requirements.lock"
INITIAL: Final = Path(__file__).with_name("guest_initramfs.sh")
VENV: Final = "/opt/blind-relay"
"""Where the programs are installed in the guest."""
EXTRAS: Final = ("reader", "handset", "issuer", "merchant", "demo")
USERS: Final = {"reader": "bluetooth,input", "phone": "bluetooth", "issuer": "", "shop": ""}
"""Who runs the programs in the guest, and the groups that docs/pi.md puts them in. None is root."""

HOST_COMMANDS: Final = {
    "qemu-system-x86_64": "qemu-system-x86",
    "mmdebstrap": "mmdebstrap",
    "cpio": "cpio",
    "mke2fs": "e2fsprogs",
}
"""Commands that are needed here, and the Debian packages that hold them."""
GUEST_PACKAGES: Final = (
    *("bluez", "bluez-test-tools", "dbus", "udev"),  # what the bench is about
    *("python3", "python3-venv"),
    *("busybox-static", "iproute2", "kmod", "mount", "procps"),
)
KERNEL: Final = "linux-image-amd64"
MODULES_LEFT_OUT: Final = (
    *("drivers/gpu", "drivers/infiniband", "drivers/isdn", "drivers/md", "drivers/media", "drivers/net"),
    *("drivers/scsi", "drivers/staging", "sound"),
)
"""Kernel modules that no part of a reader needs: two thirds of all."""
INITIAL_MODULES: Final = ("virtio_pci", "virtio_blk", "ext4", "crc32c_generic")
"""What the kernel needs before it can mount its root."""
PLATFORMS: Final = ("manylinux2014_x86_64", *(f"manylinux_2_{minor}_x86_64" for minor in range(17, 37)))
"""Wheels that run on Debian 12 (glibc 2.36) and later."""
DISK_SPARE_MIB: Final = 400


class BenchUnavailableError(Exception):
    """The bench cannot be built on this machine; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Image:
    """What QEMU boots."""

    folder: Path

    @property
    def kernel(self) -> Path:
        return self.folder / "vmlinuz"

    @property
    def initial(self) -> Path:
        return self.folder / "initramfs"

    @property
    def disk(self) -> Path:
        return self.folder / "disk.ext4"


def image() -> Image:
    """The image, built if it is not there yet (about two minutes); raises BenchUnavailableError."""
    _provide_host_commands()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "blind-relay"
    cache.mkdir(parents=True, exist_ok=True)
    wanted = cache / f"bench-{_key()}"
    with _alone(cache / "bench.lock"):
        if not wanted.is_dir():
            if os.geteuid() != 0:
                raise BenchUnavailableError("Building the image needs root once: sudo -E make test-bluez")
            for old in [*cache.glob("bench-*"), *cache.glob("building-*")]:
                shutil.rmtree(old)
            with tempfile.TemporaryDirectory(prefix="building-", dir=cache) as scratch:
                _build(Path(scratch))
                os.rename(Path(scratch) / "image", wanted)
    return Image(wanted)


def _key() -> str:
    inputs = (Path(__file__), INITIAL, LOCK, Path("/etc/debian_version"))
    content = b"".join(hashlib.sha256(path.read_bytes()).digest() for path in inputs if path.is_file())
    return hashlib.sha256(content + repr(_requirements()).encode()).hexdigest()[:16]


def _requirements() -> list[str]:
    """What the four programs and the virtual radio need, without ourselves."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = [*project["dependencies"]]
    for extra in EXTRAS:
        named += project["optional-dependencies"][extra]
    return sorted({name for name in named if not name.startswith(project["name"])})


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


def _run(*command: str | Path, said: bool = False, folder: Path | None = None) -> str:
    """Run it to its end; its output when it is wanted, and in any case when it fails."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode:
        report = f"{' '.join(map(str, command))}\nended with {done.returncode}:\n{done.stdout}{done.stderr}"
        raise BenchUnavailableError(report[-8000:])
    return done.stdout if said else ""


def _provide_host_commands() -> None:
    missing = sorted({package for command, package in HOST_COMMANDS.items() if shutil.which(command) is None})
    if not missing:
        return
    if shutil.which("apt-get") is None:
        raise BenchUnavailableError(f"The bench needs Debian; missing: {', '.join(missing)}")
    if os.geteuid() != 0:
        raise BenchUnavailableError(f"Install what is missing: sudo apt-get install {' '.join(missing)}")
    _tell(f"installing {' '.join(missing)}")
    _run("apt-get", "update")
    os.environ["DEBIAN_FRONTEND"] = "noninteractive"
    _run("apt-get", "install", "--yes", "--no-install-recommends", *missing)


def _build(scratch: Path) -> None:
    result, root = scratch / "image", scratch / "root"
    result.mkdir()
    began = time.monotonic()
    release, sources = _debian()
    _tell(f"Debian {release}: kernel")
    kernel = _download_kernel(scratch)
    _tell(f"Debian {release}: {' '.join(GUEST_PACKAGES)}")
    _unpack_debian(root, release, sources, scratch)
    version = _add_kernel(root, kernel, result)
    _tell("virtual environment")
    _add_venv(root)
    for user, groups in USERS.items():
        _run("chroot", root, "useradd", "--create-home", "--user-group", f"--groups={groups}", user)
    _tell("disk")
    _write_initramfs(root, version, result)
    # The guest's init, with what else changes more often than this image, comes on a second disk.
    (root / "luggage").mkdir()
    size = int(_run("du", "--summarize", "--block-size=1M", root, said=True).split()[0]) + DISK_SPARE_MIB
    _run("mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-d", root, result / "disk.ext4", f"{size}M")
    _tell(f"built in {time.monotonic() - began:.0f} s")


def _debian() -> tuple[str, list[str]]:
    """The release that this machine runs, and one line for each of its Debian sources, as apt knows them."""
    asked = ("apt-get", "indextargets", "--format", "$(ORIGIN) $(CODENAME) $(REPO_URI) $(COMPONENT)")
    for attempt in range(2):
        rows = [line.split() for line in _run(*asked, "Created-By: Packages", said=True).splitlines()]
        debian = [row[1:] for row in rows if len(row) == 4 and row[0] == "Debian"]
        if debian:
            break
        if attempt == 0 and os.geteuid() == 0:
            _run("apt-get", "update")  # who a source is from is known once its index is here
    else:
        raise BenchUnavailableError(
            "The bench needs a Debian machine: none of apt's sources here is Debian's."
        )
    lines = [f"deb {address} {suite} {component}" for suite, address, component in debian]
    return min((suite for suite, _, _ in debian), key=len), list(dict.fromkeys(lines))


def _download_kernel(scratch: Path) -> Path:
    depends = _run("apt-cache", "depends", KERNEL, said=True).split()
    package = next(name for name in depends if name.startswith("linux-image-"))
    package = next((name for name in depends if name.startswith("linux-image-") and name != KERNEL), package)
    # Not as apt's own user, to whom this folder is closed.
    _run("apt-get", "-o", "APT::Sandbox::User=root", "download", package, folder=scratch)
    return next(scratch.glob("linux-image-*.deb"))


def _unpack_debian(root: Path, release: str, sources: Sequence[str], scratch: Path) -> None:
    settings = scratch / "apt.conf"
    kinds = ("http", "https", "Check-Date", "Check-Valid-Until")
    settings.write_text("".join(_run("apt-config", "dump", f"Acquire::{kind}", said=True) for kind in kinds))
    listed = scratch / "sources.list"
    listed.write_text("\n".join(sources) + "\n")
    left_out = ("/usr/share/man/*", "/usr/share/doc/*", "/usr/share/locale/*")
    _run(
        *("mmdebstrap", "--mode=root", "--variant=essential", f"--include={','.join(GUEST_PACKAGES)}"),
        f"--aptopt={settings}",
        "--dpkgopt=force-unsafe-io",  # a power cut may cost an image that is not finished
        *(f"--dpkgopt=path-exclude={pattern}" for pattern in left_out),
        *(release, root, listed),
    )


def _add_kernel(root: Path, package: Path, result: Path) -> str:
    """Its modules into `root`, itself beside the disk; gives its version."""
    unpacked = package.parent / "kernel"
    _run("dpkg-deb", "--extract", package, unpacked)
    modules = next((unpacked / "lib" / "modules").iterdir())
    for folder in MODULES_LEFT_OUT:
        shutil.rmtree(modules / "kernel" / folder)
    shutil.move(modules, root / "usr" / "lib" / "modules" / modules.name)
    shutil.copy(unpacked / "boot" / f"vmlinuz-{modules.name}", result / "vmlinuz")
    _run("chroot", root, "depmod", modules.name)
    return modules.name


def _add_venv(root: Path) -> None:
    """The libraries of all four programs, checked against the lock, in a venv of the guest's own Python."""
    wheels = root / "tmp" / "wheels"
    python = (root / "usr" / "bin" / "python3").readlink().name.removeprefix("python")
    _run(
        *(sys.executable, "-m", "pip", "download", "--quiet", "--require-hashes", "--requirement", LOCK),
        *("--dest", wheels, "--python-version", python, "--implementation", "cp", "--only-binary", ":all:"),
        *(f"--platform={platform}" for platform in PLATFORMS),
    )
    _run("chroot", root, "python3", "-m", "venv", VENV)
    _run(
        # This machine's pip settings name places that are not in there.
        *("env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "PIP_CONFIG_FILE=/dev/null"),
        *("chroot", root, f"{VENV}/bin/pip", "install", "--quiet", "--no-index", "--find-links=/tmp/wheels"),
        *_requirements(),
    )
    shutil.rmtree(wheels)


def _write_initramfs(root: Path, version: str, result: Path) -> None:
    """busybox and the modules that the root disk needs."""
    tree = result.parent / "initramfs"
    ask = ("modprobe", f"--set-version={version}", "--show-depends", "--all")
    for line in _run("chroot", root, *ask, *INITIAL_MODULES, said=True).splitlines():
        kind, path, *_ = line.split()
        if kind == "insmod":
            copy = tree / path.lstrip("/").replace("usr/lib/", "lib/", 1)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(root / path.lstrip("/"), copy)
    modules = Path("lib") / "modules" / version
    for name in ("modules.dep", "modules.alias", "modules.builtin", "modules.order", "modules.symbols"):
        shutil.copy(root / "usr" / modules / name, tree / modules / name)
    (tree / "bin").mkdir()
    shutil.copy(root / "bin" / "busybox", tree / "bin" / "busybox")
    shutil.copy(INITIAL, tree / "init")
    (tree / "init").chmod(0o755)
    packed = f"find . | cpio --create --format=newc --owner=0:0 --quiet | gzip -1 > '{result / 'initramfs'}'"
    _run("sh", "-ec", packed, folder=tree)


def _tell(text: str) -> None:
    sys.stderr.write(f"bench: {text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    try:
        sys.stdout.write(f"{image().folder}\n")
    except BenchUnavailableError as problem:
        sys.exit(f"bench: {problem}")
