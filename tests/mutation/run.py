"""Mutation testing: `python -m tests.mutation.run [target ...]`, all of `targets.py` without one.

mutmut changes one thing at a time and runs the tests of that module; what no test notices is a survivor.
Changes of words for people alone are left out (`words.py`). mutmut writes into the tree it works on, so each
target gets a copy under build/mutation/. Every survivor must be in `explained.toml` with the reason why no
test can tell it from the original; one that is not, or an explanation that no survivor needs any more, ends
the run with status 1. Results are kept in the copy: a second run tests only what changed since. `--report`
says what the last run found and runs nothing.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tomllib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from tests.mutation.targets import TARGETS, Target

ROOT = Path(__file__).parents[2]
EXPLAINED = Path(__file__).with_name("explained.toml")
COPIES = ROOT / "build" / "mutation"
COPIED = (
    *(
        "protocol",
        "service_host",
        "reader_peripheral",
        "handset_client",
        "issuer_server",
        "merchant_terminal",
        "virtual_radio",
    ),
    *("demo", "tests", "tools", "docs", "README.md", "ARCHITECTURE.md", "Makefile"),
)
VERDICTS = {
    None: "not run",
    0: "survived",
    1: "killed",
    3: "killed",
    24: "timeout",
    33: "no test",
    34: "words",
    36: "timeout",
}


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change and what became of it."""

    name: str
    verdict: str


def sync(target: Target, folder: Path) -> None:
    """The tree as it is now, with mutmut's configuration; files that did not change keep their time."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in COPIED:
        source, copy = ROOT / name, folder / name
        if source.is_dir():
            subprocess.run(["cp", "--archive", "--no-target-directory", "--update", source, copy], check=True)
        else:
            shutil.copy2(source, copy)
    own = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    folders = sorted({module.split("/")[0] for module in target.modules})
    rest = [name for name in COPIED if name not in folders and name != "tests"]
    arguments = ["-p", "tests.mutation.sure_clocks", "-p", "no:cacheprovider"]
    arguments += [f"--deselect={test}" for test in target.without]
    (folder / "pyproject.toml").write_text(
        f"{own}\n[tool.mutmut]\n"
        f"source_paths = {json.dumps(folders)}\n"
        f"only_mutate = {json.dumps(target.modules)}\n"
        f"do_not_mutate_patterns = {json.dumps(target.left_out)}\n"
        f"also_copy = {json.dumps(rest)}\n"
        f"pytest_add_cli_args_test_selection = {json.dumps(target.tests)}\n"
        f"pytest_add_cli_args = {json.dumps(arguments)}\n"
        "timeout_multiplier = 30.0\ntimeout_constant = 5.0\nuse_git_change_detection = false\n",
        encoding="utf-8",
    )


def test(folder: Path, children: int) -> None:
    """Let mutmut make its mutants, skip those that change words alone, and test the rest."""
    mutmut = ["nice", "-n", "15", sys.executable, "-m", "mutmut", "run", "--max-children", str(children)]
    # No mutant has this name: mutmut makes them all, learns which test runs what, and stops there.
    subprocess.run([*mutmut, "none-of-them"], cwd=folder, check=False, capture_output=True)
    subprocess.run([sys.executable, "-m", "tests.mutation.words", "--skip"], cwd=folder, check=True)
    subprocess.run(mutmut, cwd=folder, check=True)


def mutants_of(folder: Path) -> list[Mutant]:
    """What mutmut wrote down."""
    found = []
    for meta in sorted((folder / "mutants").rglob("*.meta")):
        for name, code in json.loads(meta.read_text(encoding="utf-8"))["exit_code_by_key"].items():
            verdict = (
                "not run" if code is None else VERDICTS.get(code, "timeout" if code < 0 else f"exit {code}")
            )
            found.append(Mutant(name, verdict))
    return found


def changes(folder: Path, mutants: list[Mutant]) -> dict[str, str]:
    """The lines taken out and put in, which name a mutant better than its number: numbers move."""
    shown = subprocess.run(
        [sys.executable, "-m", "tests.mutation.words", "--diffs"],
        cwd=folder,
        input=json.dumps([mutant.name for mutant in mutants]),
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    diffs: dict[str, str] = json.loads(shown.splitlines()[-1])
    return {name: _changed_lines(diff) for name, diff in diffs.items()}


def _changed_lines(diff: str) -> str:
    lines = [line for line in diff.splitlines() if re.match(r"[-+](?![-+])", line)]
    return "\n".join(f"{line[0]} {line[1:].strip()}" for line in lines)


def place(mutant: Mutant) -> str:
    """`protocol.framing.Channel.send` of mutmut's mangled name."""
    module, _, mangled = mutant.name.rpartition(".x")
    return f"{module}.{mangled.rpartition('__mutmut_')[0].lstrip('_').strip('ǁ').replace('ǁ', '.')}"


def report(name: str, folder: Path) -> bool:
    """Print the score and what is not explained; whether all is."""
    explained = tomllib.loads(EXPLAINED.read_text(encoding="utf-8")).get(name, [])
    reasons = {(each["where"], each["change"].strip()): each["why"] for each in explained}
    mutants = mutants_of(folder)
    counts = Counter(mutant.verdict for mutant in mutants)
    unexplained, needed = [], set()
    alive = [mutant for mutant in mutants if mutant.verdict not in ("killed", "timeout", "words", "not run")]
    diffs = changes(folder, alive)
    for mutant in alive:
        which = (place(mutant), diffs[mutant.name])
        if which in reasons:
            needed.add(which)
        else:
            unexplained.append((mutant, which))
    for mutant, (where, what) in unexplained:
        print(f"\n[{mutant.verdict}] {where}   ({mutant.name})\n{what}")
    stale = set(reasons) - needed
    for where, what in sorted(stale):
        print(f"\n[explained, and not a survivor any more] {where}\n{what}")
    noticed = counts["killed"] + counts["timeout"]
    judged = noticed + len(alive)
    print(
        f"\n{name}: {judged} mutants, {noticed} noticed ({100 * noticed / max(1, judged):.1f} %),"
        f" {len(needed)} explained, {len(unexplained)} unexplained;"
        f" {counts['words']} more change words for people alone, {counts['not run']} were not run",
        flush=True,
    )
    return not unexplained and not stale


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("targets", nargs="*", metavar="target", help=", ".join(TARGETS))
    parser.add_argument("--report", action="store_true", help="what the last run found")
    parser.add_argument("--children", type=int, default=2, help="processes at a time (2)")
    parser.add_argument(
        "--folder", type=Path, default=ROOT / "build" / "mutation", help="where the copies are"
    )
    asked = parser.parse_args()
    if unknown := set(asked.targets) - set(TARGETS):
        parser.error(f"no such target: {', '.join(sorted(unknown))}")
    sound = True
    for name in asked.targets or TARGETS:
        folder = asked.folder / name
        if not asked.report:
            sync(TARGETS[name], folder)
            test(folder, asked.children)
        sound = report(name, folder) and sound
    return 0 if sound else 1


if __name__ == "__main__":
    sys.exit(main())
