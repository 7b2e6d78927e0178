# SPDX-License-Identifier: Apache-2.0
"""A line that loses packets or stalls: nothing is lost, nothing comes twice, and nobody reconnects for it."""

import signal

import pytest
from harness.household import now


@pytest.fixture
def household(start_household):
    return start_household(has_line=True)


def hint(laptop, metric):
    """A default route that is no better: reason enough to ask whether the relay is there."""
    laptop.ip(f"route add default via 10.0.0.9 dev eth0 metric {metric}")


def check_calm(household):
    daemon = household.daemon
    assert daemon.got() == [f"message {n}" for n in range(1, daemon.sent + 1)]
    assert daemon.sessions() == 1 and daemon.attempts() == 1, daemon.process.log()[-6000:]


def test_two_in_a_hundred_packets_lost(household):
    """150 messages, each of some packets with its acknowledgement."""
    daemon, line = household.daemon, household.line
    line.loss = 0.02
    for number in range(150):
        text = daemon.post()
        if number % 10 == 9:
            daemon.wait_got(text, 60)
    daemon.wait_drained(60)
    assert line.lost >= 3, (line.lost, line.passed)
    check_calm(household)


def test_one_in_five_lost(household):
    daemon, line = household.daemon, household.line
    line.loss = 0.2
    for _ in range(10):
        daemon.wait_got(daemon.post(), 60)
    line.loss = 0
    daemon.wait_drained(60)
    check_calm(household)


def test_stalls_of_a_second(household):
    """Also while a hint has made it ask whether the relay is there."""
    laptop, daemon, line = household.laptop, household.daemon, household.line
    household.settle()
    for metric in (900, 901, 902):
        line.stall()
        begin = now()
        hint(laptop, metric)
        texts = [daemon.post() for _ in range(5)]
        daemon.wait(lambda: now() - begin >= 1.0, 5, "the end of the stall")
        line.go_on()
        daemon.wait_got(texts[-1], 30)
        daemon.wait_drained(30)
        household.settle()  # nothing of ours is on the line when it stalls again
    check_calm(household)


def test_answer_that_comes_late(household):
    """After 5 s another connection is tried; the old one that speaks first is kept, and the other given up."""
    laptop, daemon, line = household.laptop, household.daemon, household.line
    household.settle()
    line.stall()
    hint(laptop, 900)
    daemon.wait(lambda: daemon.state() == "opening", 20, "an attempt beside it")
    text = daemon.post()
    line.go_on()
    daemon.wait_got(text)
    daemon.wait_up()
    household.settle()
    household.check()
    assert daemon.sessions() == 1 and daemon.attempts() == 2
    assert daemon.got() == [f"message {n}" for n in range(1, daemon.sent + 1)]


def test_relay_that_is_slow_rather_than_dead(start_household):
    """Once it took 4 s to answer, it has half a minute the next time."""
    household = start_household(has_line=True, has_clock=True, has_bus=True)
    laptop, daemon, relay, line = household.laptop, household.daemon, household.relay, household.line
    household.settle()
    beat = daemon.report()["heartbeat_ms"] / 1000
    for ask, seconds in ((lambda: household.clock.advance(beat), 4),  # has 10 s
                         (lambda: hint(laptop, 900), 20), (lambda: hint(laptop, 901), 25)):
        relay.process.signal(signal.SIGSTOP)
        said = line.said
        ask()
        daemon.wait(lambda: line.said > said, 20, "a ping")
        household.clock.advance(seconds)
        relay.process.signal(signal.SIGCONT)
        daemon.wait(lambda: daemon.report()["round_trip_ms"] >= seconds * 1000, 20, "the answer")
        household.settle()
    assert daemon.sessions() == 1 and daemon.attempts() == 1
    household.check()
