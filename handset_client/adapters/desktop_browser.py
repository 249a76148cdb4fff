"""Opens the person's browser, where there is a desktop to open it on."""

from __future__ import annotations

import os
import sys
import threading
import webbrowser
from collections.abc import Mapping


def has_desktop(environment: Mapping[str, str] = os.environ, platform: str = sys.platform) -> bool:
    """Whether a browser would come up in a window, and not in the terminal that this program writes to."""
    if platform in ("win32", "darwin"):
        return True
    return any(environment.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"))


def open_in_browser(link: str) -> None:
    """Open `link` in the usual browser, if there is one. Returns at once, whatever the browser does."""
    # Some browsers come back only when they are closed; a daemon thread is waited for by nobody.
    threading.Thread(target=_open, args=(link,), name="browser", daemon=True).start()


def _open(link: str) -> None:
    try:
        webbrowser.open(link)
    except (webbrowser.Error, OSError):
        pass  # the link stands in the terminal
