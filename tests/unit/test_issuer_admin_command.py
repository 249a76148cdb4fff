"""`issuer-server`: what an operator can do, what programs can read, and that no secret leaks."""

from __future__ import annotations

import io
import json
import sqlite3
import stat
import subprocess
import sys

import pytest

from issuer_server.commands.secret_input import card_and_pin
from issuer_server.seed import SAMPLE_CARDHOLDERS, UNKNOWN_CARD
from protocol.enrolment import EnrolmentCode, EnrolmentKind
from protocol.track_data import parse_swipe
from service_host.columns import columns
from tests.unit import issuer_admin_bench
from tests.unit.issuer_admin_bench import add_cardholder

PAN, PIN = "9876543210987658", "827364554637"


# The fixtures that both modules use.
command = issuer_admin_bench.command
ready = issuer_admin_bench.ready


def test_init_makes_a_private_directory_once(command, tmp_path):
    first = json.loads(command("init", "--json", "--issuer-id", "bank.test")[1])
    assert first["issuer_id"] == "bank.test"
    assert first["issuer_url"] == "http://127.0.0.1:8480"
    data = tmp_path / "data"
    assert stat.S_IMODE(data.stat().st_mode) == 0o700
    keys = {path: path.read_bytes() for path in (data / "keys").iterdir()}
    again = json.loads(command("init", "--json")[1])
    assert again == first
    assert {path: path.read_bytes() for path in (data / "keys").iterdir()} == keys
    for path in keys:
        assert path.read_bytes().hex() not in str(first)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--host", "0.0.0.0"], "plain HTTP"),
        (["--port", "70000"], "port"),
        (["--issuer-id", "Bank!"], "issuer id"),
        (["--public-url", "ftp://x"], "address"),
        (["--tls-certificate", "cert.pem"], "together"),
    ],
)
def test_init_refuses_settings_that_cannot_be(command, tmp_path, words, said):
    status, _, err = command("init", *words)
    assert status == 1
    assert said in err
    assert not (tmp_path / "data" / "issuer.toml").exists()


def test_every_command_without_a_data_directory_points_to_init(command):
    for words in (["balance"], ["merchant", "list"], ["run"], ["seed"]):
        status, out, err = command(*words)
        assert (status, out) == (1, "")
        assert "issuer-server init" in err


def test_seed_makes_what_a_first_payment_needs(ready):
    seeded = ready.json("seed")
    assert seeded["merchant"]["api_key"].startswith("brm_")
    person = seeded["cardholders"][0]
    assert person["phone"] == "+819012345678"
    assert EnrolmentCode.parse(person["handset_code"]).kind is EnrolmentKind.HANDSET
    code = EnrolmentCode.parse(person["reader_code"])
    assert (code.kind, code.issuer_url) == (EnrolmentKind.READER, "http://127.0.0.1:8480")
    statuses = {row["last_four"]: row["status"] for row in ready.json("card", "list")}
    assert statuses == {"1111": "active", "1881": "blocked", "2222": "active", "4444": "active"}
    balances = ready.json("balance", "--owner", person["id"])
    assert {row["balance"] for row in balances} == {
        "JPY 1,000,000",
        "USD 10,000.00",
        "EUR 10,000.00",
        "KWD 1,000.000",
    }
    status, _, err = ready("seed")
    assert status == 1
    assert "already" in err
    assert len(ready.json("merchant", "list")) == 1


def test_without_a_fixed_port_seed_adds_nothing_and_says_what_to_set(command, tmp_path):
    assert command("init", "--port", "0")[0] == 0
    status, _, err = command("seed")
    assert status == 1
    assert "set port or public_url in issuer.toml" in err
    settings = tmp_path / "data" / "issuer.toml"
    settings.write_text(settings.read_text().replace("port = 0", "port = 8480"))
    assert command("seed")[0] == 0


def test_lists_stand_in_columns_whatever_the_names_are(ready):
    ready.json("merchant", "add", "--name", "喫茶青")
    ready.json("merchant", "add", "--name", "Cafe Relay")
    head, *lines = ready("merchant", "list")[1].splitlines()
    at = head.index("status")
    assert sorted(columns(line.removesuffix("active")) for line in lines) == [at, at]


def test_the_printed_seed_names_every_secret_and_stripe(ready):
    status, out, _ = ready("seed")
    assert status == 0
    for word in ("brm_", "brh1.", "brr1.", "%B4111111111111111^YAMADA/HANAKO^4912201?", "PIN 1234"):
        assert word in out


@pytest.mark.parametrize(
    "card",
    [*(card for person in SAMPLE_CARDHOLDERS for card in person.cards), UNKNOWN_CARD],
    ids=lambda card: card.label,
)
def test_sample_stripes_can_be_swiped(card):
    parse_swipe(bytearray(card.stripe.encode()))


