"""`issuer-server merchant`: their keys, their webhooks, and who blocked them."""

from __future__ import annotations

import sqlite3

from tests.unit import issuer_admin_bench
from tests.unit.issuer_admin_bench import add_cardholder

# The fixtures that both modules use.
command = issuer_admin_bench.command
ready = issuer_admin_bench.ready


def test_webhooks_of_a_merchant(ready):
    merchant = ready.json("merchant", "add", "--name", "Cafe")["id"]
    words = ("merchant", "webhook", "add", "--merchant", merchant, "--url")
    added = ready.json(*words, "https://shop.example/hooks")
    assert added["secret"].startswith("whsec_")
    (shown,) = ready.json("merchant", "webhook", "list", "--merchant", merchant)
    assert (shown["id"], shown["status"], shown["waiting"]) == (added["id"], "active", 0)
    assert added["secret"] not in str(shown)
    assert ready.json("merchant", "webhook", "rotate", added["id"])["secret"] != added["secret"]
    for url in ("http://shop.example/", "https://10.0.0.1/"):
        status, _, err = ready(*words, url)
        assert (status, bool(err)) == (1, True)
    assert ready.json("merchant", "webhook", "remove", added["id"])["status"] == "removed"
    assert ready.json("merchant", "webhook", "list") == []
    assert ready("merchant", "webhook", "remove", added["id"])[0] == 1


def test_merchants_that_a_cardholder_blocked(ready, tmp_path):
    person, merchant = add_cardholder(ready), ready.json("merchant", "add", "--name", "Cafe")["id"]
    assert ready.json("cardholder", "blocked-merchants", person) == []
    unblock = ("cardholder", "unblock-merchant", person, "--merchant", merchant)
    assert ready(*unblock)[0] == 1
    connection = sqlite3.connect(tmp_path / "data" / "issuer.db")
    with connection:
        connection.execute("INSERT INTO merchant_blocks VALUES (?, ?, 1)", (person, merchant))
    connection.close()
    assert ready.json("cardholder", "blocked-merchants", person) == [{"id": merchant, "name": "Cafe"}]
    assert ready.json(*unblock)["status"] == "active"
    assert ready.json("cardholder", "blocked-merchants", person) == []


def test_an_api_key_is_replaced_and_what_the_merchant_has_stays(ready):
    merchant = ready.json("merchant", "add", "--name", "Cafe Relay")
    new = ready.json("merchant", "new-key", merchant["id"])
    assert new["api_key"].startswith("brm_")
    assert new["api_key"] != merchant["api_key"]
    assert new["old_key_works_for_hours"] == 24
    assert ready("merchant", "new-key", merchant["id"], "--overlap-hours", "-1")[0] == 1
    assert ready("merchant", "new-key", "mer_" + "a" * 26)[0] == 1
    (line,) = ready.json("audit", "--last", "1")
    assert (line["action"], line["subject"]) == ("replace api key", merchant["id"])
    assert [each["id"] for each in ready.json("merchant", "list")] == [merchant["id"]]


def test_webhooks_that_did_not_arrive_are_listed_and_sent_again(ready, tmp_path):
    merchant = ready.json("merchant", "add", "--name", "Cafe Relay")["id"]
    words = ("merchant", "webhook", "add", "--merchant", merchant, "--url", "https://shop.example/hooks")
    endpoint = ready.json(*words)["id"]
    assert "Everything has arrived" in ready("merchant", "webhook", "undelivered", endpoint)[1]
    with sqlite3.connect(tmp_path / "data" / "issuer.db") as connection:
        connection.execute(
            "INSERT INTO webhook_messages (id, endpoint_id, payload, attempts, problem, created_ms)"
            """ VALUES ('msg_1', ?, '{"type": "payment.completed"}', 10, 'cannot connect', 1800000000000)""",
            (endpoint,),
        )
    connection.close()
    (shown,) = ready.json("merchant", "webhook", "undelivered", endpoint)
    assert shown == {
        "id": "msg_1",
        "tells": "payment.completed",
        "made": "2027-01-15 08:00 UTC",
        "attempts": 10,
        "next_attempt": "given up",
        "problem": "cannot connect",
    }
    assert ready("merchant", "webhook", "redeliver", endpoint, "--message", "msg_2")[0] == 1
    again = ready.json("merchant", "webhook", "redeliver", endpoint, "--message", "msg_1")
    assert again == {"id": endpoint, "status": "active", "sent_again": 1}
    assert (ready.json("audit")[0]["action"], ready.json("audit")[0]["subject"]) == (
        "send webhooks again",
        endpoint,
    )
    (listed,) = ready.json("merchant", "webhook", "list")
    assert (listed["waiting"], listed["given_up"]) == (1, 0)
