"""The issuer as a process that a test starts, kills, starts again; forked warm, so that this is cheap."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import sys
import threading
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Final

import aiohttp

ROOT: Final = Path(__file__).resolve().parents[2]
PATIENCE: Final = 60.0
"""Seconds for a process to start, or to come to its failpoint: a loaded machine is slow, not wrong."""
WEAKENED: Final = "weakened"
"""In place of a failpoint: an issuer that must not pass."""


def serve(data: str, log: str, failpoint: str | None, nth: int) -> None:
    """Runs in the child: `issuer-server run`, as the command does it."""
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(output, 1)
    os.dup2(output, 2)
    threading.Thread(target=_die_with_the_test, daemon=True).start()
    from issuer_server.cli import main
    from tests.crash.failpoints import arm, weaken

    if failpoint == WEAKENED:
        weaken()
    elif failpoint is not None:
        arm(failpoint, nth)
    sys.exit(main(["run", "--data", data]))


def _die_with_the_test() -> None:
    """A test that is killed leaves no issuer behind."""
    test = multiprocessing.parent_process()
    assert test is not None
    test.join()
    os.kill(os.getpid(), signal.SIGKILL)


class ServerProcess:
    """One issuer on one data directory and one port; at most one process at a time."""

    def __init__(self, data: Path, url: str, log: Path) -> None:
        self.data = data
        self.url = url
        self.log = log
        os.environ["PYTHONPATH"] = str(ROOT)  # of the fork server, which imports what its children run
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(
            [
                "issuer_server.cli",
                "issuer_server.service",
                "tests.crash.server_process",
                "tests.crash.failpoints",
            ]
        )
        self._process: BaseProcess | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        assert self._process.pid is not None
        return self._process.pid

    def start(self, failpoint: str | None = None, nth: int = 1) -> None:
        """Begin to start it; `ready` waits."""
        assert self._process is None, "one at a time"
        arguments = (str(self.data), str(self.log), failpoint, nth)
        self._process = self._context.Process(target=serve, args=arguments)
        self._process.start()

    async def ready(self, http: aiohttp.ClientSession) -> None:
        """Until it answers; fails where it dies first."""
        async with asyncio.timeout(PATIENCE):
            while True:
                try:
                    async with http.get(self.url + "/healthz") as answer:
                        if answer.status == 200:
                            return
                except aiohttp.ClientError:
                    assert self._process is not None
                    assert self._process.is_alive(), self.log.read_text()[-4000:]
                    await asyncio.sleep(0.01)  # there is nothing to be woken by: it is another process

    async def died(self) -> int:
        """Until it is dead by itself; the exit code, negative for a signal."""
        process = self._process
        assert process is not None
        dead = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(process.sentinel, dead.set)
        try:
            async with asyncio.timeout(PATIENCE):
                await dead.wait()
        finally:
            loop.remove_reader(process.sentinel)
        return self._reap()

    async def kill(self) -> int:
        """SIGKILL."""
        assert self._process is not None
        self._process.kill()
        return await self.died()

    async def stop(self) -> int:
        """SIGTERM, as a service manager does it."""
        assert self._process is not None
        self._process.terminate()
        return await self.died()

    def _reap(self) -> int:
        process, self._process = self._process, None
        assert process is not None
        process.join(PATIENCE)
        code = process.exitcode
        assert code is not None
        process.close()
        return code

    def close(self) -> None:
        """Whatever lives is killed."""
        if self._process is not None:
            self._process.kill()
            self._reap()