def test_a_merchants_key_is_told_once(ready):
    added = ready.json("merchant", "add", "--name", "喫茶リレー")
    assert added["api_key"].startswith("brm_")
    rows = ready.json("merchant", "list")
    assert rows == [{"id": added["id"], "name": "喫茶リレー", "status": "active"}]
    assert ready.json("merchant", "block", added["id"])["status"] == "blocked"
    assert ready.json("merchant", "list")[0]["status"] == "blocked"
    assert ready.json("merchant", "unblock", added["id"])["status"] == "active"


def test_cardholders_are_found_by_number_and_funded(ready):
    cardholder = add_cardholder(ready)
    assert ready.json("cardholder", "list")[0]["phone"] == "+819012345678"
    status, _, err = ready("cardholder", "add", "--name", "Taro", "--phone", "+81-90-1234-5678")
    assert status == 1
    assert "belongs to another" in err
    funded = ready.json("cardholder", "fund", cardholder, "--amount", "12.50", "--currency", "USD")
    assert funded["balance"] == "USD 12.50"
    rows = {row["kind"]: row["balance"] for row in ready.json("balance")}
    assert rows == {"cardholder": "USD 12.50", "funding": "USD -12.50"}
    assert ready.json("cardholder", "block", cardholder)["status"] == "blocked"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["merchant", "add", "--name", "x" * 41], "40"),
        (["merchant", "add", "--name", "a\x1b[2Jb"], "shown"),
        (["merchant", "block", "mer_unknown"], "mer_"),
        (["merchant", "block", "mer_" + "a" * 26], "merchant list"),
        (["cardholder", "add", "--name", "x", "--phone", "090"], "country code"),
        (["cardholder", "fund", "chd_" + "a" * 26, "--amount", "1.5", "--currency", "JPY"], "no decimals"),
        (["cardholder", "fund", "chd_" + "a" * 26, "--amount", "-1", "--currency", "JPY"], "more than zero"),
        (["cardholder", "fund", "chd_" + "a" * 26, "--amount", "1", "--currency", "XYZ"], "ISO 4217"),
        (["cardholder", "fund", "chd_" + "a" * 26, "--amount", "1", "--currency", "JPY"], "cardholder list"),
        (["handset", "add", "--cardholder", "chd_" + "a" * 26], "cardholder list"),
        (["reader", "block", "0000-0000-0000-0000"], "reader list"),
        (["reader", "block", "nonsense"], "reader id"),
        (["handset", "block", "hst_" + "a" * 26], "handset list"),
    ],
    ids=str,
)
def test_wrong_input_says_what_to_do(ready, words, said):
    status, out, err = ready(*words)
    assert (status, out) == (1, "")
    assert said in err
    assert "Traceback" not in err


def test_a_card_is_added_from_a_pipe_and_leaves_no_trace(ready, tmp_path):
    cardholder = add_cardholder(ready)
    words = ("card", "add", "--cardholder", cardholder, "--expiry", "12/29")
    spaced = " ".join(PAN[at : at + 4] for at in range(0, 16, 4))
    status, out, err = ready(*words, stdin=f"{spaced}\n{PIN}\n")
    assert status == 0, err
    assert PAN[-4:] in out
    second = ready(*words, stdin=f"{PAN}\n{PIN}\n")
    assert second[0] == 1
    assert "already" in second[2]
    listed = ready("card", "list")
    shown = out + err + second[1] + second[2] + listed[1] + listed[2]
    assert PAN not in shown
    assert PIN not in shown
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any(path.name == "issuer.db" for path in files)
    for path in files:
        content = path.read_bytes()
        for canary in (PAN.encode(), PIN.encode(), PAN.encode("utf-16-le"), bytes.fromhex(PAN)):
            assert canary not in content, path.name


def test_the_write_ahead_log_holds_no_card_number_either(ready, tmp_path):
    """A server holds the database open, so that what the command wrote is still in the log."""

    cardholder = add_cardholder(ready)
    holder = sqlite3.connect(tmp_path / "data" / "issuer.db")
    holder.execute("SELECT count(*) FROM cards").fetchone()
    ready.json("card", "add", "--cardholder", cardholder, "--expiry", "12/29", stdin=f"{PAN}\n{PIN}\n")
    log = (tmp_path / "data" / "issuer.db-wal").read_bytes()
    holder.close()
    assert PAN[-4:].encode() in log
    assert PAN.encode() not in log
    assert PIN.encode() not in log


