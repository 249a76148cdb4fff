"""Draws docs/machines/ from the transition tables: `make machines`. A test keeps the drawings current."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from handset_client.relay_table import RELAY
from issuer_server.payment import PAYMENT_TABLE
from protocol.channel_events import LINK_TABLE
from protocol.transition_table import to_mermaid
from reader_peripheral.transitions import TABLE as READER_TABLE

DRAWINGS = Path(__file__).parent.parent / "docs" / "machines"


def drawings() -> Iterator[tuple[str, str]]:
    """(file name, text) of every drawing."""
    for name, module, title, diagram in (
        ("issuer", "issuer_server/payment.py", "A payment at the issuer", to_mermaid(PAYMENT_TABLE)),
        ("reader", "reader_peripheral/transitions.py", "A payment at the reader", to_mermaid(READER_TABLE)),
        ("handset", "handset_client/relay_table.py", "A payment on the phone", to_mermaid(RELAY)),
        ("link", "protocol/channel_events.py", "The Bluetooth link of a channel", to_mermaid(LINK_TABLE)),
    ):
        yield (
            f"{name}.md",
            f"# {title}\n\nDrawn from the table in `{module}` by `make machines`; the table is the truth.\n\n"
            f"```mermaid\n{diagram}```\n",
        )


def main() -> None:
    """Write the drawings."""
    DRAWINGS.mkdir(parents=True, exist_ok=True)
    for name, text in drawings():
        (DRAWINGS / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
