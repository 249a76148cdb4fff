"""The bench's fixtures: one machine for all tests, booted once. Run by `make test-bluez` alone."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from tests.bluez.bluetooth import Bluetooth
from tests.bluez.image import image
from tests.bluez.machine import Machine
from tests.bluez.town import BenchTown

WANTED = "BLIND_RELAY_BENCH"
HERE = Path(__file__).resolve().parent
BOOT_AND_TEST_SECONDS = 600


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Each needs minutes and a machine of its own: skipped unless asked for."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.timeout(BOOT_AND_TEST_SECONDS))
            if not os.environ.get(WANTED):
                item.add_marker(pytest.mark.skip(reason="boots a machine in QEMU: make test-bluez"))


@pytest.fixture(scope="session")
def machine() -> Iterator[Machine]:
    """The computer, booted, with our programs installed."""
    with Machine(image()) as booted:
        booted.install()
        yield booted


@pytest.fixture(scope="session")
def bluetooth(machine: Machine) -> Bluetooth:
    """bluetoothd and the controllers."""
    return Bluetooth(machine.guest)


@pytest.fixture(scope="session")
def town(machine: Machine, bluetooth: Bluetooth) -> BenchTown:
    """All four parties, ready to pay."""
    return BenchTown(machine.guest, bluetooth)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Where a test fails, show what every program in the guest said, and the kernel's last words."""
    report = yield
    machine = getattr(item, "funcargs", {}).get("machine")
    if report.failed and isinstance(machine, Machine):
        report.sections.append(("said in the guest", machine.guest.log()))
        report.sections.append(("QEMU and kernel", machine.last_words()))
    return report
