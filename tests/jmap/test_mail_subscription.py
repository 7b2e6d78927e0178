# SPDX-License-Identifier: Apache-2.0
"""The subscription at the server: verified somehow, renewed in time, rebuilt when it is lost, and never more than one."""

import json
import time

import pytest
from pusher import Subscription

LATE = 60


def ann(person):
    return person.servers[0].logins["ann@localhost"]


def of_login(person):
    (jmap,) = person.servers
    return jmap.pusher.of("ann@localhost")


@pytest.fixture
def timed(start_person):
    """A person whose daemon's clocks are the test's; nothing is started yet."""
    person = start_person(has_clock=True)
    person.server()
    person.login()
    return person


def test_verification_is_lost(timed):
    """The server is reminded after a minute, and what came meanwhile is shown."""
    (jmap,) = timed.servers
    jmap.pusher.verification = "lost"
    timed.start(is_verified=False)
    timed.wait(lambda: of_login(timed), 20, "a subscription")
    (first,) = of_login(timed)
    status = timed.wait_reason("verification")
    assert status["way"] == "poll", status
    timed.rest()
    jmap.deliver(ann(timed), "unverified")
    jmap.pusher.verification = "normal"
    timed.clock.advance(66)
    timed.wait_verified()
    timed.wait_mail("unverified")
    timed.assert_once("unverified")
    assert [s.id for s in jmap.verified()] == [first.id]


def test_verifications_are_always_lost(timed):
    """A server that cannot reach the relay: said, tried again with patience, and mail comes by looking."""
    (jmap,) = timed.servers
    jmap.pusher.verification = "lost"
    timed.start(is_verified=False)
    timed.wait(lambda: of_login(timed), 20, "a subscription")
    timed.wait_reason("verification")  # then it knows of it
    timed.rest()
    timed.clock.advance(66)
    jmap.wait_asked("PushSubscription/set", 2)
    timed.clock.advance(90)
    status = timed.wait_reason("never came", "reach")
    assert status["way"] == "poll", status
    for _ in range(8):
        timed.clock.advance(600)
        timed.status()
    assert len(jmap.asked("PushSubscription/set")) <= 12 and len(of_login(timed)) <= 2
    jmap.deliver(ann(timed), "by looking")
    timed.clock.advance(1020)
    timed.wait_mail("by looking")
    jmap.pusher.verification = "normal"
    assert timed.tool("jmap", "test", "work", timeout=120).returncode == 0
    timed.wait_verified()
    timed.wait(lambda: len(of_login(timed)) == 1, 20, "one subscription")


def test_verification_is_late(person):
    (jmap,) = person.servers
    jmap.pusher.verification = "held"
    person.start(is_verified=False)
    person.wait(lambda: jmap.pusher.held_verifications, 20, "a verification")
    assert person.status()["way"] != "push"
    jmap.pusher.release_verifications()
    person.wait_verified()
    person.assert_once()
    assert len(of_login(person)) == 1


def test_verification_comes_twice(person):
    (jmap,) = person.servers
    jmap.pusher.verification = "twice"
    person.start()
    person.assert_once()
    assert len(of_login(person)) == 1 and len(jmap.pushes("PushVerification")) == 2


def test_verification_is_wrong(person):
    """The server does not take its own code: another subscription, not a loop."""
    (jmap,) = person.servers
    jmap.pusher.verification = "wrong"
    person.start(is_verified=False)
    person.wait(lambda: [p for p in jmap.pushes("PushVerification")], 20, "a verification")
    person.wait(lambda: person.status()["reason"], 20, "a reason")
    time_before, count = time.monotonic(), len(jmap.asked("PushSubscription/set"))
    person.wait(lambda: time.monotonic() - time_before > 3, 5, "three seconds")
    assert len(jmap.asked("PushSubscription/set")) - count <= 4
    jmap.pusher.verification = "normal"
    assert person.tool("jmap", "test", "work", timeout=90).returncode == 0
    person.wait_verified()
    assert len(of_login(person)) == 1


