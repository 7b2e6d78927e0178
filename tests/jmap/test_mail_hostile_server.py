# SPDX-License-Identifier: Apache-2.0
"""A JMAP server that means ill or is full of faults: bounded memory, bounded requests, the next good answer is taken."""

import time

import pytest
from mail import count_for

LATE = 60
MIB = 1024
GROWTH = 48 * MIB  # KiB; a cap of ten megabytes, what the parser makes of it, and what sanitizers add


def ann(person):
    return person.servers[0].logins["ann@localhost"]


@pytest.fixture
def started(person):
    person.start()
    return person


@pytest.mark.parametrize("where", ["api", "session"])
def test_huge_answer(started, where):
    (jmap,) = started.servers
    started.reset_peak()
    before = started.memory_kib()
    jmap.faults.add(where, huge=200 << 20)
    if where == "session":
        jmap.change_session()
    jmap.deliver(ann(started), "behind a mountain")
    started.wait_mail("behind a mountain", LATE)
    started.wait(lambda: jmap.faults.list == [], LATE, "the fault taken")
    started.assert_once("behind a mountain")
    assert started.memory_kib() - before < GROWTH


def test_connection_that_ends_in_the_middle(started):
    (jmap,) = started.servers
    jmap.faults.add("api", cut=True, times=2)
    jmap.deliver(ann(started), "cut")
    started.wait_mail("cut", LATE)
    started.assert_once("cut")


def test_slow_answer(started):
    """Nothing else waits for it: the bus answers, and the second mail comes with the first."""
    (jmap,) = started.servers
    jmap.faults.add("api", delay=15)
    jmap.deliver(ann(started), "slowly")
    jmap.deliver(ann(started), "and surely")
    begin = time.monotonic()
    started.call("Status")
    assert time.monotonic() - begin < 10
    started.wait_mail("slowly", LATE)
    started.wait_mail("and surely", LATE)
    started.assert_once("slowly", "and surely")


def test_changes_without_end(started):
    """hasMoreChanges for ever, with a new state each time, or with the same one."""
    (jmap,) = started.servers
    for is_same in (False, True):
        pages = []

        def endless(arguments, answer):
            pages.append(1)
            state = arguments["sinceState"] if is_same else f"{arguments['sinceState']}x"
            return {**answer, "hasMoreChanges": True, "newState": state, "created": [], "updated": [], "destroyed": []}

        jmap.twists["Email/changes"] = endless
        since = time.monotonic()
        jmap.deliver(ann(started), "endless")
        jmap.wait_asked("Email/changes", 1, since)
        assert count_for(4, lambda: len(pages)) <= 400
        jmap.twists.clear()
        subject = f"the end {is_same}"
        jmap.deliver(ann(started), subject)
        started.wait_mail(subject, LATE)


def twisted(value):
    return lambda arguments, answer: value


