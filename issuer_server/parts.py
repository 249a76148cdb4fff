"""What an issuer is made of, wired once in `service.py` and by tests."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from issuer_server.bus.port import Bus
from issuer_server.card_checks import KeysInUse
from issuer_server.deadlines import Timers
from issuer_server.operations.observing import NOBODY, Observer
from issuer_server.payment import Deadlines
from issuer_server.rate_limits import Limits
from issuer_server.storage.port import Storage
from protocol.identifiers import IssuerId
from protocol.sealing import PaymentKey


@dataclass(frozen=True, slots=True)
class IssuerParts:
    """`clock` gives epoch seconds for stamps, `timers` run deadlines, `entropy(n)` gives n random bytes."""

    issuer_id: IssuerId
    keys: KeysInUse = field(repr=False)
    storage: Storage
    bus: Bus
    timers: Timers
    deadlines: Deadlines = field(default_factory=Deadlines)
    pin_attempts: int = 1
    limits: Limits = field(default_factory=Limits)
    observer: Observer = NOBODY
    clock: Callable[[], float] = time.time
    entropy: Callable[[int], bytes] = secrets.token_bytes
    make_key: Callable[[bytes], PaymentKey] = PaymentKey.from_seed
