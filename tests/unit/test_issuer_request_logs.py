"""A request's id is the same in the answer, in its header and in every line of the log that it caused."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from issuer_server.operations.logs import JsonLines, formatter_for
from issuer_server.operations.operating_settings import LogFormat
from issuer_server.storage.port import StorageError
from tests.unit.issuer_bench import API_KEY, PHONE
from tests.unit.issuer_house import BODY, house


class Log(logging.Handler):
    """What a service writes, line for line."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(JsonLines())
        self.text: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.text.append(self.format(record))

    def of(self, request_id: str) -> list[dict[str, Any]]:
        return [line for line in map(json.loads, self.text) if line.get("request_id") == request_id]


@pytest.fixture
def log() -> Iterator[Log]:
    log, root = Log(), logging.getLogger()
    before = root.level
    root.addHandler(log)
    root.setLevel(logging.DEBUG)
    yield log
    root.removeHandler(log)
    root.setLevel(before)


async def test_what_was_refused_is_found_by_the_id_that_the_caller_was_told(
    tmp_path: Path, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with house(tmp_path) as home:
        for call, status in (
            (home.call("GET", "/v1/payments/pay_4000001234567899"), 404),
            (home.call("POST", "/v1/payments", json=BODY), 400),
            (home.call("GET", "/v1/payments", headers={"Authorization": "Bearer brm_wrong"}), 401),
        ):
            answered, problem, answer = await call
            assert answered == status
            assert answer.headers["X-Request-Id"] == problem["request_id"]
            [line] = log.of(problem["request_id"])
            assert (line["status"], line["code"]) == (status, problem["code"])

        async def fail(*_: object) -> None:
            raise StorageError("the disk of /var/lib is full")

        monkeypatch.setattr(type(home.issuer.storage), "create_payment", fail)
        _, problem, _ = await home.create()
        told = [line["message"] for line in log.of(problem["request_id"])]
        assert any("storage failed: StorageError" in message for message in told)
    everything = "\n".join(log.text)
    for secret in (API_KEY, "brm_wrong", PHONE, "2 coffees", "4000001234567899"):
        assert secret not in everything


async def test_what_a_request_set_in_motion_is_the_requests(tmp_path: Path, log: Log) -> None:
    """A deadline strikes long after the answer; its lines still lead to who asked."""
    async with house(tmp_path) as home, home.phone() as phone:
        _, payment, answer = await home.create()
        await phone.heard("payment_request", payment["id"])
        home.timers.advance(61)
        _, shown, _ = await home.call("GET", f"/v1/payments/{payment['id']}?wait=10")
        assert shown["reason"] == "approval_timeout"
        lines = log.of(answer.headers["X-Request-Id"])
        assert {line["payment_id"] for line in lines if "event" in line} == {payment["id"]}
        assert [line["state"] for line in lines if "event" in line] == ["calling", "not_settled"]
        mine, _, answer = await home.call("GET", "/v1/payments", headers={"X-Request-Id": "till-7.42"})
        assert (mine, answer.headers["X-Request-Id"]) == (200, "till-7.42")
        [line] = log.of("till-7.42")
        assert (line["route"], line["status"]) == ("/v1/payments", 200)
        assert line["milliseconds"] >= 0
        _, _, answer = await home.call("GET", "/v1/payments", headers={"X-Request-Id": 'x" "level": "none'})
        assert answer.headers["X-Request-Id"].startswith("req_")


async def test_probes_leave_no_lines(tmp_path: Path, log: Log) -> None:
    async with house(tmp_path) as home:
        for path in ("/healthz", "/readyz"):
            assert (await home.call("GET", path))[0] == 200
    assert "healthz" not in "".join(log.text)


def test_the_format_is_what_the_settings_say() -> None:
    assert isinstance(formatter_for(io.StringIO(), LogFormat.PLAIN), logging.Formatter)
    assert not isinstance(formatter_for(io.StringIO(), LogFormat.PLAIN), JsonLines)
    assert isinstance(formatter_for(io.StringIO(), LogFormat.JSON), JsonLines)
    assert isinstance(formatter_for(io.StringIO()), JsonLines)
