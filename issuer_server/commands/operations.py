"""What keeps an issuer in service: looking after it, copying it, reporting from it."""

from __future__ import annotations

from issuer_server.commands import backup, health, statement, top
from issuer_server.commands.desk import Commands


def add_parsers(commands: Commands) -> None:
    """Declare the subcommands of all of it."""
    for module in (health, top, backup, statement):
        module.add_parsers(commands)
