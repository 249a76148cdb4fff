"""`handset-client readers`: who is in range, which one is chosen, choosing and forgetting."""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from handset_client.adapters.preferences_file import PreferencesFile
from handset_client.adapters.radio import open_radio
from handset_client.adapters.reader_search import RADIO_ERRORS, ReaderSearch, trouble
from handset_client.effects import Ending, Finish, NoticeKind
from handset_client.ports import ReaderChoice, ReaderInRange, ReaderReady
from handset_client.preferences import Preferences
from handset_client.service import Happening
from handset_client.settings import data_directory
from handset_client.wording import notice_text
from protocol import gatt
from protocol.errors import InputError
from protocol.identifiers import ReaderId, parse_reader_id, reader_id_text
from protocol.messages import NotSettled
from protocol.text import shown

_log = logging.getLogger(__name__)

SCAN_SECONDS: Final = 4.0
"""A reader on BlueZ says its name every 1.28 s at the slowest; three chances to hear it."""

_BARS: Final = ((-55, "████", "strong"), (-67, "███ ", "good"), (-80, "██  ", "weak"), (-999, "█   ", "poor"))
"""dBm from which so many bars are shown."""
_ID_DIGITS: Final = 16
_NOT_OURS: Final = (NotSettled.READER_UNKNOWN, NotSettled.READER_NOT_CARDHOLDERS)


class ReaderBook:
    """Which reader to take, read anew at each session, and which was used last, written down."""

    def __init__(self, store: PreferencesFile, given: ReaderId | None) -> None:
        self._store = store
        self._given = given

    def choose(self) -> ReaderChoice:
        """The command line's reader, else the chosen one; else the one used last before others."""
        preferences = self._store.load()
        return ReaderChoice(
            self._given or preferences.reader, preferences.readers[-1] if preferences.readers else None
        )

    def watch(self, happening: Happening) -> None:
        """Remember the reader of each session that comes up, and which was the wrong one."""
        match happening:
            case ReaderReady(reader_id):
                self._change(lambda preferences: preferences.saw(reader_id))
            case Finish(Ending(reason=reason, reader_id=reader)) if reader and reason in _NOT_OURS:
                self._change(lambda preferences: preferences.was_wrong(reader))

    def _change(self, changed: Callable[[Preferences], Preferences]) -> None:
        preferences = self._store.load()
        after = changed(preferences)
        if after != preferences:
            try:
                self._store.save(after)
            except OSError as error:
                # Only a preference is lost, and the history, on the same disk, tells the person.
                _log.warning("preferences: %s", error.strerror)


async def run_list(arguments: argparse.Namespace) -> None:
    """Scan, ask each who it is, and print the list."""
    preferences = PreferencesFile(data_directory(arguments.data)).load()
    in_range = await _scan(arguments)
    if arguments.json:
        print(json.dumps(_document(in_range, preferences), indent=2))
    else:
        print("\n".join(_lines(in_range, preferences)))


async def run_choose(arguments: argparse.Namespace) -> None:
    """Remember one reader: the phone then takes no other."""
    store = PreferencesFile(data_directory(arguments.data))
    preferences = store.load()
    reader = _named(arguments.reader, preferences.readers)
    if reader is None:
        in_range = [found.reader_id for found in await _scan(arguments) if found.reader_id]
        reader = _named(arguments.reader, in_range)
    if reader is None:
        raise _unknown(arguments.reader)
    store.save(replace(preferences, reader=reader))
    print(f"Chosen: {reader_id_text(reader)} ({gatt.device_name(reader)}). No other reader will be used.")


async def run_forget(arguments: argparse.Namespace) -> None:
    """Forget one reader, or all of them and the choice."""
    store = PreferencesFile(data_directory(arguments.data))
    preferences = store.load()
    if arguments.reader is None:
        store.save(replace(preferences, reader=None, readers=()))
        print("No reader is chosen or remembered any more: the phone takes the strongest in range.")
        return
    chosen = () if preferences.reader is None else (preferences.reader,)
    reader = _named(arguments.reader, list(dict.fromkeys((*preferences.readers, *chosen))))
    if reader is None:
        raise _unknown(arguments.reader)
    store.save(
        replace(
            preferences,
            reader=None if preferences.reader == reader else preferences.reader,
            readers=tuple(known for known in preferences.readers if known != reader),
        )
    )
    print(f"Forgotten: {reader_id_text(reader)}.")


async def _scan(arguments: argparse.Namespace) -> list[ReaderInRange]:
    async with open_radio(arguments.radio) as backends:
        try:
            return await ReaderSearch(backends, arguments.adapter).everyone(arguments.seconds)
        except RADIO_ERRORS as error:
            notice = trouble(error)
            if notice.kind is NoticeKind.READER_FAILED:
                raise InputError(
                    "scan_failed", f"The scan failed: {notice.detail or 'no reason given'}."
                ) from None
            raise InputError("no_bluetooth", notice_text(notice)) from None


def _named(text: str, known: Sequence[ReaderId]) -> ReaderId | None:
    """A reader by its whole id, or of `known` by its name or the beginning of its id; else None."""
    start = text.strip().removeprefix(gatt.DEVICE_NAME_PREFIX).lower().replace("-", "")
    if len(start) == _ID_DIGITS:
        return parse_reader_id(text.strip())
    matching = [reader for reader in known if start and reader.hex().startswith(start)]
    if len(matching) > 1:
        raise InputError("several_readers", "Several readers begin like that. Give more of the id.")
    return matching[0] if matching else None


def _unknown(text: str) -> InputError:
    return InputError(
        "unknown_reader",
        f"No reader is known as {shown(text, _ID_DIGITS)}. See handset-client readers, or give the whole id: "
        "0a1b-2c3d-4e5f-6071",
    )


def _lines(in_range: Sequence[ReaderInRange], preferences: Preferences) -> Iterator[str]:
    if not in_range:
        yield "No card reader is in range."
        yield "Switch it on and keep it within two metres. One that a phone is connected to cannot be seen."
    for found in in_range:
        _, bars, word = next(step for step in _BARS if found.signal >= step[0])
        who = "(did not answer)   " if found.reader_id is None else reader_id_text(found.reader_id)
        said = f"  {bars} {found.signal:>4} dBm {word:<6}  {found.name:<8}  {who}"
        yield f"{said}  {_role(found.reader_id, preferences)}".rstrip()
    heard = {found.reader_id for found in in_range}
    for reader in [*([preferences.reader] if preferences.reader else []), *reversed(preferences.readers)]:
        if reader not in heard:
            heard.add(reader)
            said = f"  {'not in range':<20}  {gatt.device_name(reader):<8}  {reader_id_text(reader)}"
            yield f"{said}  {_role(reader, preferences)}".rstrip()
    if in_range and preferences.reader is None:
        yield "None is chosen: the one used last is taken, else the strongest."
        yield "To choose one: handset-client readers choose ID"


def _role(reader: ReaderId | None, preferences: Preferences) -> str:
    roles = []
    if reader is not None and reader == preferences.reader:
        roles.append("chosen")
    if reader is not None and preferences.readers[-1:] == (reader,):
        roles.append("used last")
    return ", ".join(roles)


def _document(in_range: Sequence[ReaderInRange], preferences: Preferences) -> dict[str, object]:
    return {
        "chosen": None if preferences.reader is None else reader_id_text(preferences.reader),
        "known": [reader_id_text(reader) for reader in preferences.readers],
        "in_range": [
            {
                "name": found.name,
                "signal_dbm": found.signal,
                "reader_id": None if found.reader_id is None else reader_id_text(found.reader_id),
            }
            for found in in_range
        ],
    }
