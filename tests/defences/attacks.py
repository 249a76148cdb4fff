"""Which attack's test is red without which defence. docs/threats.md says the same, and a test compares them.

A test may stand here as a whole or as one of its cases, `test_x[case]`. Of the cases of a test that is named
whole at least one must be red: others may be held by a second defence.
"""

# ruff: noqa: E501 - names of tests are as long as they are

from __future__ import annotations

RED_WITHOUT: dict[str, tuple[str, ...]] = {
    "signature": (
        "hostile/test_forged_and_downgraded.py::test_put_its_own_key_into_the_offer",
        "hostile/test_phone_cannot.py::test_change_one_bit_on_the_way_to_the_reader",
        "hostile/test_phone_cannot.py::test_change_one_bit_on_the_way_to_the_issuer",
        "hostile/test_phone_cannot.py::test_invent_an_outcome",
        "hostile/test_cut_and_mixed.py::test_change_what_an_offer_says",
        "hostile/test_cut_and_mixed.py::test_change_what_an_offer_says[amount]",
        "hostile/test_cut_and_mixed.py::test_change_what_an_offer_says[merchant]",
        "hostile/test_on_the_air.py::test_change_and_cut_every_message_over_the_air",
    ),
    "one COSE shape": (
        "hostile/test_forged_and_downgraded.py::test_bring_the_reader_every_malformed_and_downgraded_offer",
        "hostile/test_forged_and_downgraded.py::test_bring_the_issuer_every_malformed_and_downgraded_envelope",
    ),
    "no key of small order": (
        "unit/test_protocol_signing.py::test_keys_for_which_anyone_can_sign_are_refused",
    ),
    "proof of possession": ("hostile/test_strangers.py::test_enrol_somebody_elses_reader_key",),
    "one encoding": ("unit/test_protocol_messages.py::test_a_message_cut_short_or_with_a_tail_is_refused",),
    "fragments fit": (
        "unit/framing/test_framing_hostile.py::test_a_message_that_never_ends_holds_no_more_than_it_may",
    ),
    "bad frames end the session": (
        "unit/framing/test_framing_hostile.py::test_a_hostile_handset_stops_itself_only",
        "hostile/test_on_the_air.py::test_write_nonsense_in_the_middle_of_a_payment",
    ),
    "hidden characters": ("hostile/test_strangers.py::test_hidden_characters_in_an_order",),
    "reader's key in info": (
        "hostile/test_dishonest_readers.py::test_seal_in_one_readers_name_what_another_signs",
    ),
    "sealed again": ("unit/test_protocol_sealing.py::test_a_faulted_card_is_refused",),
    "fixed sizes": (
        "unit/test_protocol_sealing.py::test_the_sizes_are_those_of_the_wire",
        "hostile/test_what_sizes_tell.py::test_learn_the_length_of_a_card_number",
        "hostile/test_what_sizes_tell.py::test_learn_the_length_of_a_pin",
    ),
    "offer is for this reader": ("hostile/test_phone_cannot.py::test_bring_a_reader_the_offer_for_another",),
    "fresh nonce": (
        "hostile/test_replayed_and_delayed.py::test_replay_an_offer_at_the_next_payment",
        "machines/test_reader_session.py::test_one_nonce_takes_one_offer",
    ),
    "one payment at a time": (
        "machines/test_reader_session.py::test_a_second_offer_is_refused_as_busy_and_the_first_goes_on",
        "hostile/test_on_the_air.py::test_bring_two_offers_at_once",
    ),
    "no hold before the swipe": (
        "hostile/test_phone_cannot.py::test_weigh_or_tie_up_a_balance_with_a_shop_in_league",
    ),
    "offer taken once": (
        "hostile/test_phone_cannot.py::test_end_a_payment_with_a_refusal_of_an_offer_that_was_taken",
    ),
    "few refusals": (
        "machines/test_reader_session.py::test_a_phone_cannot_make_the_reader_sign_refusals_without_end",
        "hostile/test_strangers.py::test_flood_the_reader",
    ),
    "one swipe an offer": ("machines/test_reader_session.py::test_one_offer_takes_one_swipe",),
    "no cancel once the card is out": (
        "machines/test_reader_session.py::test_the_phone_may_cancel_until_the_card_is_sent_and_no_longer",
    ),
    "PIN request bound": (
        "machines/test_reader_session.py::test_a_pin_request_bound_to_something_else_is_refused",
        "machines/test_reader_session.py::test_a_second_pin_needs_a_request_bound_to_the_first",
        "hostile/test_on_the_air.py::test_invent_repeat_and_drop_pin_requests",
    ),
    "outcome bound to the offer": (
        "hostile/test_phone_cannot.py::test_use_a_recorded_outcome_for_another_payment",
    ),
    "outcome answers the last message": (
        "machines/test_reader_session_endings.py::test_an_outcome_that_does_not_answer_is_refused_with_the_state_kept",
    ),
    "an offer hides no unknown": (
        "hostile/test_on_the_air.py::test_pass_yesterdays_result_off_as_todays",
        "machines/test_reader_session_endings.py::test_a_phone_cannot_hide_an_unknown_behind_another_offer",
    ),
    "an offer hides no result": (
        "hostile/test_on_the_air.py::test_hide_a_result_behind_an_offer_that_nobody_asked_for",
        "machines/test_reader_session_unread.py::test_a_phone_cannot_hide_a_result_behind_another_offer",
    ),
    "no past result": (
        "hostile/test_on_the_air.py::test_pass_yesterdays_result_off_as_todays",
        "machines/test_reader_session_endings.py::test_a_result_is_not_shown_once_the_person_has_swiped_for_another_payment",
        "machines/test_reader_session_endings.py::test_nor_after_the_power_went_meanwhile",
    ),
    "outcome is owed": (
        "hostile/test_phone_cannot.py::test_hide_an_outcome_for_good",
        "hostile/test_phone_cannot.py::test_keep_the_next_program_on_the_phone_from_bringing_a_hidden_outcome",
    ),
    "kept before sent": (
        "machines/test_reader_session_endings.py::test_what_was_sent_is_kept_before_it_is_sent",
    ),
    "status says no digits": (
        "machines/test_reader_session.py::test_the_phone_is_never_told_how_many_digits_are_typed",
    ),
    "request before PIN": (
        "hostile/test_cut_and_mixed.py::test_bring_the_issuers_words_in_every_other_order",
    ),
    "one phone at a time": (
        "unit/test_reader_link.py::test_a_second_phone_is_refused_and_the_first_goes_on",
    ),
    "served after HELLO": (
        "hostile/test_reader_lockout.py::test_a_stranger_who_writes_anything_but_hello_is_shown_out_and_the_phone_pays",
    ),
    "the phone's place is kept": (
        "unit/test_reader_served.py::test_in_the_resume_window_a_strangers_hello_ends_no_payment",
        "hostile/test_reader_lockout.py::test_a_phone_that_lost_its_link_comes_back_past_a_stranger_who_waited_for_that",
    ),
    "the page has a key": ("unit/test_web_screen_guard.py::test_a_stolen_cookie_alone_opens_nothing",),
    "public addresses alone": ("unit/test_issuer_webhooks.py::test_the_guard_looks_at_the_address_itself",),
    "a code is used once": (
        "contracts/test_storage_directory_contract.py::test_of_many_who_redeem_one_code_one_succeeds",
    ),
    "few lines from a phone": ("hostile/test_floods_in_the_log.py::test_flood_the_readers_log",),
    "one version": ("hostile/test_forged_and_downgraded.py::test_make_the_issuer_speak_another_version",),
    "reader is enrolled": (
        "hostile/test_phone_cannot.py::test_pay_with_a_reader_that_nobody_enrolled",
        "hostile/test_strangers.py::test_a_false_reader_with_the_services_uuid",
    ),
    "reader is the payer's": ("hostile/test_phone_cannot.py::test_pay_with_another_persons_reader",),
    "reader is not blocked": ("hostile/test_phone_cannot.py::test_pay_with_a_blocked_reader",),
    "card is the payer's": (
        "hostile/test_dishonest_readers.py::test_pay_with_a_skimmed_card_through_an_enrolled_reader",
        "unit/test_issuer_application.py::test_another_cardholders_card_tells_nothing_about_it",
    ),
    "order in the offer": (
        "hostile/test_forged_and_downgraded.py::test_show_another_order_at_the_same_price",
    ),
    "currency in the offer": (
        "hostile/test_forged_and_downgraded.py::test_show_another_currency_with_another_number_of_decimals",
    ),
    "reader's signature": (
        "hostile/test_forged_and_downgraded.py::test_pay_with_a_skimmed_card_and_a_key_of_its_own",
        "hostile/test_dishonest_readers.py::test_answer_the_payment_of_another_reader",
        "unit/test_issuer_application_hostile.py::test_another_enrolled_reader_cannot_sign_a_stolen_ciphertext_as_its_own",
        "hostile/test_strangers.py::test_flood_the_issuer",
    ),
    "envelope bound to the offer": (
        "hostile/test_replayed_and_delayed.py::test_replay_an_envelope_at_the_next_payment",
        "hostile/test_dishonest_readers.py::test_bind_an_envelope_to_an_offer_that_nobody_made",
        "unit/test_issuer_application_hostile.py::test_0046_an_old_envelope_is_useless_at_the_next_payment",
    ),
    "envelope in its state": (
        "hostile/test_replayed_and_delayed.py::test_swap_card_and_pin_envelope",
        "hostile/test_phone_cannot.py::test_say_everything_twice_and_be_paid_for_twice",
        "unit/test_issuer_application_hostile.py::test_a_second_swipe_on_one_offer_is_not_taken",
    ),
    "PIN bound to its request": (
        "hostile/test_replayed_and_delayed.py::test_repeat_a_wrong_pin_until_the_card_locks",
    ),
    "card data is checked": ("hostile/test_dishonest_readers.py::test_seal_something_that_is_no_card",),
    "PIN block is checked": ("hostile/test_dishonest_readers.py::test_seal_something_that_is_no_pin",),
    "a wrong PIN ends it": ("hostile/test_dishonest_readers.py::test_answer_a_pin_request_with_two_pins",),
    "settled is settled": (
        "hostile/test_dishonest_readers.py::test_refuse_after_the_pin_to_get_the_goods_for_nothing",
    ),
    "tries are claimed": (
        "hostile/test_replayed_and_delayed.py::test_guess_the_pin_through_many_payments",
        "contracts/test_storage_directory_contract.py::test_twenty_parallel_wrong_pins_use_exactly_the_tries_there_are",
    ),
    "deadlines": (
        "hostile/test_replayed_and_delayed.py::test_hold_an_envelope_back_beyond_its_deadline",
        "hostile/test_replayed_and_delayed.py::test_hold_an_offer_back_beyond_its_deadline",
        "hostile/test_to_the_last_moment.py::test_bring_it_too_late",
        "hostile/test_phone_cannot.py::test_approve_by_itself_and_be_paid",
    ),
    "one clock a state": (
        "hostile/test_to_the_last_moment.py::test_bring_it_at_the_last_moment",
        "hostile/test_to_the_last_moment.py::test_stretch_a_payment_over_every_deadline",
    ),
    "the phone that was called": (
        "unit/test_issuer_application_hostile.py::test_another_cardholders_phone_has_no_say",
    ),
    "another merchant's payment": ("hostile/test_other_shops.py::test_meddle_with_another_shops_payment",),
    "no field but ours": ("hostile/test_strangers.py::test_a_shop_that_calls_itself_another",),
    "calls are limited": ("hostile/test_strangers.py::test_a_shop_that_asks_without_end",),
    "a request ends by itself": ("hostile/test_strangers.py::test_a_shop_that_keeps_asking",),
    "skeletons": ("unit/test_issuer_look_alikes.py::test_a_name_made_to_be_taken_for_another",),
    "a shop can be blocked": ("hostile/test_other_shops.py::test_ring_a_person_who_blocked_the_shop",),
    "names differ to the eye": (
        "hostile/test_names_that_deceive.py::test_a_shop_whose_name_looks_like_anothers",
    ),
    "few lines a payment": ("hostile/test_floods_in_the_log.py::test_flood_the_issuers_log",),
    "few lines a channel": ("hostile/test_floods_in_the_log.py::test_flood_the_channels_log",),
    "unacknowledged frames are few": (
        "hostile/test_floods_in_the_log.py::test_never_answer_and_fill_the_issuers_memory",
    ),
    "one transfer a payment": (
        "unit/test_ledger_rules_in_database.py::test_a_second_transfer_for_a_payment_is_refused",
    ),
    "history stands": ("unit/test_ledger_rules_in_database.py::test_history_cannot_be_rewritten",),
}


