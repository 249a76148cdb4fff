"""Who may use the phone's page: one-time links, sessions, and where a request comes from. Pure.

The page can approve payments, and every program and every web site on this computer can reach a
port of loopback. What each check is against:

* a link's token works once and not for long: it may be seen in a list of processes or a history. A page that
  was reloaded before the answer reached it says it again, with a word that it made up for this one link;
* the cookie is HttpOnly and SameSite=Strict: no script reads it, no other site's request carries it;
* cookies are shared by all ports of a host (RFC 6265, 8.5), so another server on this computer can be
  shown ours: the channel wants the session's key as well, which the browser keeps for this very origin;
* the Host header must be the address itself: a name that an attacker lets point here is refused;
* Origin and Sec-Fetch-Site must be ours: WebSockets know no same-origin policy (RFC 6455, 10.2).
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

LOOPBACK: Final = "127.0.0.1"
LINK_LIVES: Final = 300.0
"""Seconds from printing a link to opening it."""
MOST_LINKS: Final = 4
MOST_SESSIONS: Final = 8
"""Browsers at once; the oldest is locked out by one more."""
SECRET_BYTES: Final = 32
SHORTEST_ATTEMPT: Final = 32
"""Characters of a page's secret for one link: 128 bits in hexadecimal."""

_SAME_ORIGIN: Final = "same-origin"


@dataclass(frozen=True, slots=True)
class Session:
    """What a browser gets for a link: the cookie's value and the key. Both are secrets."""

    cookie: str = field(repr=False)
    key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Link:
    """A link as it is kept: digests, which open nothing. `taken_by` is that of whose use of it counts."""

    token: bytes
    until: float
    taken_by: bytes | None = None


@dataclass(frozen=True, slots=True)
class _Held:
    """A session as it is kept, and the link that it came from."""

    cookie: bytes
    key: bytes
    link: bytes


class Door:
    """`draw` gives fresh secret text; `now` is monotonic seconds."""

    def __init__(self, draw: Callable[[], str]) -> None:
        self._draw = draw
        self._links: list[_Link] = []
        self._sessions: list[_Held] = []

    def new_link(self, now: float) -> str:
        """A token that opens one session, once, within LINK_LIVES."""
        token = self._draw()
        self._links = [*self._links, _Link(_digest(token), now + LINK_LIVES)][-MOST_LINKS:]
        return token

    def exchange(self, token: str, attempt: str, now: float) -> Session | None:
        """The session for a token, which is used up by this; None for a used, old or invented one.

        `attempt` is the page's own secret for this link. Who says it again has not got the answer, and gets
        another session in place of the first one.
        """
        link, taken_by = self._link(token), _digest(attempt)
        if link is None or now >= link.until:
            return None
        if link.taken_by is not None and not hmac.compare_digest(link.taken_by, taken_by):
            return None
        self._links = [each if each is not link else replace(link, taken_by=taken_by) for each in self._links]
        session = Session(self._draw(), self._draw())
        held = _Held(_digest(session.cookie), _digest(session.key), link.token)
        others = [each for each in self._sessions if each.link != link.token]
        self._sessions = [*others, held][-MOST_SESSIONS:]
        return session

    def knows(self, cookie: str | None) -> bool:
        """Whether this cookie is a session's."""
        return self._held(cookie) is not None

    def admits(self, cookie: str | None, key: str) -> bool:
        """Whether cookie and key are those of one session."""
        held = self._held(cookie)
        return held is not None and hmac.compare_digest(held.key, _digest(key))

    def _link(self, token: str) -> _Link | None:
        digest = _digest(token)
        return next((link for link in self._links if hmac.compare_digest(link.token, digest)), None)

    def _held(self, cookie: str | None) -> _Held | None:
        if cookie is None:
            return None
        digest = _digest(cookie)
        return next((held for held in self._sessions if hmac.compare_digest(held.cookie, digest)), None)


def host_fits(host: str | None, port: int) -> bool:
    """Whether the Host header names this server by its address."""
    return host == f"{LOOPBACK}:{port}"


def origin_fits(headers: Mapping[str, str], port: int) -> bool:
    """Whether a request that can change something comes from the page itself."""
    return headers.get("Origin") == f"http://{LOOPBACK}:{port}" and _site_fits(headers, navigation=False)


def fetch_fits(headers: Mapping[str, str], *, navigation: bool) -> bool:
    """Whether a reading request may be answered: other sites may link to the page, not load its parts."""
    return _site_fits(headers, navigation=navigation)


def page_headers(port: int) -> dict[str, str]:
    """What every answer says: nothing from elsewhere runs here, and nothing elsewhere shows this."""
    return {
        "Content-Security-Policy": "; ".join(
            (
                "default-src 'none'",
                "script-src 'self'",
                "style-src 'self'",
                "img-src 'self'",
                # Some browsers do not count ws: as 'self'.
                f"connect-src 'self' ws://{LOOPBACK}:{port}",
                "base-uri 'none'",
                "form-action 'none'",
                "frame-ancestors 'none'",
                "require-trusted-types-for 'script'",
                "trusted-types 'none'",
            )
        ),
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "no-referrer",
        "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
        "Cache-Control": "no-store",
    }


def _site_fits(headers: Mapping[str, str], *, navigation: bool) -> bool:
    site = headers.get("Sec-Fetch-Site")
    if site is None or site == _SAME_ORIGIN:
        return True  # absent: no browser, or one too old to say
    return navigation and headers.get("Sec-Fetch-Mode") == "navigate"


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
