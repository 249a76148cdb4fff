"""The switch list, second part: what the issuer believes, and what its database refuses."""

from __future__ import annotations

from collections.abc import Iterator

from tests.defences.switch import Switch, off


def at_the_issuer() -> Iterator[Switch]:
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
        "a code is used once",
        ("issuer_server.storage.sqlite.directory", "    if used_ms is not None:\n", "    if False:\n"),
        (
            migrations,
            'entry.read_text("utf-8")',
            'entry.read_text("utf-8").replace("WHEN OLD.used_ms IS NOT NULL", "WHEN 0")',
        ),
    )
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
    yield off(
        "public addresses alone",
        ("issuer_server.webhooks.delivery", "if not is_public(str(where[0])):", "if False:"),
    )
