"""State machines as data: a table of moves, and the one `step` that reads it.

Every machine of Blind Relay is a `TransitionTable`. A move is looked up, never computed, and an unlisted one
is refused by name, as in h11's `_state.py`. Effects name what the caller shall do; the table does nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Generic, TypeVar

from protocol.errors import IllegalTransition

S = TypeVar("S", bound=Enum)
E = TypeVar("E", bound=Enum)
F = TypeVar("F", bound=Enum)


# No slots here: before Python 3.13 a frozen generic with slots cannot be built as Move[S, F](...).
@dataclass(frozen=True)
class Move(Generic[S, F]):
    """Where a transition leads, and what the caller shall do, in this order."""

    to: S
    effects: tuple[F, ...] = ()


@dataclass(frozen=True)
class TransitionTable(Generic[S, E, F]):
    """All moves of one role. `role` names the machine in errors and diagrams.

    Raises ValueError when built wrong: a move out of a terminal state, a state that cannot be reached from
    `initial`, or one that is not terminal and has no way out. Such slips show when the table is imported.
    """

    role: str
    initial: S
    moves: Mapping[tuple[S, E], Move[S, F]]
    terminal: frozenset[S]

    def __post_init__(self) -> None:
        unreached = set(type(self.initial)) - self.reachable()
        leaving = {state for state, _ in self.moves}
        faults = {
            "cannot be reached": unreached,
            "is terminal but has moves": leaving & self.terminal,
            "is not terminal and has no moves": set(type(self.initial)) - leaving - self.terminal,
        }
        for fault, states in faults.items():
            if states:
                names = ", ".join(sorted(state.name for state in states))
                raise ValueError(f"{self.role}: {fault}: {names}")

    def step(self, state: S, event: E) -> Move[S, F]:
        """The move listed for `event` in `state`; raises IllegalTransition when there is none."""
        move = self.moves.get((state, event))
        if move is None:
            raise IllegalTransition(self.role, state, event)
        return move

    def allows(self, state: S, event: E) -> bool:
        """Whether `step` would accept, for a caller that must ask before it acts."""
        return (state, event) in self.moves

    def reachable(self) -> set[S]:
        """The states that some run of listed moves leads to, the initial one included."""
        found, open_ends = {self.initial}, [self.initial]
        while open_ends:
            state = open_ends.pop()
            for successor in self._successors(state):
                if successor not in found:
                    found.add(successor)
                    open_ends.append(successor)
        return found

    def _successors(self, state: S) -> Iterator[S]:
        return (move.to for (origin, _), move in self.moves.items() if origin is state)


def to_mermaid(table: TransitionTable[S, E, F]) -> str:
    """The table as a Mermaid `stateDiagram-v2`, in the table's own order, effects after a slash as in UML."""
    lines = ["stateDiagram-v2", f"    [*] --> {table.initial.name}"]
    for (state, event), move in table.moves.items():
        effects = ", ".join(effect.name.lower() for effect in move.effects)
        label = event.name.lower() + (f" / {effects}" if effects else "")
        lines.append(f"    {state.name} --> {move.to.name}: {label}")
    lines += [f"    {state.name} --> [*]" for state in type(table.initial) if state in table.terminal]
    return "\n".join(lines) + "\n"
