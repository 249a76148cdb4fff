"""What the documents name exists: every file, every function of the architecture, every link and anchor."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
PACKAGES = (
    "protocol",
    "service_host",
    "issuer_server",
    "handset_client",
    "reader_peripheral",
    "merchant_terminal",
    "virtual_radio",
    "demo",
)
FOLDERS = (*PACKAGES, "tests", "docs", "packaging", "tools", "benchmarks")
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
QUOTED = re.compile(r"`([^`\n]+)`")
OF_THE_TREE = re.compile(rf"(?:{'|'.join(FOLDERS)})/[\w./-]*")
MODULE = re.compile(r"(?:\w+/)*\w+\.(?:py|js|css|html|sql)|(?:\w+/)+")
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)?")
LINK = re.compile(r"\]\(([^)\s]+)\)")
DOCUMENTS = sorted(
    path
    for path in ROOT.rglob("*.md")
    if not any(
        part.startswith(".") or part in ("build", "node_modules") for part in path.relative_to(ROOT).parts
    )
)


def read(path: Path) -> str:
    """A document without its blocks of code."""
    return FENCE.sub("", path.read_text("utf-8"))


def files_named(name: str) -> list[Path]:
    """The files that a document may mean by `name`: from the root, or inside a package or the tests."""
    if (ROOT / name).exists():
        return [ROOT / name]
    return [
        path
        for folder in (*PACKAGES, "tests")
        for path in (ROOT / folder).rglob(name.rsplit("/", 1)[-1] if not name.endswith("/") else "*")
        if f"{path.as_posix()}/".endswith(f"/{name.rstrip('/')}/")
    ]


def defines(source: Path, name: str) -> bool:
    """Whether a module defines every part of a dotted name."""
    text = source.read_text("utf-8")
    return all(
        re.search(rf"^\s*(?:(?:async )?def|class) {part}\b|^\s*{part}\b *[:=]", text, re.MULTILINE)
        for part in name.split(".")
    )


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_path_in_a_document_exists(document: Path) -> None:
    named = [text for text in QUOTED.findall(read(document)) if OF_THE_TREE.fullmatch(text)]
    assert [name for name in named if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_relative_link_resolves(document: Path) -> None:
    broken = []
    for target in LINK.findall(read(document)):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        goal = (document.parent / name).resolve() if name else document
        if not goal.exists() or (anchor and goal.suffix == ".md" and anchor not in anchors(goal)):
            broken.append(target)
    assert broken == []


def anchors(document: Path) -> set[str]:
    """The anchors that GitHub gives a document's headings."""
    headings = re.findall(r"^#+ +(.+?) *$", read(document), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_module_and_name_of_the_architecture_exists() -> None:
    """In a line, a name must be defined in one of the modules that stand in the same line."""
    missing = []
    for line in read(ROOT / "ARCHITECTURE.md").splitlines():
        for quoted in QUOTED.findall(line):
            if MODULE.fullmatch(quoted):
                if not files_named(quoted):
                    missing.append(quoted)
            elif NAME.fullmatch(quoted) and not any(defines(module, quoted) for module in files_in(line)):
                missing.append(quoted)
    assert missing == []


def files_in(line: str) -> list[Path]:
    """The Python modules that a line names."""
    quoted = [name for name in QUOTED.findall(line) if MODULE.fullmatch(name)]
    return [path for name in quoted for path in files_named(name) if path.suffix == ".py"]


@pytest.mark.parametrize(
    ("line", "fine"),
    [
        ("`issuer_server/payment.py` `DEADLINE_EVENTS`", True),
        ("`storage/port.py` `claim_pin_try`", True),
        ("`issuer_server/payment.py` `no_such_name`", False),
    ],
)
def test_the_check_of_names_can_fail(line: str, fine: bool) -> None:
    name = QUOTED.findall(line)[-1]
    assert any(defines(module, name) for module in files_in(line)) is fine
    assert files_named("no_such_module.py") == []
