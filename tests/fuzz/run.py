"""Fuzzing with atheris: `python -m tests.fuzz.run [parser ...] [--seconds 10]`, every parser without one.

Each parser runs in a process of its own, guided by what of our code an input reaches. It starts from
tests/fuzz/corpus/ (real messages) and from what earlier runs found under build/fuzz/. An input that crashes
it is kept under build/fuzz/crashes/, and the command that replays it is printed; with one the status is 1.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
CORPUS = Path(__file__).with_name("corpus")
FOUND = ROOT / "build" / "fuzz"
OURS = ("protocol", "reader_peripheral", "handset_client", "issuer_server", "merchant_terminal")
SLOWEST = 5
"""Seconds that one input may take: more is a crash."""
LARGEST = 5000
"""Bytes of an input: above the framing's 4096."""


@dataclass(frozen=True, slots=True)
class Run:
    """What one parser went through."""

    parser: str
    executions: int
    corpus: int
    seconds: float
    crashes: tuple[str, ...]

    def __str__(self) -> str:
        crashed = f", CRASHES: {len(self.crashes)}" if self.crashes else ", no crash"
        return (
            f"{self.parser:14} {self.executions:>10,} executions in {self.seconds:.0f} s{crashed};"
            f" {self.corpus} inputs that reach something of their own"
        )


def child(name: str, arguments: list[str]) -> None:
    """In the process of one parser; never returns."""
    import atheris

    with atheris.instrument_imports(include=list(OURS)):
        from tests.fuzz.parsers import PARSERS
    atheris.Setup([sys.argv[0], *arguments], PARSERS[name])
    atheris.Fuzz()


def fuzz(name: str, seconds: int, seed: int | None) -> Run:
    """Run one parser; its crashes are kept."""
    crashes, found = FOUND / "crashes", FOUND / "corpus" / name
    for folder in (crashes, found):
        folder.mkdir(parents=True, exist_ok=True)
    before = set(crashes.iterdir())
    arguments = [
        str(found),
        str(CORPUS / name),
        f"-max_total_time={seconds}",
        f"-artifact_prefix={crashes}/{name}-",
        f"-timeout={SLOWEST}",
        f"-max_len={LARGEST}",
        "-rss_limit_mb=1024",
        "-print_final_stats=1",
    ]
    if seed is not None:
        arguments.append(f"-seed={seed}")
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.run", "--child", name, "--", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONHASHSEED": "0"},
    )
    said = done.stdout + done.stderr
    executed = re.search(r"stat::number_of_executed_units:\s+(\d+)", said) or re.search(
        r"Done (\d+) runs", said
    )
    new = tuple(sorted(str(path) for path in set(crashes.iterdir()) - before))
    if done.returncode != 0 and not new:
        raise RuntimeError(f"the fuzzer of {name} broke:\n{said[-4000:]}")
    for path in new:
        again = [sys.executable, "-m", "tests.fuzz.run", "--replay", path]
        shown = subprocess.run(again, cwd=ROOT, capture_output=True, text=True)
        print(f"{shown.stderr[-6000:] or said[-6000:]}\nreplay: {' '.join(again)}\n")
    took = re.search(r"Done \d+ runs in (\d+) second", said)
    reached = len(list(found.iterdir()))
    return Run(name, int(executed[1]) if executed else 0, reached, float(took[1]) if took else 0.0, new)


def replay(file: Path) -> None:
    """Give a kept input to its parser once more, without atheris: the traceback is Python's own."""
    from tests.fuzz.parsers import PARSERS

    name = max((name for name in PARSERS if file.name.startswith(f"{name}-")), key=len, default=None)
    if name is None:
        sys.exit(f"no parser of that name: {file.name}")
    PARSERS[name](file.read_bytes())
    print(f"{name} takes {file}: no crash any more")


def main() -> int:
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2], sys.argv[4:])
    names = sorted(path.name for path in CORPUS.iterdir() if path.is_dir())
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parsers", nargs="*", metavar="parser", help=", ".join(names))
    parser.add_argument("--seconds", type=int, default=10, help="for each parser (10)")
    parser.add_argument("--seed", type=int, help="of libFuzzer; another each time without it")
    parser.add_argument("--json", type=Path, help="write the figures there, too")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="give one kept input to its parser")
    asked = parser.parse_args()
    if asked.replay is not None:
        replay(asked.replay)
        return 0
    if unknown := set(asked.parsers) - set(names):
        parser.error(f"no such parser: {', '.join(sorted(unknown))}")
    runs = []
    for name in asked.parsers or names:
        runs.append(fuzz(name, asked.seconds, asked.seed))
        print(runs[-1], flush=True)
    print(
        f"{sum(run.executions for run in runs):,} executions, {sum(len(run.crashes) for run in runs)} crashes"
    )
    if asked.json is not None:
        asked.json.write_text(json.dumps([asdict(run) for run in runs], indent=1), encoding="utf-8")
    return 1 if any(run.crashes for run in runs) else 0


if __name__ == "__main__":
    sys.exit(main())