def test_verification_of_others(person):
    """Codes for subscriptions that are not ours are not passed on; a second one for ours does no harm."""
    (jmap,) = person.servers
    person.start()
    (ours,) = jmap.verified()
    count = len(jmap.asked("PushSubscription/set"))
    for identifier, code in (("other", "x"), (ours.id, "wrong"), ("", ""), ("x" * 5000, "y" * 5000)):
        thing = {"@type": "PushVerification", "pushSubscriptionId": identifier, "verificationCode": code}
        jmap.pusher.post_later(ours.id, thing)
    jmap.wait_pushes(5, "PushVerification")
    person.assert_once()
    assert len(jmap.asked("PushSubscription/set")) - count <= 1
    assert [s.id for s in jmap.verified()] == [ours.id]


def test_renewed_before_it_ends(timed):
    """`expires` is cut to an hour by the server: it is read, and the subscription lives on and on."""
    (jmap,) = timed.servers
    jmap.pusher.lifetime = 3600
    timed.start()
    (first,) = jmap.verified()
    begin, end = timed.clock.wall, first.expires
    timed.pass_time(lambda: jmap.verified()[0].expires > end + 3 * 3600, 4 * 3600, "three hours more", step=300)
    assert [s.id for s in jmap.verified()] == [first.id]
    took = timed.clock.wall - begin
    assert len(jmap.asked("PushSubscription/set")) <= 3 + took / (3600 * 0.5), "renewed all the time"
    timed.assert_once()


def test_week_after_week(timed):
    """The server cuts it to seven days; it is renewed well before, and once each time."""
    (jmap,) = timed.servers
    timed.start()
    (first,) = jmap.verified()
    for _ in range(4):
        end, sets = jmap.verified()[0].expires, len(jmap.asked("PushSubscription/set"))
        for _ in range(11):
            timed.rest()
            timed.clock.advance(12 * 3600)
            timed.wait_way("push", timeout=LATE)
        timed.wait(lambda: jmap.verified() and jmap.verified()[0].expires > end + 86400, 20, "a renewal")
        assert len(jmap.asked("PushSubscription/set")) == sets + 1
        assert jmap.verified()[0].expires - jmap.pusher.clock() > 86400
    assert [s.id for s in jmap.verified()] == [first.id]
    timed.assert_once()


def test_away_for_longer_than_it_lasts(timed):
    """A holiday of ten days: another subscription, and the mail of that time as one summary."""
    (jmap,) = timed.servers
    timed.start()
    (first,) = jmap.verified()
    timed.daemon.stop()
    for number in range(6):
        jmap.deliver(ann(timed), f"holiday {number}.")
    timed.clock.pass_unwatched(10 * 86400)
    timed.daemon.start()
    timed.desktop.wait("6")
    timed.wait_verified()
    assert [s.id for s in jmap.verified()] != [first.id] and len(of_login(timed)) == 1
    timed.assert_once()


def test_server_that_does_not_extend(timed):
    """It keeps to the first `expires`: another subscription takes over before the end."""
    (jmap,) = timed.servers
    timed.start()
    (first,) = jmap.verified()

    def keep(arguments, answer):
        for identifier, patch in (arguments.get("update") or {}).items():
            if "expires" in patch and identifier == first.id:
                first.expires = end
                answer["updated"] = {identifier: {"expires": text}}
        return answer

    end, text = first.expires, time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(first.expires))
    jmap.twists["PushSubscription/set"] = keep
    for _ in range(13):
        timed.rest()
        timed.clock.advance(12 * 3600)
        timed.status()
    timed.wait(lambda: [s for s in jmap.verified() if s.id != first.id], 20, "another one")
    assert jmap.pusher.clock() < end
    timed.wait(lambda: len(of_login(timed)) == 1, 20, "the first one gone")
    timed.assert_once()


