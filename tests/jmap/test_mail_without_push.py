# SPDX-License-Identifier: Apache-2.0
"""Servers that cannot push: a stream of events on mains or when asked for, else a look every 15 minutes; status says why."""

import time
import urllib.parse

import pytest
from harness.power import set_upower, start_upower

LATE = 60


def ann(person):
    return person.servers[0].logins["ann@localhost"]


@pytest.fixture
def start_without(start_person, system_bus):
    """A person at a server without PushSubscription, on mains or on battery."""

    def start(stream=None, on_battery=False, has_events=True, has_clock=False):
        start_upower(system_bus, on_battery=on_battery)
        person = start_person(system_bus=system_bus, has_clock=has_clock)
        jmap = person.server()
        jmap.has_push, jmap.has_events = False, has_events
        person.login(stream=stream)
        person.start(is_verified=False)
        person.wait_looked()
        return person

    return start


def test_stream(start_without):
    """On mains: mail comes within moments, with the longest pings, and again after the stream has ended."""
    person = start_without("mains")
    (jmap,), (login,) = person.servers, person.logins
    status = person.wait_way("stream")
    assert "push" in status["reason"].lower(), status
    person.wait(lambda: len(jmap.streams) == 1, 20, "a stream")
    jmap.deliver(ann(person), "streamed")
    person.wait_mail("streamed")
    assert login.runs(1)[0]["reason"] == "stream"
    query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(events(jmap)[0].path).query))
    assert set(query["types"].split(",")) >= {"EmailDelivery", "Mailbox"} and query["closeafter"] == "no"
    assert int(query["ping"]) >= 300
    jmap.close_streams()
    jmap.deliver(ann(person), "in between")
    person.wait_mail("in between", LATE)
    person.wait(lambda: len(jmap.streams) == 1, LATE, "a stream again")
    jmap.deliver(ann(person), "anew")
    person.wait_mail("anew")
    person.assert_once("streamed", "in between", "anew")
    assert not jmap.pusher.subscriptions and len(events(jmap)) <= 4


def events(jmap):
    return [request for request in list(jmap.requests) if request.path.startswith("/events")]


def test_stream_resumes_where_it_was(start_without):
    person = start_without("always")
    (jmap,) = person.servers
    person.wait(lambda: jmap.streams, 20, "a stream")
    jmap.deliver(ann(person), "first")
    person.wait_mail("first")
    jmap.stop_listening()
    jmap.close_streams()
    jmap.deliver(ann(person), "nobody heard")
    jmap.listen_again()
    person.wait_mail("nobody heard", LATE)
    person.wait(lambda: jmap.streams, LATE, "a stream again")
    assert events(jmap)[-1].headers.get("Last-Event-ID") == "1"
    person.assert_once("first", "nobody heard")


def test_mains_comes_and_goes(start_without, system_bus):
    """On battery a look now and then; with the plug in, the stream."""
    person = start_without(None, on_battery=True, has_clock=True)
    (jmap,) = person.servers
    status = person.wait_reason("battery", "mains")
    assert status["way"] == "poll", status
    person.wait(lambda: not jmap.streams, 20, "no stream")  # one of before UPower had answered ends
    assert 0 < status["again_ms"] <= 15 * 60 * 1000 + 60000
    set_upower(system_bus, on_battery=False)
    person.wait_way("stream")
    person.wait(lambda: jmap.streams, 20, "a stream")
    jmap.deliver(ann(person), "with the plug in")
    person.wait_mail("with the plug in")
    set_upower(system_bus, on_battery=True)
    person.pass_time(lambda: person.status()["way"] == "poll", 120, "the way poll", step=10)  # a plug may be loose
    person.wait(lambda: not jmap.streams, 20, "no stream")


def test_always(start_without):
    person = start_without("always", on_battery=True)
    person.wait_way("stream")
    (jmap,) = person.servers
    person.wait(lambda: jmap.streams, 20, "a stream")
    person.assert_once()


def test_never(start_without):
    """What is there is found by looking every fifteen minutes, also when asked to look now."""
    person = start_without("never", has_clock=True)
    (jmap,), (login,) = person.servers, person.logins
    status = person.wait_way("poll")
    assert 14 * 60 * 1000 < status["again_ms"] <= 16 * 60 * 1000, status
    jmap.deliver(ann(person), "to be looked for")
    person.tool("jmap", "test", "work")
    person.wait_mail("to be looked for")
    assert not events(jmap)
    assert login.runs(1)[0]["reason"] == "asked"
    for number in range(3):
        jmap.deliver(ann(person), f"quarter {number}.")
        person.clock.advance(17 * 60)
        person.wait_mail(f"quarter {number}.")
        assert login.runs(number + 2)[-1]["reason"] == "poll"
    assert not events(jmap) and len(jmap.asked("Email/changes")) <= 6


