"""A token is asked on a thread of its own, one question after the other, as a PKCS#11 session wants it.

A question that the token never answers holds that thread for ever, and nothing in Python can end it: so it is
a daemon, which no process waits for at its end. An executor's threads are none.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Final, TypeVar

from issuer_server.key_custody.key_store import KeyStoreError

TOKEN_PATIENCE: Final = 10.0
"""Seconds for an answer of the token, and for those who asked before: then the payment ends."""

T = TypeVar("T")
_Question = tuple["Future[Any]", Callable[[], Any]]


class TokenThread:
    """`ask` belongs to one event loop.

    Once somebody has waited in vain nobody waits before the token has said something: they hear so at once.
    """

    def __init__(self) -> None:
        self._questions: queue.SimpleQueue[_Question] = queue.SimpleQueue()
        self._answers = 0
        self._silent_after: int | None = None
        threading.Thread(target=self._work, name="token", daemon=True).start()

    @property
    def is_silent(self) -> bool:
        """Somebody waited in vain, and not one answer has come since they asked."""
        return self._silent_after == self._answers

    async def ask(self, work: Callable[[], T]) -> T:
        """What `work` returns or raises; KeyStoreError where the token does not answer."""
        if self.is_silent:
            raise _no_answer()
        answers, question = self._answers, Future[T]()
        self._questions.put((question, work))
        try:
            async with asyncio.timeout(TOKEN_PATIENCE):
                return await asyncio.wrap_future(question)
        except TimeoutError:
            self._silent_after = answers
            raise _no_answer() from None

    def _work(self) -> None:
        while True:
            question, work = self._questions.get()
            if question.set_running_or_notify_cancel():  # else nobody waits for it any more
                try:
                    answer = work()
                except BaseException as error:  # noqa: BLE001 - whatever it is belongs to who asked
                    self._answers += 1
                    question.set_exception(error)
                else:
                    self._answers += 1
                    question.set_result(answer)
                    del answer
            del question, work  # they may hold a PIN, and the next question may be an hour away


def _no_answer() -> KeyStoreError:
    return KeyStoreError(
        f"the token has not answered within {TOKEN_PATIENCE:g} s: see to it and to the way there"
    )
