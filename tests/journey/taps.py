"""The phone's two links with a tap on each, as the demonstration taps them; what passes goes into a diary.

An honest phone is tapped to see who was told what. A hostile one is the same phone with a rule on a tap: it
drops, repeats, changes or invents what it carries, with no key of anybody.
"""

from __future__ import annotations

from demo import taps
from demo.taps import ForReader as Handed
from demo.taps import Passing, Way
from handset_client.issuer_frames import PhoneFrame
from handset_client.ports import IssuerLink, ReaderLink
from tests.journey.diary import Diary

__all__ = ["Handed", "Passing", "TappedIssuerLink", "TappedReaderLink", "Way", "Wire"]

Wire = Diary[tuple[Way, Passing]]


class TappedIssuerLink(taps.TappedIssuerLink):
    """An IssuerLink in front of the real one."""

    def __init__(self, inner: IssuerLink, wire: Wire) -> None:
        super().__init__(inner, lambda way, passing: wire.write((way, passing)))

    def inject(self, frame: PhoneFrame) -> None:
        """Send a frame that may be the phone's own invention, past the rule."""
        self.put(frame)


class TappedReaderLink(taps.TappedReaderLink):
    """A ReaderLink in front of the real one."""

    def __init__(self, inner: ReaderLink, wire: Wire) -> None:
        super().__init__(inner, lambda way, passing: wire.write((way, passing)))

    def inject(self, handed: Handed) -> None:
        """Hand the reader something that may be the phone's own invention, past the rule."""
        self.put(handed)