_SWITCHES_OF_ITS_OWN = "it takes its defence out itself, with tests/explorer/weakened.py"
_SEARCH = "it looks for what no defence was written against"

NO_SWITCH: dict[str, str] = {
    "hostile/test_strangers.py::test_a_second_phone_during_a_payment": (
        "the radio advertises to nobody while a phone is connected; the reader's own is `one phone at a time`"
    ),
    "hostile/test_cut_and_mixed.py::test_cut_a_message_at_every_byte_on_the_way_to_the_reader": (
        "a COSE_Sign1 that is cut is no CBOR: no line of ours is needed to refuse it"
    ),
    "hostile/test_reader_lockout.py::test_a_stranger_who_only_listens_does_not_stand_in_the_way": (
        "who writes nothing is served by nobody: there is no line to take out"
    ),
    "unit/test_protocol_messages.py::test_hostile_cbor_is_refused_at_once_in_bounded_memory": (
        "cbor2 6 refuses every one of them by itself, too: our bounds stand for the day when it does not"
    ),
    "unit/test_handset_channel.py::test_a_phone_that_never_acknowledges_loses_its_session_not_our_memory": (
        "without its defence it waits for a close that never comes; `unacknowledged frames are few` is the same rule"
    ),
    "hostile/test_cut_and_mixed.py::test_one_message_as_every_other_kind": (
        "two messages of one type have other fields: each of type and fields is enough"
    ),
    "defences/test_harm_without_a_defence.py::test_a_reader_that_takes_unsigned_offers_gives_the_card_away": (
        _SWITCHES_OF_ITS_OWN
    ),
    "defences/test_harm_without_a_defence.py::test_a_reader_that_takes_unsigned_outcomes_shows_approved": (
        _SWITCHES_OF_ITS_OWN
    ),
    "defences/test_harm_without_a_defence.py::test_an_issuer_that_checks_no_reader_signature_takes_a_forged_envelope": (
        _SWITCHES_OF_ITS_OWN
    ),
    "defences/test_harm_without_a_defence.py::test_a_reader_that_knows_no_nonce_shows_an_old_offer_again": (
        _SWITCHES_OF_ITS_OWN
    ),
    "explorer/test_every_order_of_events.py::test_no_order_of_events_breaks_a_rule": (
        "the test below it takes out its defences"
    ),
    "explorer/test_every_order_of_events.py::test_without_a_defence_there_is_an_attack": (
        _SWITCHES_OF_ITS_OWN
    ),
    "fuzz/test_parsers_by_coverage.py::test_no_input_crashes_it": _SEARCH,
    "unit/test_fuzz_corpus.py::test_what_is_changed_in_the_corpus_is_taken_or_refused": _SEARCH,
    "journey/test_handset_memory.py::test_the_phone_never_holds_card_pin_or_key": (
        "no line keeps secrets out of the phone: it is sent none, and has no code that opens what it is sent"
    ),
}
