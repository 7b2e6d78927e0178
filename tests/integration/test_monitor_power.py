# SPDX-License-Identifier: Apache-2.0
"""Battery, mains, power profile and metered become the least urgency worth waking for."""

import dbus
import pytest
from harness.power import (CHARGING, CRITICAL, DISCHARGING, DISPLAY, FULL, LOW, NEW, OLD, ON_BATTERY,
                           PENDING_CHARGE, UPOWER, set_upower, start_profiles, start_upower, supply, tree)


@pytest.mark.parametrize("state, minimum", [
    (supply(True), "low"),
    (supply(True, warning=LOW), "high"),
    (supply(True, warning=CRITICAL), "high"),
    (supply(True, state=CHARGING, warning=LOW), "low"),
    (supply(True, state=PENDING_CHARGE, warning=LOW), "low"),
])
def test_first_word_on_battery(system_bus, start_monitor, state, minimum):
    start_upower(system_bus, **state)
    monitor = start_monitor(system_bus=system_bus.address)
    monitor.expect_power(mains=False, min=minimum)
    monitor.quiet(0.5)


@pytest.mark.parametrize("state", [supply(), supply(state=FULL), supply(state=CHARGING, warning=CRITICAL)])
def test_mains_is_what_everyone_believes(system_bus, start_monitor, state):
    start_upower(system_bus, **state)
    monitor = start_monitor(system_bus=system_bus.address)
    monitor.until(lambda: any("upower=yes" in line for line in monitor.log))
    monitor.quiet()
    assert monitor.ask("power")["min"] == "very-low"


def test_easing_is_told_at_once(system_bus, start_monitor):
    start_upower(system_bus, on_battery=True, warning=LOW)
    monitor = start_monitor(system_bus=system_bus.address)
    monitor.expect_power(min="high", low=True)
    set_upower(system_bus, True, CHARGING, LOW)
    monitor.ask("look")  # changes of the charge alone are only read now and then
    monitor.expect_power(min="low", low=False)
    set_upower(system_bus, False, CHARGING)
    monitor.expect_power(min="very-low", mains=True)


@pytest.mark.parametrize("service", [OLD, NEW])
def test_power_saver_profile(system_bus, start_monitor, service):
    start_upower(system_bus, on_battery=True)
    start_profiles(system_bus, service, "power-saver")
    monitor = start_monitor(system_bus=system_bus.address)
    monitor.expect_power(saving=True, min="high")
    system_bus.set(*service, service[0], ActiveProfile="balanced")
    monitor.expect_power(saving=False, min="low")


def test_new_name_of_the_profiles_comes_first(system_bus, start_monitor):
    start_profiles(system_bus, OLD, "power-saver")
    start_profiles(system_bus, NEW, "balanced")
    monitor = start_monitor(system_bus=system_bus.address)
    monitor.until(lambda: any("profiles=yes" in line for line in monitor.log))
    assert monitor.ask("power")["min"] == "very-low"
    monitor.quiet(0.5)


def test_metered(system_bus, start_monitor):
    """Mains to metered tightens, so it waits; from battery and metered to battery it eases."""
    start_upower(system_bus, on_battery=True)
    monitor = start_monitor(system_bus=system_bus.address, is_metered=True)
    monitor.expect_power(min="normal", metered=True)
    monitor.ask("metered 0")
    monitor.expect_power(min="low", metered=False)
    monitor.ask("metered 1")
    monitor.quiet()
    set_upower(system_bus, False, CHARGING)
    monitor.expect_power(min="low", mains=True, metered=True)  # another state, the same minimum


def test_sysfs_without_upower(tmp_path, system_bus, start_monitor):
    monitor = start_monitor(system_bus=system_bus.address, sysfs=tree(tmp_path / "power", **ON_BATTERY))
    monitor.expect_power(min="low", mains=False)
    tree(tmp_path / "power", AC__online=1, BAT0__status="Charging")
    monitor.ask("look")
    monitor.expect_power(min="very-low", mains=True)


def test_sysfs_without_a_bus(tmp_path, start_monitor):
    monitor = start_monitor(sysfs=tree(tmp_path, **{**ON_BATTERY, "BAT0__capacity": 12}))
    monitor.expect_power(min="high", mains=False, low=True)
    tree(tmp_path, BAT0__status="Charging")
    monitor.ask("look")
    monitor.expect_power(min="low", low=False)


def test_logind_knows_of_mains(tmp_path, system_bus, start_monitor):
    """Where UPower is absent and sysfs shows a battery only."""
    login1 = ("org.freedesktop.login1", "/org/freedesktop/login1")
    system_bus.start(None, *login1, login1[0] + ".Manager")
    system_bus.object(*login1).AddProperty(login1[0] + ".Manager", "OnExternalPower", True)
    monitor = start_monitor(system_bus=system_bus.address, sysfs=tree(tmp_path / "power", **ON_BATTERY))
    monitor.expect_power(mains=False)
    monitor.expect_power(mains=True, min="very-low")


def test_nothing_there_is_one_line_each(start_monitor):
    monitor = start_monitor()
    monitor.until(lambda: any("watching power" in line for line in monitor.log))
    assert [line.split(" ", 2)[2].strip() for line in monitor.log] == [
        "no system bus error=No such file or directory",
        "watching the network logind=no networkmanager=no",
        "watching power upower=no profiles=no battery=no",
    ]
    monitor.quiet(0.5)
    assert monitor.ask("power")["min"] == "very-low"


def test_charge_that_changes_wakes_nobody(system_bus, start_monitor):
    """UPower tells of each percent; on battery that would be a wake-up each half minute."""
    start_upower(system_bus, on_battery=True)
    monitor = start_monitor(system_bus=system_bus.address)
    monitor.expect_power(min="low")
    system_bus.set(UPOWER[0], DISPLAY, "org.freedesktop.UPower.Device", WarningLevel=dbus.UInt32(LOW))
    assert not monitor.ask("power")["low"]
    monitor.ask("look")
    monitor.until(lambda: monitor.ask("power")["low"])
    monitor.quiet(0.5)  # it tightens: in a minute
    set_upower(system_bus, False, DISCHARGING, LOW)  # the battery has not noticed its charger yet
    monitor.expect_power(mains=True, low=False)
