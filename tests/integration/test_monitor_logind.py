# SPDX-License-Identifier: Apache-2.0
"""logind: sleep waits for us shortly, resume is told once, a lost logind is found again."""

import pytest

LOGIND = ("org.freedesktop.login1", "/org/freedesktop/login1")
MANAGER = "org.freedesktop.login1.Manager"


@pytest.fixture
def logind(system_bus):
    system_bus.start("logind", LOGIND[0])
    return system_bus


@pytest.fixture
def monitor(logind, start_monitor):
    instance = start_monitor(system_bus=logind.address)
    instance.until(lambda: inhibitors(logind))
    return instance


def inhibitors(bus):
    return [tuple(map(str, entry[:2])) + (str(entry[3]),) for entry in bus.object(*LOGIND, MANAGER).ListInhibitors()]


def prepare(bus, is_before):
    bus.object(*LOGIND).EmitSignal(MANAGER, "PrepareForSleep", "b", [is_before])


def test_sleep_and_resume(logind, monitor):
    """Told before; the inhibitor goes within a second and is taken again afterwards."""
    assert inhibitors(logind) == [("sleep", "Bellwire", "delay")]
    assert monitor.ask("status")["logind"]
    for _ in range(2):
        prepare(logind, True)
        monitor.expect("sleeping")
        monitor.until(lambda: not inhibitors(logind), within=1.0)
        prepare(logind, False)
        monitor.expect("resumed")
        monitor.until(lambda: inhibitors(logind))
        assert len(inhibitors(logind)) == 1
    monitor.quiet()


def test_sleep_that_is_called_off(logind, monitor):
    prepare(logind, True)
    prepare(logind, False)
    monitor.expect("sleeping")
    monitor.expect("resumed")
    monitor.until(lambda: len(inhibitors(logind)) == 1)
    monitor.quiet()
    assert len(inhibitors(logind)) == 1


def test_hints_after_resume_are_not_gathered(laptop, logind, start_monitor):
    laptop.plug()
    monitor = start_monitor(prefix=laptop.command(), system_bus=logind.address)
    monitor.until(lambda: inhibitors(logind))
    prepare(logind, True)
    laptop.ip("addr flush dev eth0")
    prepare(logind, False)
    monitor.settle()
    laptop.plug()
    assert monitor.expect("changed") < 0.2


def test_restarted_logind(logind, monitor):
    """Its inhibitors are lost with it: ours is taken again. Sleep that it announced is over."""
    prepare(logind, True)
    monitor.expect("sleeping")
    logind.kill(LOGIND[0])
    monitor.expect("resumed")
    assert not monitor.ask("status")["logind"]
    logind.start("logind", LOGIND[0])
    monitor.until(lambda: inhibitors(logind) == [("sleep", "Bellwire", "delay")])
    prepare(logind, True)
    monitor.expect("sleeping")


def test_logind_that_comes_late(system_bus, start_monitor):
    monitor = start_monitor(system_bus=system_bus.address)
    monitor.until(lambda: any("logind=no networkmanager=no" in line for line in monitor.log))
    system_bus.start("logind", LOGIND[0])
    monitor.until(lambda: inhibitors(system_bus))


def test_inhibitor_refused(system_bus, start_monitor):
    """Policy may forbid it: sleep is told all the same."""
    system_bus.start(None, LOGIND[0], LOGIND[1], MANAGER)
    system_bus.object(*LOGIND).AddMethod(
        MANAGER, "Inhibit", "ssss", "h",
        "raise dbus.exceptions.DBusException('no', name='org.freedesktop.DBus.Error.AccessDenied')")
    monitor = start_monitor(system_bus=system_bus.address)
    monitor.until(lambda: any("sleep will not wait" in line for line in monitor.log))
    prepare(system_bus, True)
    monitor.expect("sleeping")
    prepare(system_bus, False)
    monitor.expect("resumed")


def test_somebody_else_cannot_announce_sleep(logind, monitor):
    """A signal sent to us alone by another process is passed over."""
    import dbus

    unique = [name for name in logind.connection.list_names() if name.startswith(":")]
    for name in unique:
        signal = dbus.lowlevel.SignalMessage(LOGIND[1], MANAGER, "PrepareForSleep")
        signal.append(True, signature="b")
        signal.set_destination(name)
        logind.connection.send_message(signal)
    logind.connection.flush()
    monitor.quiet()


def test_bus_that_dies(logind, monitor):
    """The rest goes on: the network is still watched, and a new bus may be given."""
    logind.stop()
    assert monitor.events.get(timeout=10) == {"lost": True}
    assert not monitor.ask("status")["logind"]
    assert monitor.ask("route")
    assert monitor.ask("bus 1") == {"bus": False}


def test_bus_taken_away_and_given_again(logind, monitor):
    assert monitor.ask("bus 0") == {"bus": False}
    monitor.until(lambda: not inhibitors(logind))
    assert monitor.ask("bus 1") == {"bus": True}
    monitor.until(lambda: inhibitors(logind))
