"""`handset-client enrol` and `handset-client forget`."""

from __future__ import annotations

import argparse
import getpass
import sys
from pathlib import Path

from handset_client.adapters.credential_file import CredentialFile, remove_wholly
from handset_client.adapters.enrolment_http import enrol
from handset_client.adapters.system_keyring import SystemKeyring
from handset_client.settings import check_transport, data_directory, tls_context
from protocol.enrolment import EnrolmentCode, EnrolmentKind
from protocol.errors import InputError


def credentials(arguments: argparse.Namespace) -> CredentialFile:
    """Where this phone's credential lies."""
    return CredentialFile(data_directory(arguments.data), SystemKeyring.find)


async def run_enrol(arguments: argparse.Namespace) -> None:
    """Take up a one-time code: from a picture of its QR code, the prompt, or standard input."""
    code = EnrolmentCode.parse(_ask_for_code() if arguments.qr is None else _read_picture(arguments.qr))
    if code.kind is not EnrolmentKind.HANDSET:
        raise InputError(
            "not_a_handset_code", "That code is for a card reader. Use it there: reader-peripheral enrol"
        )
    check_transport(code.issuer_url, allow_unencrypted=arguments.allow_unencrypted_issuer)
    tls, store = tls_context(arguments.ca_file), credentials(arguments)
    # The code is good once: a folder that takes nothing must be known before it is used up.
    store.try_folder()
    credential = await enrol(code, tls)
    where = store.save(credential)
    print(f"Enrolled with {credential.issuer_id} as {credential.phone}. Now run: handset-client run")
    print(f"The credential is {where}.")
    if arguments.qr is not None:
        print(f"The code is used up: {arguments.qr} can be deleted.")


async def run_forget(arguments: argparse.Namespace) -> None:
    """Remove the credential, and with --history what the phone remembers of payments."""
    credential = credentials(arguments).forget()
    if credential is None:
        print("There was no usable credential here; nothing of one is left.")
    else:
        print(f"Forgotten: {credential.phone} at {credential.issuer_id}. This phone is called no more.")
        print(f"Your bank still knows it: tell them to block {credential.handset_id} if it was lost or sold.")
    if arguments.history:
        for name in ("payments.jsonl", "owed.json", "owed.json.damaged", "preferences.json"):
            remove_wholly(data_directory(arguments.data) / name)
        print("The history and the settings are gone as well.")


def _ask_for_code() -> str:
    if sys.stdin.isatty():
        # Not echoed: the code lets whoever reads it over the shoulder become this phone.
        return getpass.getpass("One-time code from your bank (it is not shown): ")
    return sys.stdin.readline()


def _read_picture(picture: str) -> str:
    # Pillow and the decoder take a tenth of a second to load, which no other command should wait for.
    from handset_client.adapters.qr_picture import read_code

    return read_code(Path(picture))
