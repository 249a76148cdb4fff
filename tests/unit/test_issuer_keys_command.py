"""`issuer-server keys`, `audit`, `card reset-pin` and `card reindex`: what they do, say, and never say."""

from __future__ import annotations

import base64
import io
import json
import os
import shutil
import sqlite3
import traceback
from contextlib import closing, redirect_stdout
from pathlib import Path

import pytest

from issuer_server.cli import build_parser, main
from issuer_server.key_custody.file_keys import FileKeyStore
from issuer_server.key_custody.key_store import KeyPurpose, KeyStoreError
from issuer_server.seed import SAMPLE_CARDHOLDERS

CARDS = [card for person in SAMPLE_CARDHOLDERS for card in person.cards]


@pytest.fixture(scope="module")
def seeded(tmp_path_factory):
    """A data directory to be copied, and what `seed` said of it."""
    data = tmp_path_factory.mktemp("seeded") / "data"
    said = io.StringIO()
    assert main(["init", "--data", str(data)]) == 0
    with redirect_stdout(said):
        assert main(["seed", "--json", "--data", str(data)]) == 0
    return data, json.loads(said.getvalue())


@pytest.fixture
def issuer(tmp_path, capsys, monkeypatch, seeded):
    """`issuer(…)` runs a command on seeded data: status, output, errors; `.json(…)` one that must succeed."""

    def run(*words, stdin=""):
        monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
        status = main([*words, "--data", str(tmp_path / "data")])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    def as_json(*words, stdin=""):
        status, out, err = run(*words, "--json", stdin=stdin)
        assert status == 0, err
        return json.loads(out)

    run.json = as_json
    shutil.copytree(seeded[0], tmp_path / "data")
    run.seeded = seeded[1]
    return run


def keys_on_disk(tmp_path):
    return [path.read_bytes() for path in (tmp_path / "data" / "keys").iterdir()]


def version(issuer, purpose, number):
    (found,) = (
        each
        for each in issuer.json("keys", "list")
        if (each["purpose"], each["version"]) == (purpose, number)
    )
    return found


def test_every_key_is_listed_rotated_and_retired_once_nothing_needs_it(issuer, tmp_path):
    assert [each["state"] for each in issuer.json("keys", "list")] == ["active"] * 4
    for purpose in KeyPurpose:
        assert issuer.json("keys", "rotate", purpose)["version"] == 2
        assert version(issuer, purpose, 1)["state"] == "previous"
        assert version(issuer, purpose, 2)["state"] == "active"
    assert version(issuer, "pan-index", 1)["needed_by"] == f"{len(CARDS)} cards"
    numbers = "".join(f"{card.pan}\n" for card in CARDS)
    assert issuer.json("card", "reindex", stdin=numbers)["moved"] == len(CARDS)
    assert issuer.json("card", "reindex", stdin=numbers)["there_already"] == len(CARDS)
    assert issuer.json("keys", "retire", "pan-index", "1")["state"] == "retired"
    assert version(issuer, "pan-index", 1)["kept_in"] == "destroyed"
    assert not (tmp_path / "data" / "keys" / "pan-index.key").exists()
    assert issuer.json("keys", "retire", "webhook-seal", "1")["abandoned"] == 0


@pytest.mark.parametrize(
    ("purpose", "said"),
    [
        ("signing", "reader-peripheral enrol --replace"),
        ("pan-index", "card reindex"),
        ("pin-pepper", "reset-pin"),
    ],
)
def test_a_key_that_is_needed_is_not_retired_and_the_refusal_says_what_to_do(issuer, purpose, said):
    status, _, err = issuer("keys", "retire", purpose, "1")
    assert status == 1
    assert f"keys rotate {purpose}" in err
    issuer.json("keys", "rotate", purpose)
    status, _, err = issuer("keys", "retire", purpose, "1")
    assert status == 1
    assert said in err
    assert "--abandon" in err
    assert issuer.json("keys", "retire", purpose, "1", "--abandon")["abandoned"] > 0
    assert issuer("keys", "retire", purpose, "9")[0] == 1