def test_server_that_cuts_without_a_word(timed):
    """Stalwart answers a renewal with null, "as you wished", and cuts it to a week all the same: it is looked up."""
    (jmap,) = timed.servers
    jmap.twists["PushSubscription/set"] = lambda arguments, answer: {
        **answer, "updated": dict.fromkeys(answer["updated"]) if answer["updated"] else None,
    }  # fmt: skip
    timed.start()
    (first,) = jmap.verified()
    state = timed.daemon.state_dir / "jmap-work.json"
    for _ in range(3):
        end = jmap.verified()[0].expires
        timed.pass_time(lambda: jmap.verified()[0].expires > end + 86400, 6 * 86400, "a renewal", step=3600)
        jmap.wait_asked("PushSubscription/get", since=jmap.asked("PushSubscription/set")[-1].at)  # and not hours later
        known = lambda: json.loads(state.read_text())["push"]["current"]["expires_ms"] / 1000  # noqa: E731
        timed.pass_time(lambda: abs(known() - jmap.verified()[0].expires) < 2, 60, "the server's time", step=5)
    assert [s.id for s in jmap.verified()] == [first.id]


def test_renewal_that_fails_at_first(timed):
    (jmap,) = timed.servers
    jmap.pusher.lifetime = 3600
    timed.start()
    (first,) = jmap.verified()
    end = first.expires
    jmap.faults.add("PushSubscription/set", error="serverFail", times=2)
    timed.pass_time(lambda: jmap.verified()[0].expires > end + 1800, 3000, "a renewal", step=60)
    assert jmap.faults.list == []
    timed.assert_once()


def test_server_that_is_busy(timed):
    """Too many requests at a time (Stalwart says so with status 400): within minutes, not in an hour."""
    (jmap,) = timed.servers
    busy = b'{"type":"urn:ietf:params:jmap:error:limit","status":400,"limit":"maxConcurrentRequests"}'
    jmap.faults.add("api", status=400, body=busy, times=3, methods=("PushSubscription/set",))
    timed.start(is_verified=False)
    timed.pass_time(lambda: jmap.verified(), 300, "a subscription", step=1)
    assert jmap.faults.list == []
    timed.wait_verified()
    timed.assert_once()


@pytest.mark.parametrize("is_asked", [False, True])
def test_key_that_changes_without_a_word(timed, is_asked):
    """The session has another key, but the same state: seen by the look now and then, or when a test is asked for."""
    (jmap,) = timed.servers
    timed.start()
    (old,) = jmap.verified()
    jmap.rotate_vapid(is_forgetful=False, is_quiet=True)
    timed.assert_once(marker="by the old key")
    assert jmap.verified() == [old]
    if is_asked:
        assert timed.tool("jmap", "test", "work", timeout=120).returncode == 0
    else:
        timed.clock.advance(7 * 3600)
    timed.wait(lambda: [s for s in jmap.verified() if s.vapid is jmap.pusher.vapid], 20, "one with the new key")
    timed.wait(lambda: len(of_login(timed)) == 1, 20, "the old one gone")
    timed.wait_way("push")
    timed.assert_once("by the old key")


def test_forgotten_by_the_server(person):
    """As after a restore from a backup: seen at the next look, and what nobody pushed is shown."""
    (jmap,) = person.servers
    person.start()
    jmap.forget_subscriptions()
    jmap.deliver(ann(person), "nobody told us")
    person.relay.restart()
    person.wait_mail("nobody told us")
    person.wait_verified()
    person.assert_once("nobody told us")
    assert len(of_login(person)) == 1


def test_forgotten_while_the_daemon_was_away(person):
    (jmap,) = person.servers
    person.start()
    person.daemon.stop()
    jmap.forget_subscriptions()
    jmap.deliver(ann(person), "nobody told us")
    person.daemon.start()
    person.wait_verified()
    person.wait_mail("nobody told us")
    person.assert_once("nobody told us")


