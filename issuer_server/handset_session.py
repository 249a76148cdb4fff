"""The resumable conversation with one phone, without a socket: numbers, acknowledgements, what to send again.

Each direction counts its frames 1, 2, …; a frame is kept until the other side says that it has it, and one
that comes twice is taken once. A socket is only the present carrier of a session.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from protocol.errors import PeerError

MOST_UNACKNOWLEDGED: Final = 256
"""Frames kept for a phone that does not answer: some forty payments, far more than a person makes at once."""


class SessionBroken(PeerError):  # noqa: N818 - says it
    """The phone broke the numbering, or fell too far behind; the session cannot be kept."""


class HandsetSession:
    """One phone's numbering, from its first hello until either side forgets it."""

    def __init__(self, session_id: str) -> None:
        self.id = session_id
        self.received = 0  # of the phone's frames
        self.acknowledged = 0  # of ours
        self._sent = 0
        self._kept: deque[tuple[int, str]] = deque()

    def push(self, frame: bytes) -> None:
        """Number a frame (a JSON object) and keep it until the phone has it; raises SessionBroken."""
        if len(self._kept) >= MOST_UNACKNOWLEDGED:
            raise SessionBroken(f"the phone has not acknowledged {MOST_UNACKNOWLEDGED} frames")
        self._sent += 1
        # The object is opened again rather than parsed: the bulk of it is a signed message in base64url.
        self._kept.append((self._sent, f'{{"seq":{self._sent},{frame[1:].decode("utf-8")}'))

    def frames_after(self, seq: int) -> tuple[tuple[int, str], ...]:
        """What the phone has not acknowledged and that comes after `seq`, in order."""
        return tuple(kept for kept in self._kept if kept[0] > seq)

    def acknowledge(self, received: object) -> None:
        """The phone has our frames up to `received`; raises SessionBroken."""
        if type(received) is not int or not 0 <= received <= self._sent:
            raise SessionBroken("acknowledged a frame that was never sent")
        self.acknowledged = max(self.acknowledged, received)
        while self._kept and self._kept[0][0] <= received:
            self._kept.popleft()

    def is_new(self, seq: object) -> bool:
        """Whether the phone's frame `seq` comes next; False for one already taken; SessionBroken on a gap."""
        if type(seq) is not int or not 1 <= seq <= self.received + 1:
            raise SessionBroken("a frame is missing before this one")
        return seq > self.received

    def took(self, seq: object) -> None:
        """The phone's frame `seq` has been dealt with."""
        if self.is_new(seq):
            self.received += 1

    def can_resume(self, received: object) -> bool:
        """Whether a phone that has our frames up to `received` can go on from there."""
        return type(received) is int and self.acknowledged <= received <= self._sent
