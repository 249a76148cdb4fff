"""The narrator for people: a paced, 80-column telling. Times say when things happened, not when printed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Final, TextIO

from rich import box
from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from demo.happenings import Event, Happening, Json, Party

WIDEST: Final = 80
"""Columns: a telling in longer lines is harder to read, and a narrow terminal must not tear it."""

STYLES: Final[Mapping[Party, str]] = {
    Party.MERCHANT: "yellow",
    Party.ISSUER: "green",
    Party.PHONE: "cyan",
    Party.READER: "magenta",
    Party.PERSON: "bold",
    Party.RADIO: "blue",
}

ASCII: Final = str.maketrans({"…": "~", "▶": ">", "◀": "<", "─": "-"})
"""For terminals that know nothing else."""

LINE_SECONDS: Final = 0.16
BLOCK_SECONDS: Final = 0.7
"""At pace 1: how long a line, and a block with bytes in it, stand before the next may come."""


class ConsoleNarrator:
    """Prints through rich; without a terminal there are no colours and nothing is lost.

    `pace` stretches the pauses between lines; 0 prints at once.
    """

    def __init__(self, stream: TextIO, pace: float, *, no_colour: bool = False) -> None:
        self._console = Console(file=stream, highlight=False, no_color=no_colour, markup=False, emoji=False)
        self._console.width = min(WIDEST, self._console.width) if stream.isatty() else WIDEST
        self._pace = pace
        self._plain = (stream.encoding or "ascii").lower().replace("-", "") not in ("utf8", "utf16")
        self._waiting: asyncio.Queue[Happening] = asyncio.Queue()
        self._printer = asyncio.create_task(self._print_all())
        self._may_print = asyncio.Event()
        self._may_print.set()

    def tell(self, happening: Happening) -> None:
        """Queue it; printing has its own pace."""
        self._waiting.put_nowait(happening)

    async def caught_up(self) -> None:
        """Everything told so far is on the screen; raises what the printing raised."""
        joining = asyncio.ensure_future(self._waiting.join())
        await asyncio.wait({joining, self._printer}, return_when=asyncio.FIRST_COMPLETED)
        if self._printer.done():
            joining.cancel()
            self._printer.result()

    @contextlib.asynccontextmanager
    async def hold(self) -> AsyncIterator[None]:
        """Print what was told so far, then nothing until the end of the block: a person is being asked."""
        await self.caught_up()
        self._may_print.clear()
        try:
            yield
        finally:
            self._may_print.set()

    def say(self, text: str) -> None:
        """Print this now, without a line end: a question, or an echo of what is typed."""
        if self._plain:
            text = text.translate(ASCII).encode("ascii", "replace").decode("ascii")
        print(text, end="", file=self._console.file, flush=True)

    async def close(self) -> None:
        """Print the rest, then stop."""
        try:
            await self.caught_up()
        finally:
            self._printer.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._printer

    async def _print_all(self) -> None:
        while True:
            happening = await self._waiting.get()
            await self._may_print.wait()
            try:
                renderable = self._render(happening)
                if renderable is not None:
                    self._print(renderable)
                pause = BLOCK_SECONDS if happening.event is Event.OPENED else LINE_SECONDS
                if happening.at is not None and self._pace:
                    await asyncio.sleep(pause * self._pace)
            finally:
                self._waiting.task_done()

    def _print(self, renderable: RenderableType) -> None:
        with self._console.capture() as captured:
            self._console.print(renderable)
        text = captured.get()
        if not self._console.is_terminal:
            # In a file, the spaces that fill a line are only in the way.
            text = "\n".join(line.rstrip() for line in text.split("\n"))
        self.say(text)

    # -- how each kind looks

    def _render(self, happening: Happening) -> RenderableType | None:
        match happening.event:
            case Event.STORY:
                return self._story(happening)
            case Event.SETUP:
                return self._row("", happening.route, happening.text, "")
            case Event.PAYMENT:
                return self._title(happening.text)
            case Event.OPENED:
                return self._side_by_side(happening)
            case Event.LEARNED | Event.LEDGER | Event.RADIO:
                return self._table(happening)
            case Event.RECEIPT:
                return Padding(Text(happening.text.rstrip(), style=STYLES[Party.MERCHANT]), (1, 0, 0, 20))
            case Event.FINISHED:
                good = happening.facts.get("as_expected") is True
                return Padding(Text(happening.text, style="bold green" if good else "bold red"), (1, 0, 0, 0))
            case _:
                seconds = "" if happening.at is None else f"{happening.at:.3f}"
                style = {Event.ATTACK: "red", Event.DEFENCE: "green"}.get(happening.event, "")
                text = f"ATTACK: {happening.text}" if happening.event is Event.ATTACK else happening.text
                # What is sealed gets a box of its own.
                sealed = happening.facts.get("kind") in ("card_envelope", "pin_envelope")
                seen = None if sealed else happening.facts.get("phone_saw")
                return self._row(seconds, happening.route, text, happening.steps, style, seen)

    def _title(self, text: str) -> RenderableType:
        rule = "-" if self._plain else "─"
        line = Text(f"{text} ", style="bold")
        line.append(rule * max(0, self._console.width - cell_len(text) - 1), style="dim")
        return Padding(line, (1, 0, 0, 0))

    def _story(self, happening: Happening) -> RenderableType:
        both = Table.grid(padding=0)
        both.add_row(self._title(happening.text))
        story = happening.facts.get("story")
        both.add_row(Text(str(story)))
        both.add_row(Padding(self._parties(), (1, 0, 0, 0)))
        return both

    def _parties(self) -> RenderableType:
        """The patent's picture with today's wires."""
        left, right, both = ("<", ">", "-") if self._plain else ("◀", "▶", "─")
        line = Text()
        roles = Text()
        for party, wire, role in (
            (Party.MERCHANT, f" {both}{both} HTTP {both}{right} ", "shop computer 4"),
            (Party.ISSUER, f" {left} WebSocket {right} ", "host computer 3"),
            (Party.PHONE, f" {left} Bluetooth LE {right} ", "mobile phone 2"),
            (Party.READER, "", "card reader 1"),
        ):
            start = cell_len(line.plain)
            line.append(party.value, style=f"bold {STYLES[party]}")
            line.append(wire, style="dim")
            roles.append(" " * max(1 if roles.plain else 0, start - cell_len(roles.plain)))
            roles.append(role, style="dim")
        grid = Table.grid(padding=0)
        grid.add_row(line)
        grid.add_row(roles)
        grid.add_row(Text("Numbers and steps on the right: the patent, JP 2002-259866 A.", style="dim"))
        return grid

    def _row(
        self,
        seconds: str,
        route: tuple[Party, ...],
        text: str,
        steps: str,
        style: str = "",
        seen: Json = None,
    ) -> RenderableType:
        grid = Table.grid(padding=(0, 1), pad_edge=False, expand=True)
        grid.add_column(width=6, justify="right", style="dim")
        grid.add_column(width=19, no_wrap=True)
        grid.add_column(ratio=1)
        if steps:
            grid.add_column(width=7, justify="right", style="dim", no_wrap=True)
        arrow = ">" if self._plain else "▶"
        way = Text()
        for position, party in enumerate(route):
            if position:
                way.append(arrow, style="dim")
            way.append(party.value, style=STYLES[party])
        what = Text(text, style=style)
        if seen is not None:
            what.append(f"\n{seen}", style="dim")
        grid.add_row(seconds, way, what, *([steps] if steps else []))
        return grid

    def _side_by_side(self, happening: Happening) -> RenderableType:
        """What the phone saw beside what the issuer saw."""
        boxes = Table.grid(padding=(0, 1), pad_edge=False, expand=True)
        boxes.add_column(width=6)
        boxes.add_column(ratio=1)
        boxes.add_column(ratio=1)
        phone, issuer = happening.facts.get("phone_saw"), happening.facts.get("issuer_saw")
        boxes.add_row(
            "",
            self._box("the phone saw", phone, Party.PHONE),
            self._box("the issuer saw", issuer, Party.ISSUER),
        )
        return boxes

    def _box(self, title: str, lines: Json, party: Party) -> RenderableType:
        assert isinstance(lines, list)
        return Panel(
            Text("\n".join(str(line) for line in lines)),
            title=title,
            title_align="left",
            border_style=STYLES[party],
            box=box.ASCII if self._plain else box.SQUARE,
            padding=(0, 1),
        )

    def _table(self, happening: Happening) -> RenderableType:
        rows = happening.facts.get("rows")
        assert isinstance(rows, list)
        table = Table(
            box=None,
            show_header=False,
            expand=True,
            padding=(0, 1, 0, 0),
            pad_edge=False,
        )
        first = rows[0]
        assert isinstance(first, list)
        table.add_column(width=14, no_wrap=True)
        for position in range(1, len(first)):
            last = position == len(first) - 1
            table.add_column(ratio=1 if last else None, justify="left" if last else "right", no_wrap=not last)
        for row in rows:
            assert isinstance(row, list)
            name = str(row[0])
            style = STYLES[Party(name)] if name in set(Party) else ""
            table.add_row(Text(name, style=style), *(Text(str(cell)) for cell in row[1:]))
        both = Table.grid(padding=0, expand=True)
        both.add_row(self._title(happening.text))
        both.add_row(table)
        return both
