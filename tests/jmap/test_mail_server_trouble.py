# SPDX-License-Identifier: Apache-2.0
"""A mail server that is slow, broken, busy or hostile: every mail is shown once in the end, and the daemon stays small."""

import time

import pytest

LATE = 60  # an answer that failed is asked for again after a few seconds, with jitter


def ann(person):
    return person.servers[0].logins["ann@localhost"]


@pytest.fixture
def started(person):
    person.start()
    return person


def assert_recovers(person, subject="after trouble", timeout=LATE):
    (jmap,) = person.servers
    jmap.deliver(ann(person), subject)
    person.wait_mail(subject, timeout)
    assert jmap.faults.list == []
    person.assert_once(subject)
    assert person.status()["reason"] == ""
    assert person.trouble() == []  # nothing that a person could do something about


def test_retry_after_is_heeded(started):
    (jmap,) = started.servers
    jmap.faults.add("api", status=429, retry_after="3")
    since = time.monotonic()
    jmap.deliver(ann(started), "busy")
    first = jmap.wait_asked("Email/changes", 1, since)[0]
    for _ in range(5):  # more pushes do not shorten it
        jmap.deliver(ann(started), "meanwhile", is_quiet=True)
        jmap.announce(ann(started).own, ("EmailDelivery",))
    second = jmap.wait_asked("Email/changes", 2, since, LATE)[1]
    assert second.at - first.at - first.took >= 2.9, "it came too early"
    started.desktop.wait("6", timeout=LATE)  # a summary of six
    assert len(jmap.asked("Email/changes", since)) <= 4


def test_retry_after_an_hour(start_person):
    person = start_person(has_clock=True)
    (jmap,) = [person.server()]
    person.login()
    person.start()
    jmap.faults.add("api", status=503, retry_after="3600")
    since = time.monotonic()
    jmap.deliver(ann(person), "in an hour")
    person.wait(lambda: 3000000 < person.status()["again_ms"] <= 3600000, 20, "patience")
    for _ in range(5):
        person.clock.advance(600)
        jmap.announce(ann(person).own, ("EmailDelivery",))
        person.status()
    assert len(jmap.asked("Email/changes", since)) == 1
    person.clock.advance(2000)
    person.wait_mail("in an hour")
    person.assert_once("in an hour")


@pytest.mark.parametrize("value", ["-5", "soon", "Fri, 31 Dec 1999 23:59:59 GMT", "99999999999999999999"])
def test_odd_retry_after(started, value):
    """Nonsense does not stop mail for ever, nor lead to hammering."""
    (jmap,) = started.servers
    jmap.faults.add("api", status=503, retry_after=value, times=2)
    since = time.monotonic()
    jmap.deliver(ann(started), "odd")
    if value.startswith("9999"):
        jmap.wait_asked("Email/changes", 1, since)
        started.wait(lambda: started.status()["again_ms"] > 0, 20, "a next attempt")
        assert started.status()["again_ms"] <= 24 * 3600 * 1000
        return
    started.wait_mail("odd", LATE)
    assert len(jmap.asked("Email/changes", since)) <= 4


@pytest.mark.parametrize("status", [400, 404, 413])
def test_refused_request(started, status):
    """Asking the same again would not help; the next push is another chance, and nothing was lost."""
    (jmap,) = started.servers
    jmap.faults.add("api", status=status, times=2)
    since = time.monotonic()
    jmap.deliver(ann(started), "refused")
    started.wait(lambda: jmap.asked("Email/changes", since), 20, "a request")
    started.wait(lambda: started.status()["reason"] or started.desktop.about("refused"), 20, "an outcome")
    jmap.faults.clear()
    assert_recovers(started)
    started.wait_mail("refused")
    assert len(jmap.asked("Email/changes", since)) <= 8


@pytest.mark.parametrize("status", [500, 502, 503, 504, 204, 302])
def test_bad_status(started, status):
    (jmap,) = started.servers
    jmap.faults.add("api", status=status, times=2)
    since = time.monotonic()
    assert_recovers(started)
    requests = jmap.asked("Email/changes", since)
    assert len(requests) <= 6, [(r.at, r.status) for r in requests]


BODIES = {
    "blank": b" ",
    "cut": b'{"methodResponses":[["Email/changes",{"acc',
    "html": b"<html><body>captive portal</body></html>",
    "null": b"null",
    "array": b"[]",
    "no responses": b'{"sessionState":"session1"}',
    "odd responses": b'{"methodResponses":[1,[],["Email/changes"],["a","b","c"],[{},{},{}]],"sessionState":1}',
    "other ids": b'{"methodResponses":[["Email/changes",{},"999"]],"sessionState":"session1"}',
    "deep": b"[" * 100000,
    "bad utf-8": b'{"methodResponses":[["\xff\xfe",{},"0"]]}',
    "nul": b'{"methodResponses":[["Email/changes",{"accountId":"a\\u0000b"},"0"]]}',
}


@pytest.mark.parametrize("name", BODIES)
def test_malformed_answer(started, name):
    (jmap,) = started.servers
    jmap.faults.add("api", body=BODIES[name])
    assert_recovers(started)
