"""Four real programs go on paying while an operator rotates every key, moves the reader, destroys the old."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from tests.journey.town import PRICE, town
from tests.keys.key_town import (
    PURPOSES,
    enrol_reader_again,
    finish,
    key_files,
    key_lines,
    operate,
    rotate_all,
    up_to_the_pin,
)


def test_payments_before_during_and_after(tmp_path: Path) -> None:
    with town(tmp_path) as here:
        cardholder, merchant = here.balances()
        first_keys = {path: path.read_bytes() for path in key_files(tmp_path)}
        assert here.pay().outcome == "completed"
        charge = up_to_the_pin(here)
        rotate_all(here)
        here.issuer.expect("keys in use: signing 2, pan-index 2, pin-pepper 2, webhook-seal 2")
        assert finish(here, charge).outcome == "completed"
        lines = key_lines(here)
        assert lines["pin-pepper", 2]["needed_by"] == "1 card", "the PIN just typed moved its card"
        assert here.pay().outcome == "completed"
        assert key_lines(here)["pan-index", 2]["needed_by"] == "1 card", "and the swipe did"
        assert "enrol --replace" in operate(here, "keys", "retire", "signing", "1", status=1)
        enrol_reader_again(here)
        assert here.pay().outcome == "completed"
        # What was never swiped, and the code that nobody used, are given up.
        for purpose in ("signing", "pan-index", "pin-pepper"):
            operate(here, "keys", "retire", purpose, "1", "--abandon")
        operate(here, "keys", "retire", "webhook-seal", "1")
        assert [path.exists() for path in first_keys] == [False] * 4
        assert here.pay().outcome == "completed"
        here.issuer.stop()
        here.start_issuer()
        here.phone.expect("onnected")
        assert here.pay().outcome == "completed"
        paid = 6 * PRICE
        assert here.balances() == (cardholder - paid, merchant + paid)
        said = "".join(program.output for program in here._programs._all)
        for key in [*first_keys.values(), *(path.read_bytes() for path in key_files(tmp_path))]:
            assert key.hex() not in said
    database = b"".join(path.read_bytes() for path in (tmp_path / "issuer-data").glob("issuer.db*"))
    with closing(sqlite3.connect(tmp_path / "issuer-data" / "issuer.db")) as raw:
        dump = "\n".join(raw.iterdump())
    assert not any(key in database or key.hex().upper() in dump.upper() for key in first_keys.values())


def test_keys_are_rotated_again_and_again_under_payments(tmp_path: Path) -> None:
    with town(tmp_path) as here:
        for version in (2, 3, 4):
            charge = here.charge()
            rotate_all(here)
            here.approve()
            here.swipe()
            for purpose in PURPOSES:
                operate(here, "keys", "rotate", purpose)
            here.type_pin()
            assert here.receipt(charge).outcome == "completed"
            here.reader.expect("APPROVED")
            here.phone.expect("Paid ")
            assert key_lines(here)["pan-index", version * 2 - 1]["state"] == "active"
