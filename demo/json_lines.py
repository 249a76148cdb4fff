"""The narrator for programs: one JSON object a line, written as it happens."""

from __future__ import annotations

import json
from typing import TextIO

from demo.happenings import Happening


class JsonLines:
    """Writes every happening at once."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def tell(self, happening: Happening) -> None:
        """One line, flushed: a reader at the other end of a pipe sees it now."""
        print(json.dumps(happening.document(), ensure_ascii=False), file=self._stream, flush=True)

    async def caught_up(self) -> None:
        """Nothing is held back."""

    async def close(self) -> None:
        """Nothing is held back."""
