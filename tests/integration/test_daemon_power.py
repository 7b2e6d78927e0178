# SPDX-License-Identifier: Apache-2.0
"""Battery, power saver and metered networks: what is less urgent waits at the relay, and comes when things get better."""

import dbus
import pytest
from harness.networkmanager import NM, put, start_nm
from harness.power import (CHARGING, DISCHARGING, DISPLAY, LOW, NEW, NONE, UPOWER, set_upower, start_profiles,
                           start_upower)

URGENCIES = ["very-low", "low", "normal", "high"]
METERED, UNMETERED = dbus.UInt32(1), dbus.UInt32(2)


class Powered:
    """A household with UPower and NetworkManager as they say at its start."""

    def __init__(self, start_household, on_battery=False, warning=NONE, profile="balanced", metered=UNMETERED, **options):
        def before(household):
            start_upower(household.bus, on_battery, warning=warning)
            start_profiles(household.bus, NEW, profile)
            start_nm(household.bus, Metered=metered)

        self.household = start_household(has_clock=True, has_bus=True, before=before, check=False, **options)
        self.daemon, self.clock, self.bus = self.household.daemon, self.household.clock, self.household.bus
        self.kept = []  # at the relay
        self.daemon.wait_log("watching power upower=yes profiles=yes")  # what they say from now on is news
        self.daemon.wait_log("watching the network logind=no networkmanager=yes")

    def expect_minimum(self, urgency):
        self.daemon.wait(lambda: self.daemon.report()["min_urgency"] == urgency, 20, f"the minimum {urgency}")
        assert self.daemon.status()["min_urgency"] == urgency

    def check_waiting(self, minimum):
        """The relay sends what is at least so urgent, and keeps the rest."""
        self.expect_minimum(minimum)
        self.daemon.wait_got(self.daemon.post(urgency="high"))  # the relay knows the minimum by now
        texts = {urgency: self.daemon.post(urgency=urgency) for urgency in URGENCIES}
        at = URGENCIES.index(minimum)
        self.daemon.wait_got(texts["high"])
        for urgency in URGENCIES[at:]:
            self.daemon.wait_got(texts[urgency])
        assert not set(self.daemon.got()) & {texts[urgency] for urgency in URGENCIES[:at]}
        self.kept += [texts[urgency] for urgency in URGENCIES[:at]]
        queued = "bellwire_messages_queued"
        self.daemon.wait(lambda: self.daemon.relay.metrics()[queued] == len(self.kept), 20, "the rest at the relay")
        return self.kept

    def check_all_come(self):
        self.expect_minimum("very-low")
        self.daemon.wait_each_once()
        self.daemon.wait_drained()


@pytest.mark.parametrize("state, minimum", [
    ({}, "very-low"),
    ({"on_battery": True}, "low"),
    ({"metered": METERED}, "low"),
    ({"on_battery": True, "metered": METERED}, "normal"),
    ({"on_battery": True, "warning": LOW}, "high"),
    ({"profile": "power-saver"}, "high"),
])
def test_waits_until_mains_and_balance_return(start_household, state, minimum):
    powered = Powered(start_household, **state)
    powered.check_waiting(minimum)
    set_upower(powered.bus, False, CHARGING)
    powered.bus.set(*NEW, NEW[0], ActiveProfile="balanced")
    put(powered.bus, Metered=UNMETERED)
    powered.check_all_come()


def test_comes_bit_by_bit(start_household):
    """Each step of relief brings what it allows."""
    powered = Powered(start_household, on_battery=True, warning=LOW, metered=METERED)
    waiting = powered.check_waiting("high")
    powered.bus.set(UPOWER[0], DISPLAY, "org.freedesktop.UPower.Device", State=dbus.UInt32(CHARGING))
    powered.clock.advance(15 * 60 + 60)  # the charge is only looked at now and then
    powered.expect_minimum("normal")
    powered.daemon.wait_got(waiting[2])
    put(powered.bus, Metered=UNMETERED)
    powered.expect_minimum("low")
    powered.daemon.wait_got(waiting[1])
    assert waiting[0] not in powered.daemon.got()
    set_upower(powered.bus, False, CHARGING)
    powered.check_all_come()


