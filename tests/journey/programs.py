"""Runs our programs as operating system processes and talks to them as a person at a terminal does."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

PATIENCE = 20.0
"""Seconds to wait for a line of output. A whole payment takes two; the machine may be busy."""


def free_port() -> int:
    """A TCP port of loopback that was free a moment ago; a restarted program needs the same one again."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class ProgramError(AssertionError):
    """A program did not say or do what the test waits for; the text holds all that it said."""


class Program:
    """One running program. `expect` reads on from where the last match ended, `seen` looks at everything."""

    def __init__(
        self, name: str, arguments: Sequence[str], environment: Mapping[str, str], folder: Path
    ) -> None:
        self.name = name
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
        self._output = ""
        self._read_to = 0
        self._ended = False
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, name=f"output of {name}", daemon=True)
        self._reader.start()

    def _read(self) -> None:
        pipe = self._process.stdout
        assert pipe is not None
        descriptor = pipe.fileno()
        while chunk := os.read(descriptor, 65536):
            with self._changed:
                self._output += chunk.decode("utf-8", "replace")
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    @property
    def output(self) -> str:
        """Everything said so far."""
        with self._changed:
            return self._output

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self._process.poll() is None

    def expect(self, pattern: str, patience: float = PATIENCE) -> re.Match[str]:
        """Wait until `pattern` (MULTILINE) comes after the last match; fails at once if the program ended."""
        compiled = re.compile(pattern, re.MULTILINE)
        until = time.monotonic() + patience
        with self._changed:
            while True:
                found = compiled.search(self._output, self._read_to)
                if found:
                    self._read_to = found.end()
                    return found
                left = until - time.monotonic()
                if self._ended or left <= 0:
                    break
                self._changed.wait(left)
            why = "ended" if self._ended else f"was silent about it for {patience:g} s"
            raise ProgramError(f"{self.name} {why}; awaited {pattern!r} in:\n{self._output[self._read_to :]}")

    def seen(self, pattern: str) -> bool:
        """Whether `pattern` is anywhere in the output so far."""
        return re.search(pattern, self.output, re.MULTILINE) is not None

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
