"""Keys in a PKCS#11 token: a hardware security module, or SoftHSM. The one file that knows python-pkcs11.

Keys are made in the token, sensitive and not extractable, and never leave it; what comes out are Ed25519
signatures (CKM_EDDSA) and codes (CKM_SHA256_HMAC). Their labels are `ISSUER PURPOSE VERSION`, so that issuers
may share a token. The webhook seal is made from a code of its key: that one, and no other, is in memory.

Card numbers and PINs do not go to the token in clear, since they would be copied on the way: it is given
their SHA-256, domain included. That hides them from nobody who can guess, and the code is as good as before.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import pkcs11
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pkcs11 import Attribute, KeyType, Mechanism, ObjectClass
from pkcs11.util.ec import encode_named_curve_parameters

from issuer_server.key_custody.key_store import KeyPurpose, KeyStoreError, Octets
from issuer_server.key_custody.private_files import read_private
from protocol.identifiers import IssuerId, PublicKey
from protocol.signing import OutsideKey, Signer

_log = logging.getLogger(__name__)

ED25519_OID: Final = "1.3.101.112"
_LONGEST_PIN: Final = 256
_RAW_KEY: Final = 32
_OCTET_STRING: Final = b"\x04\x20"
_PROBE: Final = b"blind-relay v1 key check"  # no COSE structure begins so: the signature is good for nothing
_PRIVATE: Final = {
    Attribute.SENSITIVE: True,
    Attribute.EXTRACTABLE: False,
    Attribute.PRIVATE: True,
    Attribute.SIGN: True,
}
# What a token says that was unplugged, restarted or reset meanwhile: another session is worth one try.
_SESSION_LOST: Final = (
    pkcs11.exceptions.SessionHandleInvalid,
    pkcs11.exceptions.SessionClosed,
    pkcs11.exceptions.ObjectHandleInvalid,
    pkcs11.exceptions.KeyHandleInvalid,
    pkcs11.exceptions.UserNotLoggedIn,
    pkcs11.exceptions.DeviceRemoved,
    pkcs11.exceptions.DeviceError,
    pkcs11.exceptions.TokenNotPresent,
)

T = TypeVar("T")


class TokenError(KeyStoreError):
    """The token does not do it; the text says what to look at."""


class TokenKeyStore:
    """`KeyStore` in one token, by one session: for one thread at a time (`KeyRing.ask` sees to that).

    Opened at the first use, and again where the session was lost.
    """

    def __init__(self, module: Path, token: str, pin_file: Path, issuer_id: IssuerId) -> None:
        self._module = module
        self._token = token
        self._pin_file = pin_file
        self._issuer_id = issuer_id
        self._session: Any = None
        self._keys: dict[tuple[ObjectClass, str], Any] = {}

    @property
    def name(self) -> str:
        return f"token {self._token}"

    @property
    def outside(self) -> bool:
        return True

    def has(self, purpose: KeyPurpose, version: int) -> bool:
        return self._with_session(lambda session: self._whole(session, purpose, version))

    def make(self, purpose: KeyPurpose, version: int) -> None:
        def make(session: Any) -> None:
            if self._whole(session, purpose, version):
                return
            self._destroy(session, purpose, version)  # half a key pair, left by a process that died
            label = self._label(purpose, version)
            if purpose is KeyPurpose.SIGNING:
                session.create_domain_parameters(
                    KeyType.EC_EDWARDS,
                    {Attribute.EC_PARAMS: encode_named_curve_parameters(ED25519_OID)},
                    local=True,
                ).generate_keypair(
                    mechanism=Mechanism.EC_EDWARDS_KEY_PAIR_GEN,
                    store=True,
                    label=label,
                    id=label.encode(),
                    private_template=_PRIVATE,
                )
            else:
                session.generate_key(
                    KeyType.GENERIC_SECRET,
                    _RAW_KEY * 8,
                    store=True,
                    label=label,
                    id=label.encode(),
                    template=_PRIVATE,
                )

        self._with_session(make)

    def signer(self, version: int) -> Signer:
        label = self._label(KeyPurpose.SIGNING, version)

        def sign(data: bytes) -> bytes:
            return self._sign(ObjectClass.PRIVATE_KEY, label, data, Mechanism.EDDSA)

        point: bytes = self._with_session(
            lambda session: bytes(self._key(session, ObjectClass.PUBLIC_KEY, label)[Attribute.EC_POINT])
        )
        # PKCS#11 wants the point in an OCTET STRING (3.0, section 6.3.5); some tokens give it bare.
        public_key = point.removeprefix(_OCTET_STRING) if len(point) == _RAW_KEY + 2 else point
        try:
            Ed25519PublicKey.from_public_bytes(public_key).verify(sign(_PROBE), _PROBE)
        except (InvalidSignature, ValueError):
            raise TokenError(
                f"the key {label!r} in {self.name} is no Ed25519 pair: its halves do not belong together"
            ) from None
        return OutsideKey(PublicKey(public_key), sign)

    def mac(self, purpose: KeyPurpose, version: int) -> TokenMac:
        label = self._label(purpose, version)
        return TokenMac(
            label, lambda data: self._sign(ObjectClass.SECRET_KEY, label, data, Mechanism.SHA256_HMAC)
        )

    def destroy(self, purpose: KeyPurpose, version: int) -> None:
        self._with_session(lambda session: self._destroy(session, purpose, version))

    def close(self) -> None:
        """Log out; the next use opens the token again."""
        session, self._session = self._session, None
        self._keys.clear()
        if session is not None:
            try:
                session.close()
            except pkcs11.PKCS11Error:
                pass  # it is gone already

    def _label(self, purpose: KeyPurpose, version: int) -> str:
        return f"{self._issuer_id} {purpose} {version}"

    def _whole(self, session: Any, purpose: KeyPurpose, version: int) -> bool:
        label = self._label(purpose, version)
        return all(_find(session, kind, label) for kind in _kinds(purpose))

    def _destroy(self, session: Any, purpose: KeyPurpose, version: int) -> None:
        for kind in _kinds(purpose):
            for key in _find(session, kind, self._label(purpose, version)):
                key.destroy()
                self._keys.clear()

    def _key(self, session: Any, kind: ObjectClass, label: str) -> Any:
        """The token's handle, asked for once a session: over a network each question is a journey."""
        if (kind, label) not in self._keys:
            self._keys[kind, label] = session.get_key(object_class=kind, label=label)
        return self._keys[kind, label]

    def _sign(self, kind: ObjectClass, label: str, data: bytes, mechanism: Mechanism) -> bytes:
        return self._with_session(
            lambda session: bytes(self._key(session, kind, label).sign(data, mechanism=mechanism))
        )

    def _with_session(self, use: Callable[[Any], T]) -> T:
        try:
            if self._session is None:
                self._session = self._open()
            try:
                return use(self._session)
            except _SESSION_LOST as error:
                _log.warning("%s: %s: opened again", self.name, type(error).__name__)
                self.close()
                self._session = self._open()
                return use(self._session)
        except pkcs11.PKCS11Error as error:
            # a PIN is tried once: a token locks itself after a few wrong ones
            self.close()
            raise TokenError(self._advice(error)) from None

    def _pin(self) -> str:
        # A text, since the library takes no other; what is no UTF-8 is no PIN of this token either.
        # Never in a variable of `_open`: some programs print those of a traceback.
        return (
            read_private(self._pin_file, _LONGEST_PIN, "token's PIN file").decode("utf-8", "replace").strip()
        )

    def _open(self) -> Any:
        try:
            module = pkcs11.lib(str(self._module))
        except (OSError, RuntimeError):
            raise TokenError(
                f"the PKCS#11 module {self._module} cannot be loaded: is it installed, and for this machine?"
            ) from None
        token = module.get_token(token_label=self._token)
        try:
            return token.open(rw=True, user_pin=self._pin())
        except pkcs11.exceptions.UserAlreadyLoggedIn:  # by this very process
            return token.open(rw=True)

    def _advice(self, error: pkcs11.PKCS11Error) -> str:
        match error:
            case pkcs11.exceptions.NoSuchToken() | pkcs11.exceptions.TokenNotPresent():
                advice = (
                    f"is not there: plug it in, or correct the token's label in [pkcs11] ({self._module})"
                )
            case pkcs11.exceptions.MultipleTokensReturned():
                advice = "is there more than once: give each token a label of its own"
            case pkcs11.exceptions.PinIncorrect() | pkcs11.exceptions.PinInvalid():
                advice = f"refuses the PIN: correct {self._pin_file} before it locks itself"
            case pkcs11.exceptions.PinLenRange():
                advice = f"refuses the PIN for its length: correct {self._pin_file}"
            case pkcs11.exceptions.PinLocked() | pkcs11.exceptions.PinExpired():
                advice = "has locked its PIN: set a new one with the token's own program"
            case pkcs11.exceptions.NoSuchKey():
                advice = "does not hold the key: restore it from the token's backup"
            case pkcs11.exceptions.MultipleObjectsReturned():
                advice = "holds two keys of one name: remove the wrong one with the token's own program"
            case pkcs11.exceptions.MechanismInvalid() | pkcs11.exceptions.FunctionNotSupported():
                advice = "cannot do Ed25519 or HMAC-SHA-256: this issuer needs a token that can"
            case _:
                advice = f"failed ({type(error).__name__}): see the token's own log"
        return f"the {self.name} {advice}"


class TokenMac:
    """A key for codes that stays in its token."""

    __slots__ = ("_label", "_sign")

    def __init__(self, label: str, sign: Callable[[bytes], bytes]) -> None:
        self._label = label
        self._sign = sign

    def __repr__(self) -> str:
        return f"TokenMac({self._label!r})"

    def mac(self, domain: bytes, value: Octets) -> bytes:
        hashed = hashlib.sha256(domain)
        hashed.update(value)
        return self._sign(hashed.digest())


def _kinds(purpose: KeyPurpose) -> tuple[ObjectClass, ...]:
    pair = (ObjectClass.PRIVATE_KEY, ObjectClass.PUBLIC_KEY)
    return pair if purpose is KeyPurpose.SIGNING else (ObjectClass.SECRET_KEY,)


def _find(session: Any, kind: ObjectClass, label: str) -> list[Any]:
    return list(session.get_objects({Attribute.CLASS: kind, Attribute.LABEL: label}))
