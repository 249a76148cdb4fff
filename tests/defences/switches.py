"""The switch list: each defence, its place in the product, and the edit that takes it out. For tests alone.

An edit is made while a module is imported (`removed.py`), in the test's process and nowhere else. A defence
that has moved or is written otherwise now fails `tests/unit/test_defences_table.py`: write its edit anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Edit:
    """In one module, `old` (there exactly once) becomes `new`."""

    module: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Switch:
    """One defence and how it is taken out."""

    name: str
    edits: tuple[Edit, ...]


def _switches() -> Iterator[Switch]:
    def off(name: str, *edits: tuple[str, str, str]) -> Switch:
        return Switch(name, tuple(Edit(*edit) for edit in edits))

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
            "if self._owed.find(reference) or (self._payment and self._payment.digest == reference):",
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
    # -- what the issuer believes
    effects = "issuer_server.payment_effects"
    yield off("one version", (effects, "if PROTOCOL_VERSION not in live.hello.versions:", "if False:"))
    yield off(
        "reader is enrolled",
        (effects, "return PaymentEvent.READER_UNKNOWN", "return PaymentEvent.READER_ACCEPTED"),
    )
    yield off(
        "reader is the payer's",
        (effects, "if reader.cardholder_id != live.record.cardholder_id:", "if False:"),
    )
    yield off(
        "reader is not blocked",
        (effects, "return PaymentEvent.READER_BLOCKED if", "return PaymentEvent.READER_BLOCKED if False and"),
    )
    yield off(
        "card is the payer's", (effects, "if card.cardholder_id != live.record.cardholder_id:", "if False:")
    )
    table = "issuer_server.payment"
    yield off(
        "no hold before the swipe",
        (
            table,
            "(_S.APPROVED, _E.READER_ACCEPTED): Move(_S.KEY_OFFERED,",
            "(_S.APPROVED, _E.READER_ACCEPTED): Move(_S.APPROVED, (_F.HOLD_FUNDS,)),\n"
            "    (_S.APPROVED, _E.FUNDS_HELD): Move(_S.KEY_OFFERED,",
        ),
        (
            table,
            "(_S.CARD_RECEIVED, _E.CARD_ACCEPTED): Move(_S.CARD_RECEIVED, (_F.HOLD_FUNDS,)),",
            "(_S.CARD_RECEIVED, _E.CARD_ACCEPTED): Move(_S.PIN_REQUESTED, (_F.STORE, _F.SEND_PIN_REQUEST)),",
        ),
        (table, "NotSettled.INSUFFICIENT_FUNDS, _OPENING,", "NotSettled.INSUFFICIENT_FUNDS, _LIVE,"),
    )
    yield off("order in the offer", (effects, "order=payment.order,", 'order="2 coffees",'))
    yield off(
        "currency in the offer",
        (
            effects,
            "amount=payment.money,",
            'amount=__import__("protocol.money").money.Money('
            'payment.money.minor, __import__("protocol.money").money.currency("JPY")),',
        ),
    )
    envelopes = "issuer_server.envelopes"
    yield off(
        "reader's signature",
        (
            envelopes,
            "message = open_message(live.reader.public_key, signed, expected)",
            'message = expected.decode(__import__("protocol.encoding").encoding.decode(signed[1:], "")[2])',
        ),
    )
    yield off(
        "envelope bound to the offer", (envelopes, "if message.offer != live.offer_digest:", "if False:")
    )
    yield off("envelope in its state", (envelopes, "if live.state not in states:", "if False:"))
    yield off(
        "PIN bound to its request", (envelopes, "if pin.pin_request != live.pin_request_digest:", "if False:")
    )
    yield off(
        "card data is checked",
        (
            envelopes,
            "CardData.parse(live.secrets.card_plaintext)\n    except ResealMismatch:",
            "CardData.parse(live.secrets.card_plaintext)\n"
            "    except TrackError:\n        return PaymentEvent.CARD_UNKNOWN\n    except ResealMismatch:",
        ),
    )
    yield off(
        "PIN block is checked",
        (
            "protocol.sealing",
            "if filling or not SHORTEST_PIN <= count <= LONGEST_PIN or not digits.isdigit():",
            "if False:",
        ),
    )
    yield off(
        "a wrong PIN ends it",
        (
            effects,
            "another = left > 0 and live.pin_attempts < self._parts.pin_attempts",
            "another = left > 0",
        ),
        (envelopes, "if pin.pin_request != live.pin_request_digest:", "if False:"),
        (
            envelopes,
            "pin_info(use.offer, use.offer_digest, use.reader_key, live.pin_request_digest)",
            "pin_info(use.offer, use.offer_digest, use.reader_key, live.secrets.pin_envelope.pin_request)",
        ),
        ("protocol.sealing", " or info in self._opened", ""),
    )
    yield off(
        "settled is settled",
        (
            "issuer_server.late_words",
            'frames.payment_over(payment.id, payment.reason or "completed")',
            'frames.payment_over(payment.id, "refused_user_cancelled")',
        ),
    )
    yield off(
        "tries are claimed",
        (
            "issuer_server.storage.sqlite.directory",
            "pin_tries_left = pin_tries_left - 1 WHERE id = ? AND pin_tries_left > 0",
            "pin_tries_left = pin_tries_left WHERE id = ?",
        ),
    )
    yield off(
        "deadlines",
        (
            "issuer_server.payment_steps",
            "if live.state is state and live.deadline == deadline:",
            "if live.state is state and state.value == 'requested':",
        ),
    )
    yield off(
        "one clock a state",
        (
            "issuer_server.payment_steps",
            "        live.forget_deadline()\n        event, seconds =",
            "        event, seconds =",
        ),
        (
            "issuer_server.payment_steps",
            "if live.state is state and live.deadline == deadline:",
            "if not live.state.is_final:",
        ),
        (
            "issuer_server.payment_steps",
            "await self.take(live, DEADLINE_EVENTS[state])",
            "await self.take(live, DEADLINE_EVENTS[live.state])",
        ),
    )
    yield off(
        "a request ends by itself",
        (
            "issuer_server.payment_steps",
            "if live.state is state and live.deadline == deadline:",
            "if False:",
        ),
        ("handset_client.relay", "clocks={Clock.COUNTDOWN: over}", "clocks={}"),
    )
    yield off(
        "the phone that was called",
        ("issuer_server.handset_desk", "if live.handset_id != handset_id:", "if False:"),
    )
    yield off(
        "another merchant's payment",
        (
            "issuer_server.application",
            "if payment is None or payment.merchant_id != merchant_id:",
            "if payment is None:",
        ),
    )
    yield off(
        "no field but ours",
        ("issuer_server.payment_fields", "if not fields.keys() <= set(allowed):", "if False:"),
    )
    yield off(
        "calls are limited",
        (
            "issuer_server.rate_limits",
            "USUAL_LIMITS: Final = Limits(100.0, 30.0, 8)",
            "USUAL_LIMITS: Final = Limits()",
        ),
    )
    yield off(
        "a shop can be blocked",
        (
            "issuer_server.storage.sqlite.payments",
            "if connection.execute(_BLOCKED, (new.cardholder_id, new.merchant_id)).fetchone() is not None:",
            "if False:",
        ),
    )
    yield off(
        "skeletons",
        ("issuer_server.look_alikes", "return skeleton(one) == skeleton(other)", "return one == other"),
    )
    yield off(
        "names differ to the eye",
        ("issuer_server.administration", "if look_alike(name, other.name):", "if False:"),
    )
    yield off(
        "few lines a payment",
        ("issuer_server.handset_desk", "if live.dropped_messages <= MOST_LOGGED:", "if True:"),
    )
    yield off(
        "few lines a channel",
        ("issuer_server.handset_channel", "if phone.dropped_frames <= MOST_LOGGED:", "if True:"),
    )
    yield off(
        "unacknowledged frames are few",
        ("issuer_server.handset_session", "if len(self._kept) >= MOST_UNACKNOWLEDGED:", "if False:"),
    )
    migrations = "issuer_server.storage.migrations"
    yield off(
        "one transfer a payment",
        (
            migrations,
            'entry.read_text("utf-8")',
            'entry.read_text("utf-8").replace("CREATE UNIQUE INDEX one_transfer_a_payment", "CREATE INDEX'
            ' one_transfer_a_payment").replace("NEW.kind = \'payment\' AND EXISTS (", "0 AND EXISTS (")'
            ".replace(\"NOT IN ('completed', 'not_settled')\", \"<> 'not_settled'\")",
        ),
    )
    yield off(
        "history stands",
        (
            migrations,
            'entry.read_text("utf-8")',
            'entry.read_text("utf-8")'
            '.replace("BEFORE UPDATE ON transfers", "BEFORE UPDATE ON transfers WHEN 0")'
            '.replace("BEFORE DELETE ON transfers", "BEFORE DELETE ON transfers WHEN 0")',
        ),
    )


SWITCHES: dict[str, Switch] = {switch.name: switch for switch in _switches()}
