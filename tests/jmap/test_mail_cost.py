# SPDX-License-Identifier: Apache-2.0
"""What it costs: one look a window in a flood, nothing at all when nothing happens."""

import time

import pytest
from mail import count_for


def ann(person):
    return person.servers[0].logins["ann@localhost"]


@pytest.fixture
def started(person):
    person.start()
    return person


def flood(person, count):
    """So many StateChanges, each with another state; returns how long the posts took."""
    (jmap,) = person.servers
    mail = jmap.deliver(ann(person), "the touched one")
    person.wait_mail("the touched one")
    begin = time.monotonic()
    for number in range(count):
        jmap.change(ann(person), mail, keywords={"$flagged": number % 2 == 0})
    jmap.wait_pushes(count + 1, timeout=120)
    return begin, time.monotonic()


def test_flood(started):
    """A thousand: at most a request each 300 ms, and the last state is the one that is known in the end."""
    (jmap,), (login,) = started.servers, started.logins
    begin, end = flood(started, 1000)
    started.wait(lambda: started.relay.metrics()["bellwire_messages_queued"] == 0, 60, "all taken")
    started.assert_once("the touched one")
    requests = jmap.asked("Email/changes", begin)
    took = requests[-1].at - begin
    began = sorted(push.began for push in jmap.pushes())
    stalls = sum(later - sooner > 0.25 for sooner, later in zip(began, began[1:]))  # each of them may end a window
    assert len(requests) <= took / 0.3 + 3, (len(requests), took)
    dense = took / 3 + 5 + stalls
    assert len(requests) <= dense or end - begin > 120, (len(requests), took, stalls, "windows of 3 s in a dense flood")
    assert len(login.runs()) <= len(requests) + 1
    assert started.memory_kib("VmRSS") < 400 * 1024


def test_session_that_never_settles(person):
    """Each answer tells another state of it: that alone makes nobody ask again."""
    (jmap,) = person.servers
    jmap.is_settled = False
    person.start()
    person.assert_once()
    assert len([r for r in jmap.requests if r.path == jmap.session_path]) <= 4
    assert count_for(3, lambda: len(jmap.requests)) <= 2


def test_flood_of_garbage(started):
    """Pushes that say nothing lead to no requests."""
    (jmap,) = started.servers
    (subscription,) = jmap.verified()
    since = time.monotonic()
    known = ann(started).own.states(("Mailbox", "EmailDelivery"))
    for number in range(300):
        jmap.pusher.post_later(subscription.id, {"@type": "Something", "number": number})
        jmap.pusher.post_later(subscription.id, {"@type": "StateChange", "changed": {"a1": known}})
    started.wait(lambda: len(jmap.pushes("Something")) == 300 and len(jmap.pushes()) == 300, 120, "posts")
    started.wait(lambda: started.relay.metrics()["bellwire_messages_queued"] == 0, 60, "all taken")
    assert len(jmap.asked(since=since)) <= 2, [r.calls for r in jmap.asked(since=since)]
    started.assert_once()


def test_idle(started):
    """No request, no wake-up, no child process."""
    (jmap,), (login,) = started.servers, started.logins
    started.assert_once()
    started.wait(lambda: started.status()["again_ms"] != 0, 5, "rest")
    login.runs(1)
    started.wait(lambda: quiet(started), 30, "ten seconds of quiet")


def quiet(person):
    """Whether in a span of time nothing happened at all."""
    (jmap,) = person.servers
    requests = len(jmap.requests)
    wakes = count_for(6, person.wake_ups)
    assert len(jmap.requests) == requests, jmap.requests[-1].calls
    return wakes <= 2


def test_idle_connection_is_closed_or_silent(started):
    """The server ends idle connections: that costs no new one."""
    (jmap,) = started.servers
    started.assert_once()
    requests = len(jmap.requests)
    jmap.close_connections()
    assert count_for(3, lambda: len(jmap.requests)) == 0 and len(jmap.requests) == requests
    started.assert_once(marker="on a fresh connection")
