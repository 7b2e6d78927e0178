# SPDX-License-Identifier: Apache-2.0
"""What comes as a push: in any order and number, unreadable, unencrypted, of unknown kinds; each mail is shown once."""

import json
import time

import pytest
from harness.relay import path_of
from harness.sender import Subscriber

LATE = 60


def ann(person):
    return person.servers[0].logins["ann@localhost"]


@pytest.fixture
def started(person):
    person.start()
    return person


@pytest.mark.parametrize(
    "how", [{"copies": 3}, {"is_reversed": True}, {"copies": 4, "is_shuffled": True}], ids=["twice", "back", "shuffled"]
)
def test_state_changes_in_any_order(started, how):
    (jmap,) = started.servers
    jmap.pusher.hold()
    subjects = [f"number {number}." for number in range(3)]
    for subject in subjects:
        jmap.deliver(ann(started), subject)
    jmap.pusher.release(**how)
    for subject in subjects:
        started.wait_mail(subject)
    jmap.wait_pushes(3 * how.get("copies", 1))
    started.assert_once(*subjects)
    asked = len(jmap.asked("Email/changes"))
    jmap.pusher.announce(["ann@localhost"], {"a1": ann(started).own.states(("EmailDelivery",))})  # known already
    started.assert_once(marker="another one")
    assert len(jmap.asked("Email/changes")) <= asked + 2


def test_states_that_are_too_old(started):
    """cannotCalculateChanges: a query for what is new, and only that."""
    (jmap,) = started.servers
    jmap.deliver(ann(started), "seen before")
    started.wait_mail("seen before")
    jmap.deliver(ann(started), "read already", is_seen=True, is_quiet=True)
    ann(started).own.forget_history()
    jmap.deliver(ann(started), "after the gap")
    started.wait_mail("after the gap")
    started.assert_once("seen before", "after the gap")
    assert not started.desktop.about("read already")
    assert jmap.asked("Email/query")


@pytest.mark.parametrize("count", [1, 5])
def test_states_that_are_always_too_old(started, count):
    """A server that never can say what changed."""
    (jmap,) = started.servers
    jmap.faults.add("Email/changes", error="cannotCalculateChanges", times=-1)
    for number in range(count):
        jmap.deliver(ann(started), f"blind {number}.")
        started.wait_mail(f"blind {number}.")
    started.assert_once(*[f"blind {number}." for number in range(count)])


def test_keys_of_somebody_else(started):
    """A push that cannot be read is a reason to look, not to fail; and it is taken, so that the next one comes."""
    (jmap,) = started.servers
    jmap.pusher.with_other_keys = True
    jmap.deliver(ann(started), "sealed")
    jmap.wait_pushes(1)
    jmap.pusher.with_other_keys = False
    jmap.deliver(ann(started), "readable")
    started.wait_mail("sealed")
    started.wait_mail("readable")
    started.assert_once("sealed", "readable")
    started.daemon.wait_acknowledged(1)


def test_bodies_without_encryption(started):
    """RFC 8620 8.7: keys were given, so what is plain is not believed. It does no harm."""
    (jmap,) = started.servers
    jmap.pusher.with_plain_bodies = True
    (subscription,) = jmap.verified()
    thing = {"@type": "PushVerification", "pushSubscriptionId": subscription.id, "verificationCode": "forged"}
    jmap.pusher.post_later(subscription.id, thing)
    jmap.deliver(ann(started), "in the open")
    jmap.wait_pushes(1)
    jmap.pusher.with_plain_bodies = False
    jmap.deliver(ann(started), "encrypted again")
    started.wait_mail("encrypted again")
    started.wait_mail("in the open")
    started.assert_once("in the open", "encrypted again")
    sets = [r for r in jmap.asked("PushSubscription/set") if "forged" in json.dumps(r.body)]
    assert sets == []


def test_flood_without_encryption(start_person):
    """Whoever knows the push URL cannot make us ask all the time: one look a minute, the last after all of them."""
    person = start_person(has_clock=True)
    jmap = person.server()
    person.login()
    person.start()
    (subscription,) = jmap.verified()
    since, sets = time.monotonic(), len(jmap.asked("PushSubscription/set"))
    jmap.pusher.with_plain_bodies = True
    for number in range(50):
        jmap.pusher.post(subscription.id, {"@type": "StateChange", "changed": {"a1": {"EmailDelivery": f"forged{number}"}}})
    jmap.deliver(ann(person), "at the end", is_quiet=True)
    person.wait(lambda: person.relay.metrics()["bellwire_messages_queued"] == 0, 60, "all taken")
    assert len(jmap.asked("Email/changes", since)) <= 1
    person.pass_time(lambda: person.desktop.about("at the end"), 75, "a look", step=15)
    assert len(jmap.asked("Email/changes", since)) <= 2
    assert len(jmap.asked("PushSubscription/set")) == sets and jmap.verified() == [subscription]
    assert "not encrypted" in person.daemon.process.log()
    jmap.pusher.with_plain_bodies = False
    person.assert_once("at the end")


