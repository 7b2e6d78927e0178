# SPDX-License-Identifier: Apache-2.0
"""Sleep that nobody tells of is seen on the clocks; what logind and the clocks both tell is told once."""

import pytest

LOGIND = ("org.freedesktop.login1", "/org/freedesktop/login1")
MANAGER = "org.freedesktop.login1.Manager"


def prepare(bus, is_before):
    bus.object(*LOGIND).EmitSignal(MANAGER, "PrepareForSleep", "b", [is_before])


def wake(monitor):
    """The loop turns once more, as it does when the machine resumes."""
    monitor.ask("route")


def resumed(monitor):
    event = monitor.events.get(timeout=10)
    assert event["news"] == "resumed", event
    return event["slept_ms"]


@pytest.fixture
def logind(system_bus):
    system_bus.start("logind", LOGIND[0])
    return system_bus


def test_an_hour_nobody_told_of(start_monitor):
    monitor = start_monitor()
    for _ in range(2):
        monitor.ask("sleep 3600000")
        wake(monitor)
        assert 3600000 <= resumed(monitor) < 3600100
    monitor.quiet(0.5)


def test_a_second_is_no_sleep(start_monitor):
    monitor = start_monitor()
    monitor.ask("sleep 1500")
    wake(monitor)
    monitor.quiet(0.5)


@pytest.mark.parametrize("by_ms, is_told", [(31536000000, True), (-31536000000, True), (61000, True), (50000, False)])
def test_wall_clock_set(start_monitor, by_ms, is_told):
    monitor = start_monitor()
    monitor.ask(f"set {by_ms}")
    wake(monitor)
    if is_told:
        monitor.expect("clock")
    monitor.quiet(0.5)


def test_clocks_before_logind(logind, start_monitor):
    """The clocks know first, and the signal that follows adds nothing."""
    monitor = start_monitor(system_bus=logind.address)
    monitor.until(lambda: monitor.ask("status")["logind"])
    prepare(logind, True)
    monitor.expect("sleeping")
    monitor.ask("sleep 60000")
    wake(monitor)
    assert 60000 <= resumed(monitor) < 60100
    prepare(logind, False)
    monitor.quiet(0.8)


def test_logind_knows_of_a_short_sleep(logind, start_monitor):
    """Too short for the clocks alone, but how long it was is theirs to say."""
    monitor = start_monitor(system_bus=logind.address)
    monitor.until(lambda: monitor.ask("status")["logind"])
    prepare(logind, True)
    monitor.expect("sleeping")
    monitor.ask("sleep 1500")
    wake(monitor)
    prepare(logind, False)
    assert 1500 <= resumed(monitor) < 1600
    monitor.quiet(0.5)
