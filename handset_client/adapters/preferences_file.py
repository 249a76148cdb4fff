"""The person's settings in preferences.json beside the credential. No secret is in it."""

from __future__ import annotations

import json
import logging
from pathlib import Path

from handset_client.adapters.credential_file import write_privately
from handset_client.preferences import Preferences

_log = logging.getLogger(__name__)

FILE_NAME = "preferences.json"


class PreferencesFile:
    """Preferences in `directory`."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / FILE_NAME

    def load(self) -> Preferences:
        """What was saved; the defaults where nothing was, or where it cannot be used."""
        try:
            return Preferences.from_json(json.loads(self._path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return Preferences()
        except (OSError, ValueError):
            # Taste is not worth refusing to start for; the next change writes the file anew.
            _log.warning("cannot use %s: the settings begin anew", self._path)
            return Preferences()

    def save(self, preferences: Preferences) -> None:
        """Write them; the old ones stand until the new ones are whole. Raises OSError."""
        write_privately(self._path, json.dumps(preferences.to_json()))
