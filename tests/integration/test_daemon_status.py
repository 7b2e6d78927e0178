# SPDX-License-Identifier: Apache-2.0
"""Not connected: `bellwire status` says why and when the next attempt is; attempts are spread, few, and sooner with news."""

import statistics

import pytest
from harness.household import RELAY, now
from harness.power import start_upower

NOT_CONNECTED = 3  # EXIT STATUS of bellwire status


@pytest.fixture
def household(start_household):
    return start_household(has_clock=True, has_bus=True)


def check_status(daemon, state, words, next_ms=(0, 0)):
    """What it says to people and to programs."""

    low, high = next_ms

    def said():
        """By both in this state, with the next attempt not due already."""
        report, done = daemon.status(), daemon.tool("status")
        is_due = low > 0 and (report["next_attempt_ms"] == 0 or "under way" in done.stdout)
        return report["state"] == state and f"\n{state} since " in done.stdout and not is_due and (report, done)

    report, done = daemon.wait(said, 90, state)
    assert words in report["reason"], report
    assert low <= report["next_attempt_ms"] <= high, report
    assert done.returncode == NOT_CONNECTED
    first, second = done.stdout.splitlines()[:2]
    assert first.startswith(f"not connected to ws://{RELAY}:") and words in first, done.stdout
    assert second.startswith(f"{state} since "), done.stdout
    assert ("next attempt in" in second) == (low > 0), done.stdout
    return second


def test_no_route(household):
    household.laptop.unplug()
    second = check_status(household.daemon, "offline", "no network with a route to", (-1, -1))
    assert "next attempt when there is a route" in second


def test_relay_that_is_not_there(household):
    wait_long_backoff(household)
    assert household.daemon.count(r"link waiting .*before=up reason=.*the connection ended") == 1
    check_status(household.daemon, "waiting", "the connection was refused", (1, 300500))


def test_relay_behind_a_black_hole(household):
    """A router that swallows everything: each attempt takes its time, which is said, too."""
    laptop, daemon = household.laptop, household.daemon
    laptop.router.ip("route add blackhole 10.0.0.0/24 metric 1")
    laptop.unplug()
    daemon.wait(lambda: daemon.state() == "offline", 20, "an offline link")
    laptop.router.ip("route del 10.0.0.0/24 dev gw0")
    laptop.plug()
    second = check_status(daemon, "opening", "the relay does not answer")
    assert "an attempt is under way" in second
    check_status(daemon, "waiting", "cannot be reached", (1, 9000))


def test_relay_that_wants_an_invite(start_household):
    household = start_household(has_clock=True, has_bus=True, check=False, up=False, relay_flags={"registration": "invite"})
    check_status(household.daemon, "refused", "invite", (3000000, 4000000))


def test_paused(household):
    assert household.daemon.tool("pause").returncode == 0
    second = check_status(household.daemon, "stopped", "paused by the user", (-1, -1))
    assert "attempt" not in second


def test_every_state_has_its_reason(household):
    """Asked again and again while the network and the relay come and go."""
    laptop, daemon, relay = household.laptop, household.daemon, household.relay
    def ask():
        report = daemon.report()
        if report["state"] == "up":
            assert report["reason"] == "" and report["next_attempt_ms"] == -1, report
        else:
            assert report["reason"] not in ("", "not started"), report
            assert (report["next_attempt_ms"] >= 0) == (report["state"] != "offline"), report
        return report["state"]

    for step, state in ((laptop.unplug, "offline"), (laptop.plug, "up"), (relay.stop, "waiting"),
                        (lambda: laptop.unplug(), "offline"), (lambda: laptop.plug(1), "waiting")):
        step()
        daemon.wait(lambda: ask() == state, 20, state)
    relay.start()
    daemon.tool("reconnect")
    daemon.wait(lambda: ask() == "up", 20, "up")


def attempts_of(household, count):
    """The relay stays away for so many attempts; by their number, what is waited after each (seldom one is too quick
    to be seen), in seconds."""
    daemon, clock, delays, last = household.daemon, household.clock, {}, 0
    while last < count:
        report = daemon.wait(
            lambda: (r := daemon.report())["state"] == "waiting" and r["attempts"] > last and r, 20, "another attempt")
        last = int(report["attempts"])
        delays[last] = report["next_attempt_ms"] / 1000
        clock.advance(delays[last] * 1.05 + 0.25)  # with the slack that it has
    return delays


@pytest.mark.parametrize("on_battery, cap", [(False, 300), (True, 900)])
def test_backoff_with_jitter(start_household, on_battery, cap):
    household = start_household(
        has_clock=True, has_bus=True, before=lambda h: start_upower(h.bus, on_battery))
    household.clock.advance(61)
    household.check()
    household.relay.stop()
    delays = attempts_of(household, 40)
    for number, delay in delays.items():
        if number == 1:
            assert delay <= 15  # a relay that is started anew is not run over
        else:
            assert delay <= 0.5 + min(cap, 2 * 2 ** (number - 1)), (number, delays)
    late = [delay for number, delay in delays.items() if number > 10]
    assert 0.25 * cap < statistics.mean(late) < 0.75 * cap, late
    assert statistics.stdev(late) > 0.1 * cap, late  # full jitter


def wait_long_backoff(household):
    """The relay is away for so long that the next attempt is minutes ahead."""
    daemon, clock = household.daemon, household.clock
    household.relay.stop()
    while (report := daemon.report())["state"] != "waiting" or report["next_attempt_ms"] < 60000:
        if report["state"] == "waiting":
            clock.advance(report["next_attempt_ms"] * 1.05 / 1000 + 0.25)
    return daemon.attempts()


def test_news_from_the_network_cut_it_short(household):
    laptop, daemon = household.laptop, household.daemon
    attempts = wait_long_backoff(household)
    household.relay.start()
    laptop.ip("route add default via 10.0.0.9 dev eth0 metric 900")  # no news for this way
    household.settle()
    assert daemon.attempts() == attempts and daemon.state() == "waiting"
    text = daemon.post()
    begin = now()
    laptop.plug(1, metric=10)
    household.back_at_once(text, begin)


def test_the_user_cuts_it_short(household):
    daemon = household.daemon
    wait_long_backoff(household)
    household.relay.start()
    assert daemon.tool("reconnect").returncode == 0
    daemon.wait_up()
    household.check()


def test_resume_cuts_it_short(household):
    daemon = household.daemon
    wait_long_backoff(household)
    household.relay.start()
    household.clock.sleep(40)
    daemon.wait_up()
    household.check()


def test_airplane_mode_for_twelve_hours(household):
    """Not one attempt."""
    daemon, clock = household.daemon, household.clock
    household.laptop.ip("link set eth0 down")
    daemon.wait(lambda: daemon.state() == "offline", 20, "an offline link")
    attempts = daemon.attempts()
    for _ in range(72):
        clock.advance(600)
    assert daemon.status()["state"] == "offline" and daemon.attempts() == attempts
    begin = now()
    text = daemon.post()
    household.laptop.ip("link set eth0 up", "route add default via 10.0.0.1 dev eth0 metric 100")
    household.back_at_once(text, begin)
