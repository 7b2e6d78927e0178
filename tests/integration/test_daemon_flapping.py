# SPDX-License-Identifier: Apache-2.0
"""A network that comes and goes each 300 ms for ten seconds: few attempts meanwhile, back within a second, nothing lost."""

import itertools
import statistics
import time

from harness.household import now

PERIOD, DURATION = 0.3, 10


def cable(laptop):
    return (lambda: laptop.router.ip("link set gw0 down")), (lambda: laptop.router.ip("link set gw0 up"))


def lease(laptop):
    return laptop.unplug, laptop.plug


def two_networks(laptop):
    """One of them is always there."""
    return (lambda: (laptop.unplug(0), laptop.plug(1))), (lambda: (laptop.unplug(1), laptop.plug(0)))


def other_address(laptop):
    hosts = itertools.cycle(range(20, 60))
    return laptop.unplug, (lambda: laptop.plug(host=next(hosts)))


def flap(household, go, come):
    """Ten seconds of it. How many attempts were made, and how soon afterwards all was there."""
    daemon, attempts, begin = household.daemon, household.daemon.attempts(), now()
    while now() - begin < DURATION:
        go()
        daemon.post()
        time.sleep(PERIOD)
        come()
        time.sleep(PERIOD)
    go()
    text = daemon.post()
    time.sleep(PERIOD)
    during = daemon.attempts() - attempts
    begin = now()
    come()
    daemon.wait_got(text, 30)
    daemon.wait_drained(30)
    return during, now() - begin


def test_flapping(start_household, capsys):
    household = start_household(has_clock=True)
    daemon, took = household.daemon, []
    for kind in (cable, lease, two_networks, other_address):
        attempts = daemon.attempts()
        during, back = flap(household, *kind(household.laptop))
        with capsys.disabled():
            print(f"{back:.3f} s  until it was back, {during} attempts before: {kind.__name__}")
        daemon.wait_up()
        household.settle()
        household.check()
        assert daemon.got() == [f"message {n}" for n in range(1, daemon.sent + 1)]
        assert during <= 6
        assert daemon.attempts() - attempts - during <= 2
        took.append(back)
        household.clock.advance(61)  # calm again
    assert statistics.median(took) < 1, took
    assert max(took) < 3, took