def test_a_restart_keeps_it(person):
    """No new subscription, no new endpoint, for each start."""
    (jmap,) = person.servers
    person.start()
    (first,) = jmap.verified()
    sets = len(jmap.asked("PushSubscription/set"))
    for number in range(3):
        person.restart() if number % 2 == 0 else (person.daemon.kill(), person.daemon.start())
        person.wait_way("push")
        person.assert_once(marker=f"start {number}")
    assert jmap.verified() == [first]
    assert len(jmap.asked("PushSubscription/set")) - sets <= 3


def fill(jmap, count, device=None):
    for number in range(count):
        identifier = f"old{number}"
        jmap.pusher.subscriptions[identifier] = Subscription(
            identifier, "ann@localhost", device or f"device{number}", "https://push.example/x", None, None,
            time.time() + 86400, "code", is_verified=True,
        )  # fmt: skip


@pytest.mark.parametrize("error", ["forbidden", "overQuota"])
def test_no_room(person, error):
    """Fifteen of other devices: theirs stay, the reason says so, and mail comes by another way."""
    (jmap,) = person.servers
    jmap.limit_error = error
    fill(jmap, 15)
    person.start(is_verified=False)
    status = person.wait_reason("subscription", "too many", "no room")
    assert status["way"] != "push"
    assert len(jmap.pusher.subscriptions) == 15
    person.wait_looked()
    jmap.deliver(ann(person), "in spite of it")
    person.tool("jmap", "test", "work", timeout=90)
    person.wait_mail("in spite of it")
    del jmap.pusher.subscriptions["old3"]
    person.tool("jmap", "test", "work", timeout=90)
    person.wait_verified(LATE)
    assert len(of_login(person)) == 15


def test_old_ones_of_ours_make_room(person):
    """What an earlier life of this device left behind is cleaned up, what others have is not."""
    (jmap,) = person.servers
    person.start()
    (ours,) = jmap.verified()
    device = ours.device
    person.daemon.stop()
    jmap.forget_subscriptions()
    fill(jmap, 3)
    for number in range(12):
        fill_one(jmap, f"mine{number}", device)
    person.daemon.start()
    person.wait_verified(LATE)
    person.wait(lambda: len([s for s in of_login(person) if s.device == device]) == 1, 20, "the old ones gone")
    assert len([s for s in of_login(person) if s.device != device]) == 3
    person.assert_once()


def fill_one(jmap, identifier, device):
    jmap.pusher.subscriptions[identifier] = Subscription(
        identifier, "ann@localhost", device, "https://push.example/x", None, None, time.time() + 86400, "code",
        is_verified=True,
    )  # fmt: skip


def test_server_that_limits_verifications(person):
    """Stalwart: one code a minute for an account; another subscription would only wait longer."""
    (jmap,) = person.servers
    jmap.pusher.verify_gap = 5.0
    person.start()
    assert len(jmap.pushes("PushVerification")) == 1
    person.assert_once()


@pytest.mark.parametrize("where", ["the error", "its description"])
def test_words_of_the_server_reach_the_bus_whole(person, where):
    """A long text is cut between two characters, and no control character is let through: the bus takes nothing else."""
    (jmap,) = person.servers
    words = "a" + "é" * 150 + "\x1b[31m"
    is_error = where == "the error"
    error = {"type": words if is_error else "invalidProperties", "description": "" if is_error else words}
    jmap.twists["PushSubscription/set"] = lambda arguments, answer: {
        **answer, "created": None, "notCreated": {key: error for key in arguments.get("create") or {}},
    }  # fmt: skip
    person.start(is_verified=False)
    reason = person.wait_reason("aéééé")["reason"]
    assert "refuses another push subscription" in reason and "\x1b" not in reason and len(reason) < 200, reason
    jmap.twists.clear()
    jmap.faults.add("PushSubscription/set", error=words, times=-1)
    person.tool("jmap", "test", "work", timeout=90)
    reason = person.wait_reason("answers PushSubscription/set with aéééé")["reason"]
    assert "\x1b" not in reason and len(reason) < 200, reason
    jmap.faults.clear()
    person.tool("jmap", "test", "work", timeout=90)
    person.wait_verified()