def test_a_rotation_cut_short_after_its_key_was_made_is_taken_up(issuer, tmp_path):
    FileKeyStore(tmp_path / "data" / "keys").make(KeyPurpose.PIN_PEPPER, 2)
    made = (tmp_path / "data" / "keys" / "pin-pepper.2.key").read_bytes()
    assert issuer.json("keys", "rotate", "pin-pepper")["version"] == 2
    assert (tmp_path / "data" / "keys" / "pin-pepper.2.key").read_bytes() == made


def test_a_retirement_cut_short_before_the_key_was_destroyed_is_asked_for_again(issuer, tmp_path):
    issuer.json("keys", "rotate", "webhook-seal")
    path = tmp_path / "data" / "keys" / "webhook-seal.key"
    kept = path.read_bytes()
    issuer.json("keys", "retire", "webhook-seal", "1")
    path.write_bytes(kept)
    path.chmod(0o600)
    assert "retire` again" in version(issuer, "webhook-seal", 1)["kept_in"]
    issuer.json("keys", "retire", "webhook-seal", "1")
    assert not path.exists()


def test_a_missing_key_is_listed_as_such(issuer, tmp_path):
    (tmp_path / "data" / "keys" / "signing.seed").unlink()
    assert "MISSING" in version(issuer, "signing", 1)["kept_in"]
    status, _, err = issuer("keys", "rotate", "signing")
    assert status == 1
    assert "restore it from its backup" in err


def test_new_codes_carry_the_new_signing_key(issuer):
    from protocol.enrolment import EnrolmentCode

    before = EnrolmentCode.parse(issuer.seeded["cardholders"][0]["reader_code"]).issuer_public_key
    issuer.json("keys", "rotate", "signing")
    owner = issuer.seeded["cardholders"][0]["id"]
    code = EnrolmentCode.parse(issuer.json("reader", "add", "--cardholder", owner)["code"])
    assert code.issuer_public_key != before
    assert version(issuer, "signing", 2)["needed_by"] == "1 reader or code"
    assert issuer.json("init")["issuer_public_key"] == code.issuer_public_key.hex()


def test_a_card_stays_one_over_a_rotation(issuer):
    owner = issuer.seeded["cardholders"][0]["id"]
    issuer.json("keys", "rotate", "pan-index")
    words = ("card", "add", "--cardholder", owner, "--expiry", "12/49")
    status, _, err = issuer(*words, stdin=f"{CARDS[0].pan}\n1234\n")
    assert status == 1
    assert "already" in err


def test_a_pin_is_reset_from_a_pipe_or_made_and_shown_once(issuer, tmp_path):
    card = issuer.seeded["cardholders"][0]["cards"][0]["id"]
    database = sqlite3.connect(tmp_path / "data" / "issuer.db")
    database.execute("UPDATE cards SET pin_tries_left = 0 WHERE id = ?", (card,))
    database.commit()
    verifier = "SELECT hex(pin_verifier) FROM cards WHERE id = ?"
    (before,) = database.execute(verifier, (card,)).fetchone()
    done = issuer.json("card", "reset-pin", card, stdin="827364554637\n")
    assert done["pin_tries_left"] == 3
    assert "pin" not in done
    (typed,) = database.execute(verifier, (card,)).fetchone()
    status, out, _ = issuer("card", "reset-pin", card, "--generate")
    assert status == 0
    (made,) = database.execute(verifier, (card,)).fetchone()
    database.close()
    assert len({before, typed, made}) == 3
    assert "shown this once" in out
    told = [(each["action"], each["subject"]) for each in issuer.json("audit", "--last", "2")]
    assert told == [("reset pin", card)] * 2
    assert all(each["operator"] for each in issuer.json("audit", "--last", "1"))
    with closing(sqlite3.connect(tmp_path / "data" / "issuer.db")) as database:
        dump = "\n".join(database.iterdump())
    assert "827364554637" not in dump + out