@pytest.mark.parametrize(
    ("stdin", "said"),
    [
        ("", "ended"),
        (f"{PAN}\n", "ended"),
        (f"{PAN[:-1]}9\n{PIN}\n", "check digit"),
        (f"{PAN}\n123\n", "4 to 12"),
        (f"{PAN}\n1234567890123\n", "4 to 12"),
        ("4111x\n1234\n", "8 to 19"),
    ],
    ids=["nothing", "no PIN", "check digit", "short PIN", "13-digit PIN", "letters"],
)
def test_bad_card_input_stores_nothing(ready, stdin, said):
    cardholder = add_cardholder(ready)
    status, out, err = ready("card", "add", "--cardholder", cardholder, "--expiry", "12/29", stdin=stdin)
    assert (status, out) == (1, "")
    assert said in err
    assert ready.json("card", "list") == []


def test_no_option_takes_a_card_number_or_a_pin(ready, capsys):
    for option in ("--pan", "--pin", "--number"):
        with pytest.raises(SystemExit) as refusal:
            ready("card", "add", "--cardholder", "c", "--expiry", "12/29", option, "1")
        assert refusal.value.code == 2
    capsys.readouterr()


def test_a_card_is_blocked_and_unblocked(ready):
    cardholder = add_cardholder(ready)
    card = ready.json(
        "card", "add", "--cardholder", cardholder, "--expiry", "12/29", stdin=f"{PAN}\n{PIN}\n"
    )["id"]
    ready.json("card", "block", card)
    assert ready.json("card", "list")[0]["status"] == "blocked"
    ready.json("card", "unblock", card)
    row = ready.json("card", "list")[0]
    assert (row["status"], row["expiry"], row["pin_tries_left"]) == ("active", "12/29", 3)


def test_devices_get_codes_that_are_all_different(ready):
    cardholder = add_cardholder(ready)
    codes = [
        ready.json(kind, "add", "--cardholder", cardholder)["code"] for kind in ("handset", "reader") * 2
    ]
    assert len(set(codes)) == 4
    assert [code[:5] for code in codes] == ["brh1.", "brr1."] * 2
    assert ready.json("handset", "list") == ready.json("reader", "list") == []
    status, out, _ = ready("handset", "add", "--cardholder", cardholder, "--qr")
    assert status == 0
    assert "█" in out


def test_empty_lists_say_what_comes_next(ready):
    for kind in ("merchant", "cardholder", "card", "handset", "reader"):
        assert f"{kind} add" in ready(kind, "list")[1]


def test_keys_open_to_others_stop_the_commands_that_need_them(ready, tmp_path):
    cardholder = add_cardholder(ready)
    (tmp_path / "data" / "keys" / "pin-pepper.key").chmod(0o644)
    words = ("card", "add", "--cardholder", cardholder, "--expiry", "12/29")
    status, _, err = ready(*words, stdin=f"{PAN}\n{PIN}\n")
    assert status == 1
    assert "chmod 600" in err
    assert ready("run")[0] == 1
    assert ready("merchant", "list")[0] == 0


def test_books_that_do_not_balance_are_an_error(ready, tmp_path):

    ready.json("cardholder", "fund", add_cardholder(ready), "--amount", "5", "--currency", "JPY")
    database = sqlite3.connect(tmp_path / "data" / "issuer.db")
    database.execute("DROP TRIGGER balance_moves_by_transfer")
    database.execute("UPDATE accounts SET balance = 6 WHERE kind = 'cardholder'")
    database.commit()
    database.close()
    status, out, err = ready("balance")
    assert status == 1
    assert "JPY 6" in out
    assert "do not balance in JPY" in err


def test_the_program_starts_as_a_program(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "issuer_server.cli", "init", "--json", "--data", str(tmp_path / "data")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout)["issuer_id"] == "issuer.local"
    assert done.stderr == ""


def test_at_a_terminal_the_pin_is_asked_twice_and_never_echoed(ready, monkeypatch):
    cardholder = add_cardholder(ready)
    words = ("card", "add", "--cardholder", cardholder, "--expiry", "12/29")

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    def at_a_terminal(*typed):
        answers = iter(typed)
        monkeypatch.setattr("getpass.getpass", lambda prompt: next(answers))
        monkeypatch.setattr("io.StringIO", Terminal)
        outcome = ready(*words)
        monkeypatch.setattr("io.StringIO", Terminal.__base__)
        return outcome

    status, out, err = at_a_terminal(PAN, PIN, "1234")
    assert (status, out) == (1, "")
    assert "differ" in err
    assert ready.json("card", "list") == []
    status, out, err = at_a_terminal(PAN, PIN, PIN)
    assert status == 0, err
    assert PIN not in out + err


def test_card_number_and_pin_are_wiped_when_the_command_is_done(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{PAN}\n{PIN}\n"))
    with card_and_pin() as (pan, pin):
        assert (pan, pin) == (PAN.encode(), PIN.encode())
    assert not any(pan + pin)
