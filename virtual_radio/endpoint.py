"""Where an ether is served: `127.0.0.1:PORT`, on loopback and nowhere else. Needs no Bumble."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address

from protocol.errors import InputError


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A loopback address and a TCP port; 0 lets the system choose one where the ether is served.

    Whoever reaches it is a radio in the room: there is no authentication, as on real Bluetooth, hence
    loopback only.
    """

    host: str
    port: int

    def __post_init__(self) -> None:
        try:
            near = ip_address(self.host).is_loopback
        except ValueError:
            near = False
        if not near:
            raise InputError("invalid_radio", "The virtual radio works on this machine only: use 127.0.0.1.")
        if not 0 <= self.port <= 0xFFFF:
            raise InputError("invalid_radio", "A port is a number from 1 to 65535.")


def parse_endpoint(text: str) -> Endpoint:
    """`127.0.0.1:9911` or `[::1]:9911`; raises InputError (invalid_radio)."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or len(port) > 5:
        raise InputError("invalid_radio", "Write the virtual radio's address as 127.0.0.1:9911.")
    return Endpoint(host.strip("[]"), int(port))
