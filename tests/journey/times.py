"""The waits of all parties in one place, since most tests want one of them short."""

from __future__ import annotations

from dataclasses import dataclass, field

from handset_client.adapters.link_session import LinkSettings
from handset_client.relay_call import Patience
from issuer_server.payment import Deadlines
from reader_peripheral.settings import Limits


@dataclass(frozen=True, slots=True)
class Times:
    """Every wait that a test may want short; seconds."""

    issuer: Deadlines = field(default_factory=Deadlines)
    reader: Limits = field(default_factory=Limits)
    phone: Patience = field(default_factory=Patience)
    link: LinkSettings = field(
        default_factory=lambda: LinkSettings(gather=0.03, pauses=(0.02, 0.1), hang_up=0.5)
    )
    pin_attempts: int = 1
