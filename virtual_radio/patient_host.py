"""Bumble's host, without its trip over the answer to a command that nobody waits for any more."""

from __future__ import annotations

from typing import Any

from bumble.host import Host


class PatientHost(Host):
    """When the task that sent a command was cancelled, Bumble 0.0.236 still sets that command's future.

    A scan or a connection attempt may be given up at any moment; that must not put an InvalidStateError
    into the event loop's log.
    """

    def on_command_processed(self, event: Any) -> Any:
        """Drop the answer that comes between the cancellation and the sender's own tidying up."""
        if self.pending_response is not None and self.pending_response.done():
            return None
        return super().on_command_processed(event)