@pytest.mark.parametrize("pin", ["123", "1234567890123", "12a4", ""])
def test_a_pin_that_is_none_changes_nothing(issuer, pin):
    card = issuer.seeded["cardholders"][0]["cards"][0]["id"]
    status, _, err = issuer("card", "reset-pin", card, stdin=f"{pin}\n")
    assert status == 1
    assert "4 to 12 digits" in err
    assert "reset pin" not in [each["action"] for each in issuer.json("audit")]


def test_a_blocked_card_stays_blocked_unless_told(issuer):
    card = issuer.seeded["cardholders"][0]["cards"][1]["id"]
    status, out, _ = issuer("card", "reset-pin", card, stdin="4321\n")
    assert status == 0
    assert "blocked still" in out
    assert issuer.json("card", "reset-pin", card, "--unblock", stdin="4321\n")["status"] == "active"
    issuer.json("card", "block", card)
    issuer.json("card", "unblock", card)
    actions = [each["action"] for each in issuer.json("audit", "--last", "5")]
    assert actions == ["unblock card", "block card", "unblock card", "reset pin", "reset pin"]
    unknown = "crd_" + "a" * 26
    assert "card list" in issuer("card", "reset-pin", unknown, stdin="4321\n")[2]


def test_no_command_says_a_key_and_no_option_takes_a_secret(issuer, tmp_path, caplog):
    caplog.set_level("DEBUG")
    before = keys_on_disk(tmp_path)
    said = [json.dumps(issuer.json("init")), *issuer("keys", "list")[1:]]
    for purpose in KeyPurpose:
        said += issuer("keys", "rotate", purpose)[1:]
        said += issuer("keys", "retire", purpose, "1", "--abandon")[1:]
    said += issuer("keys", "list")[1:]
    database = b"".join(path.read_bytes() for path in (tmp_path / "data").glob("issuer.db*"))
    text = "\n".join([*said, caplog.text])
    for key in before + keys_on_disk(tmp_path):
        assert key not in database
        for shown in (key.hex(), repr(key)[2:-1], base64.b64encode(key).decode()[:40]):
            assert shown not in text
    options = set(_options(build_parser()))
    assert not {"--pin", "--secret", "--key", "--password", "--pan"} & options
    assert all("pin" not in option or option == "--pin-tries" for option in options)


def _options(parser):
    for action in parser._actions:
        yield from action.option_strings
        if isinstance(getattr(action, "choices", None), dict):
            for below in action.choices.values():
                yield from _options(below)


def _with_locals(error: BaseException) -> str:
    """As the most curious of error reports prints it."""
    assert error.__traceback__ is not None
    beyond_the_test = error.__traceback__.tb_next
    report = traceback.TracebackException(type(error), error, beyond_the_test, capture_locals=True)
    return "".join(report.format())


@pytest.mark.parametrize("spoil", ["short", "long", "open"])
def test_a_refused_key_file_shows_nothing_of_the_key_in_any_traceback(tmp_path: Path, spoil: str) -> None:
    store = FileKeyStore(tmp_path / "keys")
    store.make(KeyPurpose.PAN_INDEX, 1)
    path = tmp_path / "keys" / "pan-index.key"
    key = {"short": b"half-of-a-key", "long": b"k" * 33, "open": b"a-whole-key-" + b"x" * 20}[spoil]
    path.write_bytes(key)
    path.chmod(0o644 if spoil == "open" else 0o600)
    with pytest.raises(KeyStoreError, match=f"chmod 600 {path}" if spoil == "open" else "damaged") as refusal:
        store.mac(KeyPurpose.PAN_INDEX, 1)
    assert key.decode() not in _with_locals(refusal.value)


def test_a_key_file_of_another_user_is_refused(tmp_path, monkeypatch):
    store = FileKeyStore(tmp_path / "keys")
    store.make(KeyPurpose.PAN_INDEX, 1)
    path = tmp_path / "keys" / "pan-index.key"
    if os.geteuid() == 0:
        os.chown(path, 65534, 65534)
    else:
        monkeypatch.setattr("os.geteuid", lambda: path.stat().st_uid + 1)
    with pytest.raises(KeyStoreError, match="chown"):
        store.mac(KeyPurpose.PAN_INDEX, 1)
