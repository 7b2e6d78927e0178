# SPDX-License-Identifier: Apache-2.0
"""Everything is swallowed, and nobody tells: with something of ours on its way, the daemon knows within 25 s."""

from harness.household import now

PROMISE = 25


def await_death(daemon, since, capsys):
    daemon.wait(lambda: daemon.state() != "up", PROMISE + 15, "a link that is known to be dead")
    took = now() - since
    with capsys.disabled():
        print(f"{took:.1f} s  until the silence was noticed")
    assert took < PROMISE
    return took


def revive(household, text):
    """The line works again, untold: the daemon finds that out by itself, and has everything once."""
    daemon = household.daemon
    household.line.is_silent = household.line.is_silent_outward = False
    daemon.wait_got(text, 60)
    daemon.wait_up(60)
    household.check()
    assert daemon.got() == [f"message {n}" for n in range(1, daemon.sent + 1)]


def test_with_an_ack_on_its_way(start_household, capsys):
    household = start_household(has_line=True)
    daemon, line = household.daemon, household.line
    line.is_silent_outward = True
    text = daemon.post()
    daemon.wait_got(text)  # it came, and is acknowledged into the silence
    line.is_silent = True
    await_death(daemon, now(), capsys)
    text = daemon.post()
    revive(household, text)


def test_with_a_ping_on_its_way(start_household, capsys):
    """A hint leads to a ping, here a default route that is no better."""
    household = start_household(has_line=True)
    daemon, line = household.daemon, household.line
    household.settle()
    line.is_silent = True
    begin = now()
    household.laptop.ip("route add default via 10.0.0.9 dev eth0 metric 900")
    assert await_death(daemon, begin, capsys) < 10
    text = daemon.post()
    revive(household, text)
