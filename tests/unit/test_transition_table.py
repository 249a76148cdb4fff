"""A table of moves: steps, refusals, what a table may not be, and its picture."""

from __future__ import annotations

from enum import Enum

import pytest

from protocol.errors import IllegalTransition, LocalProtocolError
from protocol.framing import LINK_TABLE
from protocol.transition_table import Move, TransitionTable, to_mermaid


class Door(Enum):
    OPEN = 1
    SHUT = 2
    BRICKED_UP = 3


class Act(Enum):
    PUSH = 1
    PULL = 2
    BUILD = 3


class Sound(Enum):
    CREAK = 1
    SLAM = 2


MOVES: dict[tuple[Door, Act], Move[Door, Sound]] = {
    (Door.OPEN, Act.PUSH): Move(Door.SHUT, (Sound.CREAK, Sound.SLAM)),
    (Door.SHUT, Act.PULL): Move(Door.OPEN, (Sound.CREAK,)),
    (Door.SHUT, Act.BUILD): Move(Door.BRICKED_UP),
}
BRICKS = frozenset({Door.BRICKED_UP})
TABLE = TransitionTable("door", Door.OPEN, MOVES, BRICKS)


def test_every_state_and_event_is_listed_or_refused_by_name() -> None:
    for state in Door:
        for event in Act:
            if (state, event) in MOVES:
                assert TABLE.allows(state, event)
                assert TABLE.step(state, event) is MOVES[state, event]
                continue
            assert not TABLE.allows(state, event)
            with pytest.raises(IllegalTransition) as refused:
                TABLE.step(state, event)
            assert str(refused.value) == f"door: no move from {state.name} on {event.name}"
            assert (refused.value.role, refused.value.state, refused.value.event) == ("door", state, event)


def test_an_illegal_move_is_our_own_error() -> None:
    assert issubclass(IllegalTransition, LocalProtocolError)


def test_effects_come_in_order() -> None:
    assert TABLE.step(Door.OPEN, Act.PUSH).effects == (Sound.CREAK, Sound.SLAM)


def test_a_state_that_cannot_be_reached_is_refused() -> None:
    moves = {key: move for key, move in MOVES.items() if move.to is not Door.BRICKED_UP}
    with pytest.raises(ValueError, match="cannot be reached: BRICKED_UP"):
        TransitionTable("door", Door.OPEN, moves, BRICKS)


def test_a_terminal_state_with_a_way_out_is_refused() -> None:
    moves = MOVES | {(Door.BRICKED_UP, Act.PULL): Move[Door, Sound](Door.OPEN)}
    with pytest.raises(ValueError, match="terminal but has moves: BRICKED_UP"):
        TransitionTable("door", Door.OPEN, moves, BRICKS)


def test_a_dead_end_that_is_not_terminal_is_refused() -> None:
    with pytest.raises(ValueError, match="no moves: BRICKED_UP"):
        TransitionTable("door", Door.OPEN, MOVES, frozenset())


def test_reachable_states() -> None:
    assert TABLE.reachable() == set(Door)


def test_the_picture() -> None:
    assert to_mermaid(TABLE) == (
        "stateDiagram-v2\n"
        "    [*] --> OPEN\n"
        "    OPEN --> SHUT: push / creak, slam\n"
        "    SHUT --> OPEN: pull / creak\n"
        "    SHUT --> BRICKED_UP: build\n"
        "    BRICKED_UP --> [*]\n"
    )


def test_the_links_own_table_is_one() -> None:
    assert LINK_TABLE.reachable() == set(type(LINK_TABLE.initial))


def test_what_cannot_be_reached_is_named() -> None:
    moves = {(Door.OPEN, Act.PUSH): Move(Door.OPEN), (Door.SHUT, Act.PULL): Move(Door.BRICKED_UP)}
    with pytest.raises(ValueError) as refused:
        TransitionTable("door", Door.OPEN, moves, BRICKS)
    assert str(refused.value) == "door: cannot be reached: BRICKED_UP, SHUT"
