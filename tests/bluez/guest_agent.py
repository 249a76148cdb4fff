"""Runs in the guest: starts programs for the host and passes on what is typed at them and what they say.

Speaks JSON lines over a virtio serial port. From the host: `{"start": [argv], "job": n, "user": name or null,
"terminal": bool, "environment": {}}`, `{"type": text, "job": n}`, `{"end_of_input": true, "job": n}`,
`{"signal": number, "job": n}`. To the host: `{"ready": seconds since boot}`, `{"said": text, "job": n}`,
`{"ended": status, "job": n}`, the last one of a job. Stands alone: the guest's own python3 runs it.
"""

from __future__ import annotations

import codecs
import json
import os
import pty
import pwd
import signal
import subprocess
import sys
import termios
import threading
from pathlib import Path
from typing import Any

PORT_NAME = "blind-relay.bench"
PATH = "/opt/blind-relay/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Job:
    """One program of the host's. It leads a process group of its own, so that a kill takes its children."""

    def __init__(self, agent: Agent, order: dict[str, Any]) -> None:
        self._agent = agent
        self._number = order["job"]
        who = pwd.getpwnam(order["user"] or "root")
        environment = {
            "PATH": PATH,
            "HOME": who.pw_dir,
            "USER": who.pw_name,
            "LANG": "C.UTF-8",
            "TERM": "xterm",
            "COLUMNS": "200",
            "NO_COLOR": "1",
            "PYTHONUNBUFFERED": "1",
            **order["environment"],
        }
        identity: dict[str, Any] = {"env": environment, "cwd": who.pw_dir}
        if who.pw_uid:
            groups = os.getgrouplist(who.pw_name, who.pw_gid)
            identity |= {"user": who.pw_uid, "group": who.pw_gid, "extra_groups": groups}
        if order["terminal"]:
            ours, theirs = pty.openpty()
            _plain_lines(theirs)
            os.fchown(theirs, who.pw_uid, -1)
            # setsid makes the terminal the program's own, and becomes the program.
            self._process = subprocess.Popen(
                ["setsid", "--ctty", *order["start"]], stdin=theirs, stdout=theirs, stderr=theirs, **identity
            )
            os.close(theirs)
            self._input = self._output = ours
        else:
            reads, self._input = os.pipe()
            self._output, writes = os.pipe()
            self._process = subprocess.Popen(
                order["start"], stdin=reads, stdout=writes, stderr=writes, start_new_session=True, **identity
            )
            os.close(reads)
            os.close(writes)
        threading.Thread(target=self._listen, daemon=True).start()

    def obey(self, order: dict[str, Any]) -> None:
        """What a person at the program's terminal may do."""
        try:
            if "type" in order:
                os.write(self._input, order["type"].encode())
            elif "end_of_input" in order and self._input != self._output:
                os.close(self._input)
            elif "signal" in order:
                if order["signal"] == signal.SIGKILL:
                    os.killpg(self._process.pid, signal.SIGKILL)
                else:
                    self._process.send_signal(order["signal"])
        except (OSError, ProcessLookupError):
            pass  # it ended a moment ago, which the host hears anyway

    def _listen(self) -> None:
        text = codecs.getincrementaldecoder("utf-8")("replace")
        while True:
            try:
                chunk = os.read(self._output, 65536)
            except OSError:  # the last program on this terminal is gone
                break
            if not chunk:
                break
            self._agent.tell({"said": text.decode(chunk), "job": self._number})
        self._agent.tell({"ended": self._process.wait(), "job": self._number})
        os.close(self._output)


class Agent:
    """The port, and the jobs by their numbers."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._telling = threading.Lock()
        self._jobs: dict[int, Job] = {}

    def tell(self, what: dict[str, Any]) -> None:
        """Send a line to the host."""
        line = json.dumps(what).encode() + b"\n"
        with self._telling:
            while line:
                line = line[os.write(self._port, line) :]

    def serve(self) -> None:
        """Do what the host says, for as long as it is there."""
        uptime = float(Path("/proc/uptime").read_text().split()[0])
        self.tell({"ready": uptime})
        with os.fdopen(os.dup(self._port), "rb") as lines:
            for line in lines:
                order = json.loads(line)
                number = order["job"]
                if "start" not in order:
                    self._jobs[number].obey(order)
                    continue
                try:
                    self._jobs[number] = Job(self, order)
                except (OSError, KeyError) as problem:
                    self.tell({"said": f"cannot be started: {problem}\n", "job": number})
                    self.tell({"ended": 127, "job": number})


def _plain_lines(terminal: int) -> None:
    """Lines end with a line feed alone, as in a pipe."""
    settings = termios.tcgetattr(terminal)
    settings[1] &= ~termios.OPOST
    termios.tcsetattr(terminal, termios.TCSANOW, settings)


def _port() -> int:
    for name in Path("/sys/class/virtio-ports").glob("*/name"):
        if name.read_text().strip() == PORT_NAME:
            return os.open(f"/dev/{name.parent.name}", os.O_RDWR)
    sys.exit("agent: no serial port to the host")


if __name__ == "__main__":
    Agent(_port()).serve()