def test_silent_stream(start_without):
    """The connection is dead and nobody says so: the missing ping tells."""
    person = start_without("always", has_clock=True)
    (jmap,) = person.servers
    person.wait(lambda: jmap.streams, 20, "a stream")
    person.wait_way("stream")
    (dead,) = jmap.streams
    dead.is_deaf = True
    jmap.deliver(ann(person), "into silence")
    person.clock.advance(3700)
    person.wait_mail("into silence", LATE)
    person.wait(lambda: [s for s in jmap.streams if s is not dead], LATE, "a fresh stream")
    jmap.deliver(ann(person), "heard again")
    person.wait_mail("heard again")
    person.assert_once("into silence", "heard again")


def move_stream(jmap):
    """The session names another URL of it."""
    session = jmap.session_object
    jmap.session_object = lambda login: {**session(login), "eventSourceUrl": session(login)["eventSourceUrl"] + "&moved=1"}
    jmap.change_session()


def test_session_that_changes(start_without):
    """The stream stays open, unless its URL is another."""
    person = start_without("always")
    (jmap,) = person.servers
    person.wait(lambda: jmap.streams, 20, "a stream")
    jmap.change_session()
    person.assert_once(marker="of a changed session")
    person.wait(lambda: sum(r.path == jmap.session_path for r in jmap.requests) == 2, 20, "a look at it")
    person.assert_once(marker="and again")
    assert len(events(jmap)) == 1
    move_stream(jmap)
    assert person.tool("jmap", "test", "work").returncode == 0
    person.wait(lambda: any("moved=1" in r.path for r in events(jmap)), 20, "the other stream")
    person.wait(lambda: len(jmap.streams) == 1, 20, "one stream")
    person.assert_once("of a changed session")


def test_login_that_takes_long(start_without):
    """The stream is refused, and whoever knows the password is slower than any connection may be."""
    person = start_without("always", has_clock=True)
    (jmap,), (login,) = person.servers, person.logins
    person.wait(lambda: jmap.streams, 20, "a stream")
    person.wait_way("stream")
    gate = person.directory / "typed"
    login.script.write_text(f"#!/bin/sh\necho >>{login.asked}\nwhile ! test -e {gate}; do sleep 0.05; done\ncat {login.file}\n")
    asked = login.password_was_asked()
    login.set_password("other")
    move_stream(jmap)
    jmap.faults.add("events", status=401)
    jmap.faults.add("api", status=401, methods=("Core/echo",))
    jmap.deliver(ann(person), "tells of another stream")
    person.wait(lambda: login.password_was_asked() > asked, 20, "the question")
    person.wait_mail("tells of another stream")
    person.rest()  # the question alone waits
    ann(person).password = "other"
    count = len(events(jmap))
    person.clock.advance(40)  # of the 60 s that a command has
    assert person.tool("status").returncode == 0
    gate.touch()
    person.pass_time(lambda: len(events(jmap)) > count, 300, "a stream again", step=5)
    person.wait_way("stream")
    jmap.deliver(ann(person), "logged in again")
    person.wait_mail("logged in again")
    person.assert_once("tells of another stream", "logged in again")


def test_neither_push_nor_events(start_without):
    person = start_without("always", has_events=False)
    (jmap,) = person.servers
    status = person.wait_way("poll")
    assert status["reason"] and status["again_ms"] > 0, status
    jmap.deliver(ann(person), "to be looked for")
    person.tool("jmap", "test", "work")
    person.wait_mail("to be looked for")
    assert len(events(jmap)) <= 4


def test_push_comes_with_an_update(start_without):
    """The operator updates the server: the next look finds that it can push now."""
    person = start_without("always")
    (jmap,) = person.servers
    person.wait_way("stream")
    jmap.has_push = True
    jmap.change_session()
    person.wait(lambda: jmap.streams, 20, "a stream")
    jmap.deliver(ann(person), "news")
    person.wait_mail("news")
    person.wait_verified(LATE)
    person.wait(lambda: not jmap.streams, 20, "no stream beside the push")
    person.assert_once("news")


def test_garbage_in_the_stream(start_without):
    """What is no StateChange is passed over; an endless line ends the connection, not the daemon."""
    person = start_without("always")
    (jmap,) = person.servers
    person.wait(lambda: jmap.streams, 20, "a stream")
    for thing in ({}, [], None, {"@type": "Other"}, {"@type": "StateChange"}, {"@type": "StateChange", "changed": 5},
                  {"@type": "StateChange", "changed": {"a1": 7, "": {}, "zz": {"Email": None}}}):  # fmt: skip
        jmap.streams[0].queue.put((7, thing))
    jmap.deliver(ann(person), "between garbage")
    person.wait_mail("between garbage")
    person.reset_peak()
    before = person.memory_kib()
    jmap.streams[0].queue.put((8, {"@type": "StateChange", "changed": {"a1": {"Email": "x" * (32 << 20)}}}))
    begin = time.monotonic()
    person.wait(lambda: len(events(jmap)) >= 2 and jmap.streams, LATE, "a fresh stream")
    jmap.deliver(ann(person), "behind the mountain")
    person.wait_mail("behind the mountain", LATE)
    assert person.memory_kib() - before < 32 * 1024 and time.monotonic() - begin < LATE
    person.assert_once("between garbage", "behind the mountain")
