"""The merchant terminal's pure parts: receipts, sentences, settings and remembered charges."""

from __future__ import annotations

import json
import stat
from datetime import UTC
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from merchant_terminal.charging import claim
from merchant_terminal.errors import NotAnIssuerError
from merchant_terminal.issuer_api import ApiKey, RetryPolicy, check_issuer_url
from merchant_terminal.listing import summary
from merchant_terminal.payment import Charge, Payment
from merchant_terminal.receipt import WIDTH, receipt, wrap
from merchant_terminal.sentences import REASON_SENTENCES, STATUS_SENTENCES, problem_sentence, reason_sentence
from merchant_terminal.settings import Places, Settings, load_key, load_settings, save
from merchant_terminal.unanswered import UnansweredCharges
from protocol.errors import InputError
from protocol.messages import NotSettled
from protocol.money import Money, currency
from service_host.columns import columns

KEY = ApiKey("k" * 43)
YEN = Money(1200, currency("JPY"))
COFFEE = Charge("+819012345678", YEN, "2 coffees")
ISSUER = "http://127.0.0.1:8080"


def payment_json(**changes: object) -> dict[str, object]:
    """A completed payment as the issuer writes it."""
    return {
        "id": "pay_aaaaaaaaaaaaaaaaaaaaaaaaaa",
        "status": "completed",
        "reason": None,
        "amount": 1200,
        "currency": "JPY",
        "order": "2 coffees",
        "phone": "+819012345678",
        "card_last_four": "3184",
        "created_at": "2026-11-22T10:00:00Z",
        "updated_at": "2026-11-22T10:00:09Z",
        **changes,
    }


def test_receipt_of_a_completed_payment() -> None:
    text = receipt(Payment.parse(payment_json()), zone=UTC)
    assert "RECEIPT" in text
    assert "PAID" in text
    assert "JPY 1,200" in text
    assert "**** 3184" in text
    assert "2026-11-22 10:00:00" in text
    assert "+819012345678" not in text, "a lost receipt must not give away the customer's number"
    assert all(columns(line) <= WIDTH for line in text.splitlines())


def test_receipt_of_a_payment_not_settled_says_why_and_that_no_money_moved() -> None:
    text = receipt(Payment.parse(payment_json(status="not_settled", reason="wrong_pin")), zone=UTC)
    assert "NOT PAID" in text
    assert "No money has moved." in text
    assert "PIN was wrong" in " ".join(text.split())


def test_no_receipt_while_the_payment_runs() -> None:
    with pytest.raises(ValueError, match="over"):
        receipt(Payment.parse(payment_json(status="calling")))


@given(st.text(min_size=1, max_size=80), st.sampled_from([10, 23, WIDTH]))
def test_wrapping_never_exceeds_the_width_and_loses_no_letter(text: str, width: int) -> None:
    lines = wrap(text, width)
    assert all(columns(line) <= width for line in lines)
    assert "".join("".join(lines).split()) == "".join(text.split())


def test_japanese_order_stays_within_the_paper() -> None:
    text = receipt(
        Payment.parse(payment_json(order="コーヒー二杯とチーズケーキ、持ち帰りの紙袋つき" * 2)), zone=UTC
    )
    assert all(columns(line) <= WIDTH for line in text.splitlines())


def test_every_reason_and_status_has_its_own_sentence() -> None:
    assert set(REASON_SENTENCES) == {reason.value for reason in NotSettled}
    assert all(sentence.endswith((".", "?")) for sentence in REASON_SENTENCES.values())
    assert len(STATUS_SENTENCES) == 9


def test_what_a_newer_issuer_says_is_shown_as_it_is() -> None:
    assert "solar flare" in reason_sentence("solar_flare")
    assert problem_sentence("solar_flare", "The sun misbehaves.").count("The sun misbehaves") == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"amount": "1200"},
        {"amount": True},
        {"amount": 12.0},
        {"amount": -1},
        {"currency": "XYZ"},
        {"id": 7},
        {"card_last_four": 3184},
    ],
)
def test_an_answer_that_is_no_payment_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(NotAnIssuerError):
        Payment.parse(payment_json(**changes))
    with pytest.raises(NotAnIssuerError):
        Payment.parse([])


def test_control_characters_of_the_issuer_never_reach_the_screen() -> None:
    payment = Payment.parse(payment_json(order="2 coffees\x1b[2J\r\u202e"))
    assert payment.order == "2 coffees[2J"
    assert "\x1b" not in summary(payment)


@pytest.mark.parametrize(
    "url", ["https://issuer.example", "http://127.0.0.1:8080/", "http://[::1]:1", "http://localhost:1"]
)
def test_addresses_that_are_safe(url: str) -> None:
    assert not check_issuer_url(url).endswith("/")


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("http://issuer.example", "plain_http_refused"),
        ("http://127.0.0.1.evil.example", "plain_http_refused"),
        ("http://10.0.0.1", "plain_http_refused"),
        ("ftp://127.0.0.1", "invalid_issuer_url"),
        ("issuer.example", "invalid_issuer_url"),
        ("https://user:pw@issuer.example", "invalid_issuer_url"),
        ("http://[::1", "invalid_issuer_url"),
        ("https://issuer.example:port", "invalid_issuer_url"),
    ],
)
def test_addresses_that_are_not(url: str, code: str) -> None:
    with pytest.raises(InputError) as refused:
        check_issuer_url(url)
    assert refused.value.code == code