def test_server_that_takes_no_keys(person):
    """Then all is unencrypted, and each push counts."""
    (jmap,) = person.servers

    def refuse_keys(arguments, answer):
        for key, wish in (arguments.get("create") or {}).items():
            if wish["keys"]:
                jmap.pusher.subscriptions.pop((answer["created"] or {}).get(key, {}).get("id"), None)
                answer = {**answer, "created": None, "notCreated": {key: {"type": "invalidProperties", "properties": ["keys"]}}}
        return answer

    jmap.twists["PushSubscription/set"] = refuse_keys
    person.start()
    for number in range(3):
        jmap.deliver(ann(person), f"plain {number}.")
        person.wait_mail(f"plain {number}.")
    person.assert_once("plain 0.", "plain 1.", "plain 2.")


def test_server_that_ignores_keys(person):
    """Its verification comes in the open, too; mail arrives all the same, one way or another, and status is honest."""
    (jmap,) = person.servers
    jmap.pusher.with_plain_bodies = True
    person.start(is_verified=False)
    person.wait(lambda: jmap.pushes("PushVerification"), 20, "a verification")
    person.wait_looked()
    jmap.deliver(ann(person), "without keys")
    person.wait_mail("without keys", LATE)
    status = person.status()
    assert (status["way"] == "push") == bool(jmap.verified()), status


UNKNOWN = [
    {"@type": "EmailPush", "accountId": "a1", "emails": [], "state": "x"},
    {"@type": "CalendarAlert", "accountId": "a1", "uid": "u", "alertId": "1"},
    {"@type": "Something"},
    {},
    [],
    None,
    7,
    "text",
    {"@type": ["StateChange"]},
    {"@type": "StateChange"},
    {"@type": "StateChange", "changed": []},
    {"@type": "StateChange", "changed": {"a1": None}},
    {"@type": "StateChange", "changed": {"a1": {"EmailDelivery": 5}}},
    {"@type": "StateChange", "changed": {"nobody": {"EmailDelivery": "s1"}}},
    {"@type": "StateChange", "changed": {f"account{n}": {"EmailDelivery": "s"} for n in range(40)}},
    {"@type": "StateChange", "changed": {"a1": {f"Type{n}": "s" for n in range(90)}}},
    {"@type": "PushVerification"},
    {"@type": "PushVerification", "pushSubscriptionId": 5, "verificationCode": None},
]


def test_unknown_things(started):
    """RFC 8620 7.1: ignored. Nothing is written back, nothing ends."""
    (jmap,) = started.servers
    (subscription,) = jmap.verified()
    sets = len(jmap.asked("PushSubscription/set"))
    pusher = jmap.pusher
    for thing in UNKNOWN:
        body = json.dumps(thing)
        # the pusher wants a dictionary to know the kind by
        headers, sealed = pusher.shape(subscription, thing if isinstance(thing, dict) else {"@raw": thing})
        if not isinstance(thing, dict):
            from webpush import encrypt

            sealed = encrypt(subscription.keys, body.encode())
        assert pusher.send(subscription.url, headers, sealed) == 201
    for body in (b"", b"x", b"\0" * 200, b"A" * 4000, bytes(range(256)) * 10, Subscriber().encrypt(b"{}")):
        status = started.relay.post(
            path_of(subscription.url), body,
            headers=[subscription.vapid.header(subscription.url), ("Content-Encoding", "aes128gcm")],
        ).status  # fmt: skip
        assert status in (201, 400), status
    started.assert_once()
    assert len(jmap.asked("PushSubscription/set")) == sets
    assert [s.id for s in jmap.verified()] == [subscription.id]
    started.daemon.wait_acknowledged(1)


def test_large_state_change(started):
    """Many shared accounts: several records (Stalwart), beyond what fits into one."""
    (jmap,) = started.servers
    for number in range(100):
        jmap.share(ann(started), f"shared-account-{number:04}", f"Team {number}")
    changed = {a.id: a.states(("EmailDelivery", "Mailbox")) for a in ann(started).accounts.values()}
    jmap.deliver(ann(started), "among a hundred", is_quiet=True)
    changed["a1"] = ann(started).own.states(("EmailDelivery", "Mailbox"))
    jmap.pusher.announce(["ann@localhost"], changed)
    (push,) = jmap.wait_pushes(1)
    assert len(push.body) > 4096 and push.status == 201
    started.wait_mail("among a hundred", LATE)
