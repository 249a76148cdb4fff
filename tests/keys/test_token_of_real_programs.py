"""Keys in a real PKCS#11 token (SoftHSM), used by real programs: moved there while they run, and refusals."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tests.contracts.key_places import needs_softhsm, soft_module
from tests.journey.programs import Programs, programs
from tests.journey.town import town
from tests.keys.key_town import (
    PURPOSES,
    TOKEN,
    TOKEN_PIN,
    enrol_reader_again,
    key_files,
    key_lines,
    make_token,
    operate,
    rotate_all,
    use_token,
)

pytestmark = needs_softhsm
MODULE = soft_module() or Path("/nowhere")


def test_an_issuer_moves_from_files_into_a_token_and_goes_on(tmp_path: Path) -> None:
    with town(tmp_path) as here:
        make_token(tmp_path)
        use_token(tmp_path, MODULE)
        here.issuer.stop()
        here.start_issuer()
        rotate_all(here)
        lines = key_lines(here)
        assert {lines[purpose, 1]["kept_in"] for purpose in PURPOSES} == {"issuer-data/keys"}
        assert {lines[purpose, 2]["kept_in"] for purpose in PURPOSES} == {f"token {TOKEN}"}
        assert here.pay().outcome == "completed"
        enrol_reader_again(here)
        for purpose in PURPOSES:
            operate(here, "keys", "retire", purpose, "1", "--abandon")
        assert key_files(tmp_path) == []
        assert here.pay().outcome == "completed"
        # A rotation inside the token is found by the server that holds the token open.
        rotate_all(here)
        assert here.pay().outcome == "completed"
        for part in ("cmdline", "environ"):
            for program in (here.issuer, here.reader, here.phone):
                assert TOKEN_PIN.encode() not in Path(f"/proc/{program._process.pid}/{part}").read_bytes()
        assert TOKEN_PIN not in "".join(program.output for program in here._programs._all)


def issuer_in_token(them: Programs, folder: Path) -> None:
    """An issuer whose keys were never anywhere but in the token."""
    make_token(folder)
    (folder / "issuer-data").mkdir()
    (folder / "issuer-data" / "issuer.toml").write_text(
        'issuer_id = "bank.test"\ndatabase = "issuer.db"\nkeys = "keys"\n'
    )
    use_token(folder, MODULE)
    them.run("issuer-server", "init")


def test_a_new_issuer_has_no_key_file_and_what_is_wrong_with_its_token_is_said(tmp_path: Path) -> None:
    with programs(tmp_path) as them:
        issuer_in_token(them, tmp_path)
        assert not (tmp_path / "issuer-data" / "keys").exists()
        lines = json.loads(them.run("issuer-server", "keys", "list", "--json"))
        assert {each["kept_in"] for each in lines} == {f"token {TOKEN}"}
        them.run("issuer-server", "seed")
        pin = tmp_path / "token.pin"

        def refused(*words: str) -> str:
            return them.run("issuer-server", *(words or ("keys", "list")), status=1)

        pin.chmod(0o640)
        assert "chmod 600 issuer-data/../token.pin" in refused()
        pin.chmod(0o600)
        pin.write_text("00000000")
        said = refused()
        assert "refuses the PIN" in said
        assert "00000000" not in said
        pin.unlink()
        assert "missing" in refused()
        use_token(tmp_path, MODULE, token="another")
        pin.write_text(TOKEN_PIN)
        pin.chmod(0o600)
        assert "is not there" in refused()
        use_token(tmp_path, Path("/no/module.so"))
        assert "cannot be loaded" in refused()
        # A systemd credential in place of a setting: the folder's name is no secret, the PIN is in a file.
        path = tmp_path / "issuer-data" / "issuer.toml"
        use_token(tmp_path, MODULE)
        lines_kept = [line for line in path.read_text().splitlines() if not line.startswith("pin_file")]
        path.write_text("\n".join(lines_kept))
        assert "pkcs11-pin" in refused()
        credentials = tmp_path / "credentials"
        credentials.mkdir()
        (credentials / "pkcs11-pin").write_text(TOKEN_PIN)
        (credentials / "pkcs11-pin").chmod(0o440)
        listing = them.start(
            "with a credential",
            *("issuer-server", "keys", "list"),
            environment={"CREDENTIALS_DIRECTORY": str(credentials)},
        )
        assert listing.finish() == 0
        assert TOKEN_PIN not in listing.output


CURIOUS = """
import sys, traceback
from pathlib import Path
from issuer_server.key_custody.key_store import KeyPurpose, KeyStoreError
from issuer_server.key_custody.token_keys import TokenKeyStore
store = TokenKeyStore(Path(sys.argv[1]), sys.argv[2], Path("token.pin"), "bank.test")
try:
    store.has(KeyPurpose.SIGNING, 1)
except KeyStoreError as error:
    report = traceback.TracebackException.from_exception(error, capture_locals=True)
    print("".join(report.format()), repr(store))
"""


def test_a_wrong_pin_is_in_no_variable_of_the_traceback(tmp_path: Path) -> None:
    with programs(tmp_path) as them:
        make_token(tmp_path)
        (tmp_path / "token.pin").write_text("62831853")
        (tmp_path / "curious.py").write_text(CURIOUS)
        said = them.run(
            sys.executable,
            *("curious.py", str(MODULE), TOKEN),
        )
        assert "refuses the PIN" in said
        assert "62831853" not in said