def test_a_plug_pulled_for_a_moment_changes_nothing(start_household):
    powered = Powered(start_household)
    for _ in range(3):
        set_upower(powered.bus, True)
        powered.daemon.wait(lambda: not powered.daemon.report()["on_mains"], 20, "the battery")
        powered.clock.advance(50)
        set_upower(powered.bus, False)
        powered.daemon.wait(lambda: powered.daemon.report()["on_mains"], 20, "mains")
        powered.clock.advance(50)
        powered.check_waiting("very-low")
    assert "power changed" not in powered.daemon.process.log()
    powered.check_all_come()


def test_a_plug_pulled_for_good_counts_after_a_minute(start_household):
    powered = Powered(start_household)
    set_upower(powered.bus, True)
    powered.daemon.wait(lambda: not powered.daemon.report()["on_mains"], 20, "the battery")
    powered.check_waiting("very-low")
    powered.clock.advance(60.5)
    powered.check_waiting("low")
    set_upower(powered.bus, False)
    powered.check_all_come()


def test_a_new_session_keeps_the_minimum(start_household):
    """Nothing that has to wait slips through while the daemon says hello."""
    powered = Powered(start_household, on_battery=True, warning=LOW)
    laptop, daemon = powered.household.laptop, powered.daemon
    waiting = powered.check_waiting("high")
    for host in (5, 6, 7):
        laptop.unplug()
        daemon.wait(lambda: daemon.state() == "offline", 20, "an offline link")
        waiting.append(daemon.post(urgency="normal"))
        laptop.plug(host=host)
        powered.clock.advance(61)
        daemon.wait_up()
        daemon.wait_got(daemon.post(urgency="high"))
    assert not set(daemon.got()) & set(waiting)
    set_upower(powered.bus, False)
    powered.check_all_come()


def test_upower_that_is_started_anew_and_one_that_is_gone(start_household):
    """For a minute what it said last is believed; after that the machine has no battery."""
    powered = Powered(start_household, on_battery=True)
    powered.check_waiting("low")
    powered.bus.kill(UPOWER[0])
    powered.clock.advance(50)
    start_upower(powered.bus, True)
    powered.daemon.wait(lambda: powered.daemon.report()["min_urgency"] == "low", 20, "the same minimum")
    powered.clock.advance(50)
    assert powered.daemon.report()["min_urgency"] == "low"
    powered.bus.kill(UPOWER[0])
    powered.clock.advance(61)
    powered.check_all_come()


def test_what_the_user_says_counts(start_household):
    powered = Powered(start_household, min_urgency="normal")
    powered.check_waiting("normal")
    set_upower(powered.bus, True, DISCHARGING, LOW)
    powered.clock.advance(61)
    assert powered.daemon.report()["min_urgency"] == "normal"


def test_mobile_network_is_metered(start_household):
    """Known by its name where no NetworkManager says so; it counts when it has lasted for a minute."""
    household = start_household(has_clock=True, has_bus=True)
    laptop, daemon = household.laptop, household.daemon
    household.clock.advance(10)  # what is known in the first seconds was so before
    laptop.ip("link set eth1 down", "link set eth1 name wwan1", "link set wwan1 up",
              "addr add 10.0.1.2/24 dev wwan1", "route add default via 10.0.1.1 dev wwan1 metric 700")
    laptop.unplug(0)
    household.check()
    daemon.wait(lambda: daemon.report()["metered"], 20, "a metered network")
    assert daemon.report()["min_urgency"] == "very-low"
    household.clock.advance(60.5)
    daemon.wait(lambda: daemon.report()["min_urgency"] == "low", 20, "the minimum")
    laptop.plug(0)
    laptop.ip("addr flush dev wwan1")
    daemon.wait(lambda: daemon.report()["min_urgency"] == "very-low", 20, "the minimum of before")
    household.check()


def test_networkmanager_that_is_started_anew(start_household):
    """For the seconds of that nothing changes: no attempt, and the network is as dear as it was."""
    powered = Powered(start_household, metered=METERED)
    powered.check_waiting("low")
    daemon, attempts = powered.daemon, powered.daemon.attempts()
    powered.bus.kill(NM)
    powered.household.settle()
    powered.household.hear()
    powered.clock.advance(30)
    assert daemon.report()["metered"] and daemon.report()["min_urgency"] == "low"
    start_nm(powered.bus, Metered=METERED)
    powered.household.settle()
    powered.household.hear()
    powered.clock.advance(60)
    assert daemon.report()["min_urgency"] == "low"
    assert daemon.sessions() == 1 and daemon.attempts() == attempts
    put(powered.bus, Metered=UNMETERED)
    powered.check_all_come()
