"""Named places in a running issuer where its process can be made to die (SIGKILL), as a power cut would.

The issuer knows nothing of them: `arm` wraps its functions in the process that is to die, before that
process starts to serve. So production carries neither their cost nor a way to set one off. A name that fits
no function any more is never reached, and the test that waits for its death fails.
"""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from aiohttp import web

from issuer_server import service
from issuer_server.live_payments import LivePayment
from issuer_server.parts import IssuerParts
from issuer_server.payment import Effect, PaymentEvent
from issuer_server.payment_effects import PaymentEffects
from issuer_server.storage.sqlite import directory, payments, refunds, webhooks
from issuer_server.storage.sqlite.group_commit import GroupCommit
from issuer_server.webhooks.delivery import WebhookDelivery

OPERATIONS: Final[Mapping[str, tuple[Any, str]]] = {
    "create": (payments, "create"),
    "hold": (payments, "hold"),
    "advance": (payments, "advance"),
    "settle": (payments, "settle"),
    "sweep": (payments, "sweep"),
    "refund": (refunds, "give_back"),
    "claim pin try": (directory, "claim_pin_try"),
    "webhook delivered": (webhooks, "delivered"),
    "webhook failed": (webhooks, "failed"),
}
"""What is written in a payment's life: failpoints lie between statement, COMMIT and whoever waits for it."""

ANSWERS: Final[Mapping[str, tuple[str, str]]] = {
    "payment": ("POST", "/v1/payments"),
    "outcome": ("GET", "/v1/payments/{id}"),
    "cancellation": ("POST", "/v1/payments/{id}/cancel"),
    "refund": ("POST", "/v1/payments/{id}/refunds"),
}
FRAMES: Final = ("payment_request", "key_offer", "pin_request", "outcome", "result", "ack")

FAILPOINTS: Final = (
    *(f"before effect {effect.name.lower()}" for effect in Effect),
    *(f"{name}: written, not committed" for name in OPERATIONS),
    *(f"{name}: committed, nobody told" for name in OPERATIONS),
    *(f"{name}: answer made, not sent" for name in ANSWERS),
    *(f"{name}: answer sent" for name in ANSWERS),
    *(f"before frame {kind}" for kind in FRAMES),
    *(f"after frame {kind}" for kind in FRAMES),
    "before webhook",
    "after webhook, not noted",
)


class _Trap:
    """Kills this process when its name is reached for the `nth` time."""

    def __init__(self, name: str, nth: int) -> None:
        self.name = name
        self._left = nth
        self._lock = threading.Lock()

    def reached(self, name: str) -> None:
        """Die here, if this is the place."""
        if self.is_here(name):
            os.kill(os.getpid(), signal.SIGKILL)

    def is_here(self, name: str) -> bool:
        """Count, and say whether it is time."""
        if name != self.name:
            return False
        with self._lock:
            self._left -= 1
            return self._left <= 0


def arm(name: str, nth: int = 1) -> None:
    """Let this process die the `nth` time that it comes to `name`; call it before the issuer starts."""
    if name not in FAILPOINTS:
        raise ValueError(f"there is no failpoint {name!r}")
    trap = _Trap(name, nth)
    _in_effects(trap)
    _in_storage(trap)
    _in_answers(trap)
    _in_frames(trap)
    _in_webhooks(trap)


def _in_effects(trap: _Trap) -> None:
    made = PaymentEffects.__init__

    def make(self: PaymentEffects, parts: IssuerParts, live: Any) -> None:
        made(self, parts, live)
        self.methods = {effect: wrapped(effect, method) for effect, method in self.methods.items()}

    def wrapped(
        effect: Effect, method: Callable[[LivePayment], Awaitable[PaymentEvent | None]]
    ) -> Callable[[LivePayment], Awaitable[PaymentEvent | None]]:
        async def carry_out(live: LivePayment) -> PaymentEvent | None:
            trap.reached(f"before effect {effect.name.lower()}")
            return await method(live)

        return carry_out

    PaymentEffects.__init__ = make  # type: ignore[method-assign]


def _in_storage(trap: _Trap) -> None:
    """The writer's thread runs the operations of a batch, commits, then wakes those who wait."""
    armed = threading.Event()

    def wrapped(name: str, operation: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any) -> Any:
            result = operation(*arguments)
            trap.reached(f"{name}: written, not committed")
            if trap.is_here(f"{name}: committed, nobody told"):
                armed.set()
            return result

        return run

    for name, (module, function) in OPERATIONS.items():
        setattr(module, function, wrapped(name, getattr(module, function)))
    wake = GroupCommit._wake_loop

    def die_or_wake(self: GroupCommit, batch: Any) -> None:
        if armed.is_set():
            os.kill(os.getpid(), signal.SIGKILL)
        wake(self, batch)

    GroupCommit._wake_loop = die_or_wake  # type: ignore[method-assign]


def _in_answers(trap: _Trap) -> None:
    http_application = service.http_application
    names = {route: name for name, route in ANSWERS.items()}

    @web.middleware
    async def watch(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        response = await handler(request)
        resource = request.match_info.route.resource
        name = names.get((request.method, resource.canonical if resource is not None else ""))
        if name is None or response.status >= 400:
            return response
        trap.reached(f"{name}: answer made, not sent")
        if isinstance(response, web.Response) and trap.is_here(f"{name}: answer sent"):
            await response.prepare(request)
            await response.write_eof()
            os.kill(os.getpid(), signal.SIGKILL)
        return response

    def with_watch(*arguments: Any, **named: Any) -> web.Application:
        app = http_application(*arguments, **named)
        app.middlewares.insert(0, watch)
        return app

    service.http_application = with_watch


def _in_frames(trap: _Trap) -> None:
    send = web.WebSocketResponse.send_str

    async def send_str(self: web.WebSocketResponse, data: str, *arguments: Any, **named: Any) -> None:
        kind = _kind(data)
        trap.reached(f"before frame {kind}")
        await send(self, data, *arguments, **named)
        trap.reached(f"after frame {kind}")

    web.WebSocketResponse.send_str = send_str  # type: ignore[method-assign]


def _kind(frame: str) -> str:
    """Its type, or of a message to the reader which one."""
    value = json.loads(frame)
    return str(value.get("kind") or value["type"])


def _in_webhooks(trap: _Trap) -> None:
    attempt = WebhookDelivery._attempt

    async def watched(self: WebhookDelivery, due: Any) -> tuple[int | None, str]:
        trap.reached("before webhook")
        result = await attempt(self, due)
        trap.reached("after webhook, not noted")
        return result

    WebhookDelivery._attempt = watched  # type: ignore[method-assign]


def weaken() -> None:
    """Make an issuer that answers before it has committed, and dies in between at the first settlement.

    No issuer does so: the test of the tests runs it, to see that they would notice.
    """
    settled = threading.Event()
    settle = payments.settle

    def noted(*arguments: Any) -> Any:
        settled.set()
        return settle(*arguments)

    payments.settle = noted

    def run(self: GroupCommit, batch: Any) -> None:
        self._connection.execute(self._batching.value)
        for entry in batch:
            self._run_one(entry)
        self._wake_loop(batch)
        if settled.is_set():
            time.sleep(0.5)  # long enough for the answers to be out; the power fails before the disk has it
            os.kill(os.getpid(), signal.SIGKILL)
        self._connection.execute("COMMIT")

    GroupCommit._run = run  # type: ignore[method-assign]