ODD = {
    "no lists": ("Email/changes", lambda a, r: {k: v for k, v in r.items() if k not in ("created", "updated", "destroyed")}),
    "lists of numbers": ("Email/changes", lambda a, r: {**r, "created": [1, None, {}, []]}),
    "no state": ("Email/changes", lambda a, r: {k: v for k, v in r.items() if k != "newState"}),
    "state is a number": ("Email/changes", lambda a, r: {**r, "newState": 5}),
    "other account": ("Email/changes", lambda a, r: {**r, "accountId": "somebody"}),
    "a list": ("Email/changes", twisted([])),
    "null": ("Email/changes", twisted(None)),
    "a string": ("Email/get", twisted("hello")),
    "list of null": ("Email/get", lambda a, r: {**r, "list": [None, 3, [], "x", {}]}),
    "ids not asked for": ("Email/get", lambda a, r: {**r, "list": [{**e, "id": "evil"} for e in r["list"]]}),
    "everything null": ("Email/get", lambda a, r: {**r, "list": [dict.fromkeys(e) | {"id": e["id"]} for e in r["list"]]}),
    "everything a list": ("Email/get", lambda a, r: {**r, "list": [{k: [] for k in e} | {"id": e["id"]} for e in r["list"]]}),
    "twice the same": ("Email/get", lambda a, r: {**r, "list": r["list"] * 3}),
    "huge id": ("Email/changes", lambda a, r: {**r, "created": ["e" * 300000]}),
    "many ids": ("Email/changes", lambda a, r: {**r, "created": [f"x{i}" for i in range(20000)]}),
    "mailboxes null": ("Mailbox/get", twisted(None)),
    "mailboxes odd": ("Mailbox/get", lambda a, r: {**r, "list": [{"id": 3, "name": None, "role": []}, None]}),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_answer(started, name):
    """One odd answer; whatever was made of it, later mail is shown, and nothing is shown twice."""
    (jmap,) = started.servers
    method, twist = ODD[name]
    taken = []

    def once(arguments, answer):
        if taken:
            return answer
        taken.append(1)
        return twist(arguments, answer)

    jmap.twists[method] = once
    jmap.deliver(ann(started), "the odd one")
    if method != "Mailbox/get":  # which is not asked each time
        started.wait(lambda: taken, LATE, "the odd answer asked for")
    jmap.deliver(ann(started), "a straight one")
    started.wait_mail("a straight one", LATE)
    jmap.deliver(ann(started), "and another")
    started.wait_mail("and another", LATE)
    assert len(started.desktop.about("the odd one")) <= 1
    assert len(started.desktop.about("a straight one")) == 1


def test_server_that_goes_and_comes_back(started):
    """Refused connections: tried again with growing pauses, and at once when it is asked for."""
    (jmap,), (login,) = started.servers, started.logins
    jmap.stop_listening()
    jmap.deliver(ann(started), "while it was away")
    started.wait_reason("refused", "unreachable", "cannot be reached", "connect")
    started.wait(lambda: 0 < started.status()["again_ms"] <= 15 * 60 * 1000, 20, "patience")
    jmap.listen_again()
    started.wait_mail("while it was away", LATE)
    started.assert_once("while it was away")
    login.runs(1)


def test_session_that_changes(started):
    """Another state, and the API elsewhere; what was known is not used any more."""
    (jmap,) = started.servers
    jmap.move_api("/elsewhere/api")
    jmap.deliver(ann(started), "moved")
    started.wait_mail("moved", LATE)
    jmap.change_session()
    since = time.monotonic()
    jmap.deliver(ann(started), "only changed")
    started.wait_mail("only changed", LATE)
    started.wait(lambda: [r for r in jmap.requests if r.path == jmap.session_path and r.at > since], 20, "a fresh session")
    started.assert_once("moved", "only changed")
    assert len(jmap.verified()) == 1
    assert len([r for r in jmap.requests if r.path == jmap.session_path]) <= 5


def test_login_page_of_a_network(start_person):
    """Nothing is what it seems, then it is: with the relay the mail is back, whenever its next attempt would have been."""
    person = start_person(has_clock=True)
    jmap = person.server()
    person.login()
    jmap.faults.add("session", body=b"<html>log in</html>", times=-1)
    person.relay.stop()
    person.start(is_verified=False)
    person.wait_reason("no JMAP session")
    person.pass_time(lambda: person.status()["again_ms"] > 90 * 1000, 3600, "patience", step=20)
    assert person.status()["again_ms"] <= 300 * 1000 and person.trouble() == []
    jmap.faults.clear()
    person.relay.start()
    person.tool("reconnect")
    person.wait_verified()
    person.assert_once()


@pytest.mark.parametrize("text", [b"{}", b"[]", b"null", b'{"capabilities":{}}', b"<html>", b"{" * 50000])
def test_session_that_is_none(person, text):
    """From the start: the reason names it, and it is asked for again."""
    (jmap,) = person.servers
    jmap.faults.add("session", body=text, times=-1)
    person.start(is_verified=False)
    person.wait(lambda: person.status()["reason"], 20, "a reason")
    assert person.status()["way"] == "none"
    jmap.faults.clear()
    assert person.tool("jmap", "test", "work").returncode == 0
    person.wait_verified()
