# SPDX-License-Identifier: Apache-2.0
"""A router that forgets silent connections and swallows what comes over them: the daemon finds out, learns how long it
may be silent, and remembers that for the network. Its clock and the router's are moved from beat to beat."""

import signal

import pytest
from harness.line import Nat
from harness.power import set_upower, start_upower

PONG_DEADLINE = 10.25


class Behind:
    """A household whose eth0 leads through a NAT."""

    def __init__(self, start_household, idle, on_battery=False):
        def before(household):
            start_upower(household.bus, on_battery)
            household.line.nat = Nat(idle, household.clock.now)

        self.household = start_household(has_line=True, has_clock=True, has_bus=True, before=before)
        self.daemon, self.clock = self.household.daemon, self.household.clock
        self.nat = self.household.line.nat
        self.daemon.wait_log("watching power upower=yes")

    def interval(self):
        return self.daemon.report()["heartbeat_ms"] / 1000

    def beat(self):
        """Silence until the next beat. Did the connection outlive it? A dead one is found and replaced."""
        daemon, interval = self.daemon, self.interval()
        sessions = daemon.sessions()
        self.clock.advance(interval)
        daemon.wait(
            lambda: self.nat.is_newest_dead or daemon.report()["last_heard_ms"] < interval * 1000,
            20, "a ping and what becomes of it")
        if not self.nat.is_newest_dead:
            assert daemon.sessions() == sessions
            return True
        self.clock.advance(PONG_DEADLINE)
        daemon.wait(lambda: daemon.sessions() == sessions + 1, 20, "another session")
        daemon.wait_up()
        self.household.check()  # all that belongs to the greeting has been said
        return False

    def learn(self):
        """Beats until 12 in a row have held; the intervals that have failed."""
        failed, held = [], 0
        while held < 12:
            interval = self.interval()
            if self.beat():
                held += 1
            else:
                failed.append(interval)
                held = 0
            assert len(failed) < 20, failed
        return failed


@pytest.mark.parametrize("idle, on_battery", [(30, False), (60, False), (300, False), (60, True), (120, True), (300, True), (900, True)])
def test_learns(start_household, idle, on_battery):
    behind = Behind(start_household, idle, on_battery)
    failed = behind.learn()
    most = min(idle, 900 if on_battery else 240)
    assert most - 60 <= behind.interval() <= most, failed
    assert len(failed) <= 12, failed
    assert all(interval >= idle for interval in failed), failed
    behind.household.check()
    assert len(behind.daemon.got()) == behind.daemon.sent


def test_dead_connection_is_found_at_the_next_beat(start_household):
    """A push in between waits no longer than that, and comes once."""
    behind = Behind(start_household, 60)
    daemon = behind.daemon
    interval, sessions = behind.interval(), daemon.sessions()
    behind.clock.advance(70)
    text = daemon.post()
    daemon.wait(lambda: behind.nat.swallowed > 0, 20, "a push that is swallowed")
    assert text not in daemon.got() and daemon.sessions() == sessions
    behind.clock.advance(interval - 70)
    daemon.wait(lambda: behind.nat.is_newest_dead, 20, "a ping")
    behind.clock.advance(PONG_DEADLINE)
    daemon.wait_got(text)
    behind.household.check()
    assert daemon.got() == [f"message {n}" for n in range(1, daemon.sent + 1)]
    assert daemon.sessions() == sessions + 1


def test_remembered_for_the_network(start_household):
    """Elsewhere it starts anew; back home, and after a restart, it knows."""
    behind = Behind(start_household, 60)
    daemon, laptop = behind.daemon, behind.household.laptop
    behind.learn()
    learned = behind.interval()
    assert learned <= 60
    home = daemon.report()["network"]
    laptop.unplug(0)
    daemon.wait(lambda: daemon.state() == "offline", 20, "an offline link")
    laptop.plug(1)
    daemon.wait_up()
    behind.household.check()
    assert daemon.report()["network"] not in ("", home)
    assert behind.interval() == 240
    laptop.unplug(1)
    daemon.wait(lambda: daemon.state() == "offline", 20, "an offline link")
    laptop.plug(0)
    daemon.wait_up()
    assert daemon.report()["network"] == home
    assert behind.interval() == learned
    daemon.stop()
    daemon.start()
    daemon.wait_up()
    assert behind.interval() == learned
    assert behind.beat()


def test_relay_in_trouble_teaches_nothing(start_household):
    """It does not answer the beat, and a new connection neither: that says nothing of the network."""
    behind = Behind(start_household, 10000)
    daemon, line, relay = behind.daemon, behind.household.line, behind.household.relay
    relay.process.signal(signal.SIGSTOP)
    said = line.said
    behind.clock.advance(240)
    daemon.wait(lambda: line.said > said, 20, "a ping")
    behind.clock.advance(PONG_DEADLINE)
    daemon.wait(lambda: daemon.state() == "opening", 20, "another connection")
    behind.clock.advance(15.25)
    daemon.wait(lambda: daemon.state() == "waiting", 20, "the end of the attempt")
    relay.process.signal(signal.SIGCONT)
    behind.clock.advance(daemon.report()["next_attempt_ms"] / 1000 + 1)
    daemon.wait_up()
    assert behind.interval() == 240
    assert "heartbeat failed" not in daemon.process.log()


def test_from_battery_to_mains(start_household):
    """What was learned on battery is not used up on mains, where the line is never silent for more than 4 minutes."""
    behind = Behind(start_household, 900, on_battery=True)
    for _ in range(9):
        assert behind.beat()
    assert behind.interval() > 240
    set_upower(behind.household.bus, False)
    behind.daemon.wait(lambda: behind.interval() == 240, 20, "the shorter interval")
    assert behind.beat()
