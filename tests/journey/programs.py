"""Runs our programs as operating system processes and talks to them as a person at a terminal does."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.journey.transcript import PATIENCE, ProgramError, Transcript


def free_port() -> int:
    """A TCP port of loopback that was free a moment ago; a restarted program needs the same one again.

    Below the range from which the system draws the ports of outgoing connections (32768 and up on Linux):
    one of those could take the port before the program does.
    """
    while True:
        port = 20_000 + secrets.randbelow(12_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port


class Program(Transcript):
    """One running program of this machine."""

    def __init__(
        self, name: str, arguments: Sequence[str], environment: Mapping[str, str], folder: Path
    ) -> None:
        super().__init__(name)
        executable = Path(sys.executable).parent / arguments[0]
        self._process = subprocess.Popen(
            [str(executable), *arguments[1:]],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=dict(environment),
            cwd=folder,
            start_new_session=True,  # so that killing takes its children along
        )
        self._reader = threading.Thread(target=self._read, name=f"output of {name}", daemon=True)
        self._reader.start()

    def _read(self) -> None:
        pipe = self._process.stdout
        assert pipe is not None
        descriptor = pipe.fileno()
        while chunk := os.read(descriptor, 65536):
            self.hear(chunk.decode("utf-8", "replace"))
        self.hear_the_end()

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self._process.poll() is None

    def type(self, text: str) -> None:
        """Type a line and Enter."""
        pipe = self._process.stdin
        assert pipe is not None
        try:
            pipe.write(text.encode() + b"\n")
            pipe.flush()
        except BrokenPipeError:
            raise ProgramError(f"{self.name} ended before it was typed at:\n{self.output}") from None

    def end_of_input(self) -> None:
        """Ctrl-D: nothing more will be typed."""
        pipe = self._process.stdin
        assert pipe is not None
        pipe.close()

    def send_signal(self, number: signal.Signals) -> None:
        """As a service manager does."""
        self._process.send_signal(number)

    def finish(self, patience: float = PATIENCE) -> int:
        """Wait for the program to end by itself and give its exit status."""
        try:
            status = self._process.wait(patience)
        except subprocess.TimeoutExpired:
            raise ProgramError(f"{self.name} did not end within {patience:g} s:\n{self.output}") from None
        self._reader.join(patience)
        return status

    def stop(self, patience: float = PATIENCE) -> int:
        """Ask it to end (SIGTERM), as a service is stopped; fails if it does not."""
        if self.running:
            self._process.send_signal(signal.SIGTERM)
        return self.finish(patience)

    def kill(self) -> None:
        """SIGKILL, to it and its children; it is gone when this returns."""
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self._process.wait()
        self._reader.join(PATIENCE)

    def close(self) -> None:
        """Kill it if it lives, and give its pipes back."""
        self.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except BrokenPipeError:
                    pass  # what was typed last was never read; closing twice does nothing


class Programs:
    """The programs of one test, each with the same home folder but none of this machine's settings."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._all: list[Program] = []
        home = folder / "home"
        home.mkdir(exist_ok=True)
        self.environment = {
            "HOME": str(home),
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            # No test writes into the keyring of whoever runs it.
            "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring",
            "COLUMNS": "200",
            "PYTHONUNBUFFERED": "1",  # a pipe is no terminal: without this, lines would come late or never
        }

    def start(self, name: str, *arguments: str, environment: Mapping[str, str] | None = None) -> Program:
        """Start `arguments[0]`, a console command of this virtual environment."""
        program = Program(name, arguments, {**self.environment, **(environment or {})}, self.folder)
        self._all.append(program)
        return program

    def run(self, *arguments: str, typed: str | None = None, status: int = 0) -> str:
        """Run a command to its end, with its exit status checked; gives what it printed."""
        program = self.start(" ".join(arguments[:2]), *arguments)
        if typed is not None:
            program.type(typed)
        program.end_of_input()
        ended_with = program.finish()
        if ended_with != status:
            raise ProgramError(f"{arguments} ended with {ended_with}, not {status}:\n{program.output}")
        return program.output

    def close(self) -> None:
        """Kill what lives; print what everybody said, which pytest shows where the test failed."""
        for program in self._all:
            program.close()
        for program in self._all:
            print(f"===== {program.name} =====\n{program.output}")


@contextmanager
def programs(folder: Path) -> Iterator[Programs]:
    """Programs that are all gone at the end, whatever happens."""
    them = Programs(folder)
    try:
        yield them
    finally:
        them.close()
