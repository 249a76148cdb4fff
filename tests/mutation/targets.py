"""What is mutated, and the fast tests that must notice."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Target:
    """Modules that belong together, and the tests that are theirs."""

    modules: tuple[str, ...]
    tests: tuple[str, ...]
    left_out: tuple[str, ...] = ()
    """Lines that are not mutated, as regular expressions."""
    without: tuple[str, ...] = ()
    """Tests among them that are too slow to be run for each of a thousand mutants."""


TARGETS: dict[str, Target] = {
    "framing": Target(
        ("protocol/framing.py", "protocol/fragments.py", "protocol/frames.py"),
        ("tests/unit/framing",),
        without=(
            "tests/unit/framing/test_framing_weather.py::test_a_long_walk_through_the_weather",
            "tests/unit/framing/test_framing_channel.py::test_every_mtu_carries_every_size",
        ),
    ),
    "messages": Target(
        (
            "protocol/signing.py",
            "protocol/encoding.py",
            "protocol/wire_message.py",
            "protocol/wire_fields.py",
            "protocol/messages.py",
        ),
        (
            "tests/unit/test_protocol_messages.py",
            "tests/unit/test_protocol_signing.py",
            "tests/unit/test_protocol_signing_exact.py",
            "tests/unit/test_protocol_wire_exact.py",
            "tests/vectors/test_message_vectors.py",
        ),
        # mutmut makes `case {1: +19}` of it, which is no Python. tests/hostile/ brings other algorithms.
        left_out=(r"case \{1: -19",),
    ),
    "values": Target(
        (
            "protocol/text.py",
            "protocol/identifiers.py",
            "protocol/money.py",
            "protocol/enrolment.py",
            "protocol/errors.py",
            "protocol/gatt.py",
        ),
        (
            "tests/unit/test_protocol_text.py",
            "tests/unit/test_protocol_identifiers.py",
            "tests/unit/test_protocol_money.py",
            "tests/unit/test_protocol_enrolment.py",
            "tests/unit/test_gatt.py",
            "tests/unit/test_protocol_messages.py",
            "tests/unit/test_protocol_values_exact.py",
        ),
        # mutmut makes one key of two there, which is no Python.
        left_out=(r"case \{1: str\(url\)",),
    ),
    "secrets": Target(
        ("protocol/sealing.py", "protocol/reseal.py"),
        (
            "tests/unit/test_protocol_sealing.py",
            "tests/unit/test_protocol_secrets.py",
            "tests/unit/test_protocol_memory.py",
            "tests/vectors/test_message_vectors.py",
        ),
    ),
    "tracks": Target(
        ("protocol/track_data.py", "protocol/track_layout.py", "protocol/raw_stripe.py"),
        ("tests/unit/test_protocol_track_data.py", "tests/unit/test_raw_stripe.py"),
    ),
    "reader": Target(
        (
            "protocol/transition_table.py",
            "reader_peripheral/session.py",
            "reader_peripheral/issuer_words.py",
            "reader_peripheral/payment_in_hand.py",
            "reader_peripheral/owed_outcomes.py",
            "reader_peripheral/alarms.py",
        ),
        (
            "tests/machines/test_reader_session.py",
            "tests/machines/test_reader_session_endings.py",
            "tests/machines/test_reader_session_exact.py",
            "tests/machines/test_reader_session_table.py",
            "tests/machines/test_reader_session_unread.py",
            "tests/machines/test_reader_session_walks.py",
            "tests/unit/test_transition_table.py",
            "tests/unit/test_reader_owed_file.py",
        ),
    ),
    "issuer": Target(
        ("issuer_server/payment.py",),
        (
            "tests/machines/test_issuer_payment_table.py",
            "tests/machines/test_issuer_payment_walks.py",
            "tests/machines/test_issuer_payment_exact.py",
        ),
    ),
    "issuer-steps": Target(
        ("issuer_server/payment_steps.py", "issuer_server/envelopes.py", "issuer_server/live_payments.py"),
        (
            "tests/unit/test_issuer_application.py",
            "tests/unit/test_issuer_application_faults.py",
            "tests/unit/test_issuer_application_hostile.py",
            "tests/unit/test_issuer_application_logs.py",
            "tests/unit/test_issuer_application_secrets.py",
            "tests/unit/test_issuer_live_payments.py",
            "tests/unit/test_issuer_metrics.py",
            "tests/hostile/test_to_the_last_moment.py",
            "tests/hostile/test_dishonest_readers.py",
        ),
    ),
}
