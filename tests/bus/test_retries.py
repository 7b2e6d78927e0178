# SPDX-License-Identifier: Apache-2.0
"""When an app that does not take its messages is tried again, and which of them it still gets then."""

import time

import pytest
from harness.process import wait_until
from session import SUCCEEDED

SERVICE = "org.example.App"
MINUTE, HOUR = 60, 3600
SLACK = 31  # what a long wait may last longer


def attempts(daemon):
    return daemon.process.log().count(f"call failed service={SERVICE} ")


def wait_attempts(daemon, count):
    wait_until(lambda: attempts(daemon) >= count, 20, f"attempt {count}, not {attempts(daemon)}")
    assert attempts(daemon) == count


def check_schedule(daemon, clock, caller, delays):
    """Each delay is kept: nothing in its first half, and an attempt at its end."""
    wait_attempts(daemon, 1)
    for count, delay in enumerate(delays, 1):
        begin = time.monotonic()
        if delay >= MINUTE:  # a slow machine makes nothing of it
            clock.advance(delay / 2)
            caller.introspect()
            assert attempts(daemon) == count, f"too early, before {delay} s"
        clock.advance(max(0, delay - delay / 2 * (delay >= MINUTE) - (time.monotonic() - begin)))
        clock.advance(SLACK if delay >= MINUTE else 0.3)
        wait_attempts(daemon, count + 1)


def test_an_app_that_exports_nothing(timed_daemon, clock, caller, session):
    session.app(SERVICE, unexported=True).start()
    other = session.app("org.example.Other").start()
    assert caller.register(SERVICE, "token") == SUCCEEDED
    check_schedule(timed_daemon, clock, caller, [2, 10, MINUTE, 5 * MINUTE, 30 * MINUTE, 6 * HOUR, 6 * HOUR])
    assert caller.register("org.example.Other", "other") == SUCCEEDED
    other.wait("NewEndpoint")


def test_an_app_that_is_not_there(timed_daemon, clock, caller):
    assert caller.register(SERVICE, "token") == SUCCEEDED
    check_schedule(timed_daemon, clock, caller, [MINUTE, 5 * MINUTE, 30 * MINUTE, 6 * HOUR, 6 * HOUR])


def texts(app, count):
    return [bytes.fromhex(event["message"]).decode() for event in app.wait("Message", count)]


@pytest.mark.parametrize("restarts", [False, True])
def test_what_is_out_of_date_is_not_delivered(absent, clock, caller, session, restarts):
    """Its time is the one that passes, asleep too, and not what somebody sets the clock to."""
    absent.push(absent.endpoint, b"short", ttl=MINUTE)
    absent.push(absent.endpoint, b"long", ttl=6 * HOUR)
    absent.wait_acknowledged(2)
    clock.set_wall(-365 * 24 * HOUR)
    clock.sleep(30)
    if restarts:
        absent.stop()
        clock.pass_unwatched(HOUR)
        absent.start()
    else:
        clock.advance(HOUR)
    absent.push(absent.endpoint, b"new")
    absent.wait_acknowledged(3)
    late = session.app(SERVICE).start()
    assert texts(late, 2) == ["long", "new"]
    assert absent.status()["expired"] == 1
    assert absent.status()["waiting"] == 0


def test_a_clock_that_is_set_ahead_costs_nothing(absent, clock, session):
    absent.push(absent.endpoint, b"short", ttl=MINUTE)
    absent.wait_acknowledged(1)
    clock.set_wall(365 * 24 * HOUR)
    assert texts(session.app(SERVICE).start(), 1) == ["short"]


def test_a_newer_message_of_the_topic_is_enough(absent, session):
    for number, topic in enumerate(["inbox", "other", "inbox", "", "inbox", ""]):
        absent.push(absent.endpoint, b"%d" % number, **({"topic": topic} if topic else {}))
        absent.wait_acknowledged_only(number + 1)
    assert absent.status()["waiting"] == 4
    assert texts(session.app(SERVICE).start(), 4) == ["1", "3", "4", "5"]
    absent.wait_acknowledged(6)


def test_eight_calls_to_one_service_at_a_time(daemon, caller, session):
    """One a token; what is beyond waits, and so does nobody else. NewEndpoint is no exception, the reply to Register is."""
    app = session.app(SERVICE, behaviour="hang").start()
    other = session.app("org.example.Other").start()
    tokens = [f"token{i}" for i in range(12)]
    for token in tokens:
        assert caller.register(SERVICE, token) == SUCCEEDED
    assert caller.register("org.example.Other", "other") == SUCCEEDED
    for event in app.wait("NewEndpoint", 12):
        daemon.push(event["endpoint"], event["token"].encode())
        daemon.push(event["endpoint"], b"second")
    daemon.push(other.wait("NewEndpoint")[0]["endpoint"])
    other.wait("Message")
    app.wait("Message", 8)
    before = time.monotonic()
    assert caller.register(SERVICE, "token0") == SUCCEEDED
    assert time.monotonic() - before < 5
    assert len({event["token"] for event in app.events("Message")}) == len(app.events("Message")) == 8
