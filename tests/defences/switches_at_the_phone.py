"""The switch list, first part: what stands between the phone and the reader."""

from __future__ import annotations

from collections.abc import Iterator

from tests.defences.switch import Switch, off


def at_the_phone() -> Iterator[Switch]:
    # -- signatures and encodings
    signing = "protocol.signing"
    yield off(
        "signature",
        (
            signing,
            'raise SignatureError("the signature does not verify") from None',
            "pass",
        ),
    )
    yield off(
        "one COSE shape",
        (signing, "if _assemble(_protected_header(claimed), payload, signature) != signed:", "if False:"),
    )
    yield off("no key of small order", (signing, "if _is_small_order(public_key):", "if False:"))
    yield off(
        "proof of possession",
        (
            signing,
            "return open_message(carried.public_key, signed, ReaderEnrolment)",
            "return carried",
        ),
    )
    yield off("one encoding", ("protocol.wire_message", "if message.encode() != data:", "if False:"))
    yield off(
        "fragments fit",
        (
            "protocol.fragments",
            "if size > parcel.total or frame.last != (size == parcel.total):",
            "if False:",
        ),
    )
    yield off(
        "bad frames end the session",
        (
            "protocol.framing",
            "        except FramingError as error:\n",
            "        except ZeroDivisionError as error:\n",
        ),
    )
    yield off("hidden characters", ("protocol.text", " and all(map(_shows, text))", ""))
    # -- sealing
    yield off(
        "reader's key in info",
        ("protocol.sealing", "        + hashlib.sha256(reader_public_key).digest()\n", ""),
    )
    yield off(
        "sealed again", ("protocol.sealing", "reseal_and_compare(self._key, sealed, opened, info)", "pass")
    )
    yield off(
        "fixed sizes",
        ("protocol.sealing", "    if len(plaintext) != size:\n", "    if False:\n"),
        (
            "protocol.sealing",
            "_SUITE.encrypt(plaintext, recipient, info)",
            "_SUITE.encrypt(bytes(plaintext).rstrip(bytes(1)), recipient, info)",
        ),
        ("protocol.sealing", "or len(sealed) != size or", "or"),
        (
            "protocol.sealing",
            "return bytearray(opened)",
            "return bytearray(opened).ljust(size - 1136, bytes(1))",
        ),
        (
            "protocol.wire_fields",
            "if type(item) is not bytes or len(item) != self.size:",
            "if type(item) is not bytes or (self.size < 1100 and len(item) != self.size):",
        ),
    )
    # -- what the reader believes
    words = "reader_peripheral.issuer_words"
    yield off("offer is for this reader", (words, "if offer.reader_id != self._reader:", "if False:"))
    yield off("fresh nonce", (words, "if nonce is None or offer.nonce != nonce:", "if False:"))
    session = "reader_peripheral.session"
    yield off(
        "offer taken once",
        (
            session,
            "if self._owed.awaits(reference) or (self._payment and self._payment.digest == reference):",
            "if False:",
        ),
    )
    yield off("few refusals", (session, "MOST_REFUSALS = 2", "MOST_REFUSALS = 1000"))
    yield off(
        "one payment at a time",
        (words, "        if paying:\n", "        if False:\n"),
        (words, "if nonce is None or offer.nonce != nonce:", "if not paying and offer.nonce != nonce:"),
        (
            "reader_peripheral.transitions",
            "    rows[S.GREETED, E.OFFER_ACCEPTED] =",
            "    for state in INTERRUPTIBLE[1:]:\n"
            "        rows[state, E.OFFER_ACCEPTED] = _go(S.AWAITING_SWIPE, F.TAKE_OFFER, F.SHOW_OFFER)\n"
            "    rows[S.GREETED, E.OFFER_ACCEPTED] =",
        ),
    )
    yield off(
        "one swipe an offer",
        (
            "reader_peripheral.transitions",
            "        (S.AWAITING_SWIPE, E.CARD_READ):",
            "        (S.AWAITING_PIN_REQUEST, E.CARD_READ): _go(S.SEALING_CARD, F.SEAL_CARD),\n"
            "        (S.AWAITING_SWIPE, E.CARD_READ):",
        ),
    )
    yield off(
        "no cancel once the card is out",
        (
            "reader_peripheral.transitions",
            "    rows[S.AWAITING_SWIPE, E.PHONE_CANCELLED] =",
            "    rows[S.AWAITING_OUTCOME, E.PHONE_CANCELLED] = _go(S.SHOWING_RESULT, F.SHOW_ENDED, *over)\n"
            "    rows[S.AWAITING_SWIPE, E.PHONE_CANCELLED] =",
        ),
    )
    hand = "reader_peripheral.payment_in_hand"
    yield off(
        "PIN request bound",
        (hand, "if bound != (self.digest, self.card_envelope, self.pin_envelope):", "if bound is None:"),
    )
    yield off(
        "request before PIN",
        (
            session,
            "if payment is None or not TABLE.allows(self._state, Event.PIN_REQUESTED):",
            "if payment is None:",
        ),
        (hand, "if bound != (self.digest, self.card_envelope, self.pin_envelope):", "if bound is None:"),
        (
            "reader_peripheral.transitions",
            "    take_request = (F.TAKE_PIN_REQUEST, F.SHOW_PIN)\n",
            "    take_request = (F.TAKE_PIN_REQUEST, F.SHOW_PIN)\n"
            "    rows[S.AWAITING_SWIPE, E.PIN_REQUESTED] = _go(S.ENTERING_PIN, *take_request)\n",
        ),
    )
    yield off(
        "outcome bound to the offer",
        (
            session,
            "if self._payment is not None and outcome.offer == self._payment.digest:",
            "if self._payment is not None:",
        ),
        (session, "if not record.accepts(outcome):", "if False:"),
    )
    yield off("outcome answers the last message", (session, "if not record.accepts(outcome):", "if False:"))
    yield off(
        "an offer hides no unknown",
        (
            session,
            "                self._nonce = None\n                self._alarms.clear(Alarm.RESULT)\n",
            "                self._nonce = None\n                self._owed.pay_anew()\n",
        ),
    )
    yield off(
        "an offer hides no result",
        ("reader_peripheral.owed_outcomes", "        if told.past:\n", "        if True:\n"),
    )
    yield off(
        "no past result",
        (session, "Event.PAST_OUTCOME if record is not None and record.past else ", ""),
        (
            "reader_peripheral.transitions",
            "    for state in (S.AWAITING_SWIPE, S.REFUSED):\n",
            "    for state in INTERRUPTIBLE[1:]:\n",
        ),
    )
    yield off(
        "outcome is owed",
        (session, "                if self._in_hand().sent:\n", "                if False:\n"),
    )
    yield off(
        "kept before sent",
        (session, "effects.insert(0, fx.KeepOwed(self._kept))", "effects.append(fx.KeepOwed(self._kept))"),
    )
    yield off("status says no digits", (session, "if status is self._status:", "if False:"))
    link = "reader_peripheral.adapters.bless_link"
    yield off(
        "one phone at a time",
        (link, "            if writer.central != self._central:\n", "            if False:\n"),
    )
    yield off(
        "few lines from a phone", ("reader_peripheral.service", "if self._notes <= MOST_NOTES:", "if True:")
    )
    yield off("served after HELLO", (link, "if not _is_hello(bytes(value)):", "if False:"))
    yield off(
        "the phone's place is kept", (link, "if self._place_is_kept(", "if False and self._place_is_kept(")
    )
    # -- what the phone's own page lets through
    yield off(
        "the page has a key",
        (
            "handset_client.page_door",
            "return held is not None and hmac.compare_digest(held.key, _digest(key))",
            "return held is not None",
        ),
    )