def test_the_key_shows_nowhere() -> None:
    assert "kkkk" not in repr(KEY) + str(KEY)
    for text in ("", "short", "a key with spaces in it", "ключ" * 10):
        with pytest.raises(InputError):
            ApiKey(text)


def test_backoff_grows_and_stops_growing() -> None:
    policy = RetryPolicy(first_delay=0.5, longest_delay=8.0)
    assert [policy.delay(attempt, 0.0) for attempt in range(1, 7)] == [0.5, 1.0, 2.0, 4.0, 8.0, 8.0]
    assert policy.delay(10_000, 1.0) == 4.0


def test_settings_are_written_for_this_user_alone_and_read_back(tmp_path: Path) -> None:
    places = Places.find(str(tmp_path / "shop.toml"), {})
    save(places, Settings(ISSUER, str(tmp_path / 'a "quoted" café.pem')), KEY)
    assert load_settings(places).ca_file == str(tmp_path / 'a "quoted" café.pem')
    assert load_key(places) == KEY
    assert stat.S_IMODE(places.key.stat().st_mode) == 0o600
    places.key.chmod(0o640)
    with pytest.raises(InputError, match="chmod 600") as refused:
        load_key(places)
    assert refused.value.code == "key_file_exposed"


def test_directories_follow_xdg(tmp_path: Path) -> None:
    places = Places.find(
        None, {"HOME": "/home/shop", "XDG_CONFIG_HOME": str(tmp_path), "XDG_STATE_HOME": "relative"}
    )
    assert places.config == tmp_path / "merchant-terminal" / "config.toml"
    assert places.unanswered == Path("/home/shop/.local/state/merchant-terminal/unanswered")


@pytest.mark.parametrize(
    "text", ["", "issuer = 7", 'issuer = "https://a.example"\nprinter = "x"', "issuer = ", "\x00"]
)
def test_a_broken_configuration_names_its_file(tmp_path: Path, text: str) -> None:
    places = Places.find(str(tmp_path / "shop.toml"), {})
    places.config.write_text(text)
    with pytest.raises(InputError, match=r"shop\.toml"):
        load_settings(places)


def test_an_abandoned_charge_is_taken_up_with_its_old_key(tmp_path: Path) -> None:
    charges = UnansweredCharges(tmp_path / "unanswered")
    first, again = claim(charges, ISSUER, COFFEE, 1000.0, new=False)
    assert not again
    first.release()
    second, again = claim(charges, ISSUER, COFFEE, 1060.0, new=False)
    assert again
    assert second.entry.key == first.entry.key
    second.answered()
    third, again = claim(charges, ISSUER, COFFEE, 1070.0, new=False)
    assert not again
    assert third.entry.key != first.entry.key
    third.answered()
    assert list((tmp_path / "unanswered").iterdir()) == []


def test_a_charge_at_work_in_another_window_is_left_alone(tmp_path: Path) -> None:
    charges = UnansweredCharges(tmp_path)
    first, _ = claim(charges, ISSUER, COFFEE, 1000.0, new=False)
    second, again = claim(charges, ISSUER, COFFEE, 1001.0, new=False)
    assert not again
    assert second.entry.key != first.entry.key
    second.answered()
    first.answered()


@pytest.mark.parametrize(
    ("issuer", "charge"),
    [
        ("http://127.0.0.1:9", COFFEE),
        (ISSUER, Charge(COFFEE.phone, Money(1201, currency("JPY")), COFFEE.order)),
        (ISSUER, Charge(COFFEE.phone, YEN, "3 coffees")),
        (ISSUER, Charge("+819012345679", YEN, COFFEE.order)),
    ],
)
def test_another_charge_is_never_mistaken_for_the_abandoned_one(
    tmp_path: Path, issuer: str, charge: Charge
) -> None:
    charges = UnansweredCharges(tmp_path)
    first, _ = claim(charges, ISSUER, COFFEE, 1000.0, new=False)
    first.release()
    second, again = claim(charges, issuer, charge, 1001.0, new=False)
    assert not again
    assert second.entry.key != first.entry.key
    second.answered()


def test_an_old_abandoned_charge_is_for_a_person_to_decide(tmp_path: Path) -> None:
    charges = UnansweredCharges(tmp_path)
    claim(charges, ISSUER, COFFEE, 1000.0, new=False)[0].release()
    with pytest.raises(InputError, match="--new") as refused:
        claim(charges, ISSUER, COFFEE, 1000.0 + 86400, new=False)
    assert refused.value.code == "earlier_charge_unanswered"
    held, again = claim(charges, ISSUER, COFFEE, 1000.0 + 86400, new=True)
    assert not again
    held.answered()


@pytest.mark.parametrize("text", ["", "{", "[]", json.dumps({"issuer": ISSUER}), "null"])
def test_a_file_half_written_in_a_crash_is_passed_over(tmp_path: Path, text: str) -> None:
    (tmp_path / "0.json").write_text(text)
    held, again = claim(UnansweredCharges(tmp_path), ISSUER, COFFEE, 1000.0, new=False)
    assert not again
    held.answered()
