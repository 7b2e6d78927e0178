# SPDX-License-Identifier: Apache-2.0
"""NetworkManager: its words are hints and names, never a gate; its absence is no news."""

import dbus
import pytest
from harness.laptop import RELAY
from harness.networkmanager import NM, PATH, UUID, add_connection, put, start_nm

@pytest.fixture
def monitor(laptop, system_bus, start_monitor):
    laptop.plug()
    start_nm(system_bus)
    instance = start_monitor(prefix=laptop.command(), system_bus=system_bus.address)
    instance.until(lambda: instance.path(RELAY)["key"] == f"nm:{UUID}")
    instance.settle()
    return instance


def test_names_the_network(laptop, system_bus, monitor):
    """The primary connection's, where packets go through its device."""
    laptop.plug(1, metric=50)
    monitor.expect("changed")
    assert not monitor.path(RELAY)["key"].startswith("nm:")
    other = add_connection(system_bus, "2", "11111111-e6b3-4d4b-b9b7-a0dbb86cf41a", "eth1")
    put(system_bus, PrimaryConnection=other)
    monitor.expect("changed")
    monitor.until(lambda: monitor.path(RELAY)["key"] == "nm:11111111-e6b3-4d4b-b9b7-a0dbb86cf41a")
    put(system_bus, PrimaryConnectionType="gsm")
    monitor.until(lambda: monitor.path(RELAY)["cellular"])


def test_another_connection_over_the_same_gateway(system_bus, monitor):
    monitor.path(RELAY)
    monitor.ask("keep")
    assert monitor.ask("same")["same"]
    put(system_bus, PrimaryConnection=add_connection(system_bus, "2", "2222", "eth0"))
    monitor.until(lambda: monitor.path(RELAY)["key"] == "nm:2222")
    assert not monitor.ask("same")["same"]


@pytest.mark.parametrize("value, metered", [(0, "unknown"), (1, "yes"), (2, "no"), (3, "yes"), (4, "no")])
def test_metered(system_bus, monitor, value, metered):
    put(system_bus, Metered=dbus.UInt32(value))
    monitor.until(lambda: monitor.ask("status")["metered"] == metered)


def test_state_and_connectivity_are_hints_only(system_bus, monitor):
    """Unknown is not offline, nor is "disconnected" where the kernel has a route."""
    for state in (0, 20, 70):
        put(system_bus, State=dbus.UInt32(state))
        monitor.expect("changed")
        assert monitor.ask("status")["nm_state"] == state
        assert monitor.path(RELAY)["usable"] and monitor.ask("route")["route"]
    for connectivity in (2, 0, 4):
        put(system_bus, Connectivity=dbus.UInt32(connectivity))
        monitor.expect("changed")
        assert monitor.ask("status")["nm_connectivity"] == connectivity
        assert monitor.path(RELAY)["usable"]


def test_same_value_is_no_hint(system_bus, monitor):
    hints = monitor.ask("status")["hints"]
    put(system_bus, State=dbus.UInt32(70), Metered=dbus.UInt32(2))  # "no" instead of "probably no"
    monitor.quiet()
    assert monitor.ask("status")["hints"] == hints


def test_restart_is_no_news(system_bus, monitor):
    """Its properties vanish for seconds; the network keeps its name and its price."""
    put(system_bus, Metered=dbus.UInt32(1))
    monitor.expect("changed")
    monitor.ask("keep")
    system_bus.kill(NM)
    monitor.until(lambda: not monitor.ask("status")["nm"])
    monitor.quiet(0.8)
    status = monitor.ask("status")
    assert status["nm_state"] == 0 and status["metered"] == "yes"
    assert monitor.path(RELAY)["key"] == f"nm:{UUID}"
    start_nm(system_bus, Metered=dbus.UInt32(1))
    put(system_bus, State=dbus.UInt32(70), PrimaryConnection=dbus.ObjectPath(f"{PATH}/ActiveConnection/1"))
    monitor.until(lambda: monitor.ask("status")["nm_state"] == 70)
    assert monitor.path(RELAY)["key"] == f"nm:{UUID}"


def test_hostile_values(system_bus, monitor):
    """Wrong types and endless names change nothing and break nothing."""
    mock = system_bus.object(NM, PATH)
    for value in (dbus.String("x" * 5000), dbus.Array(["a"], signature="s"), dbus.Double(1e300), dbus.Boolean(True)):
        for name in ("State", "Metered", "Connectivity", "PrimaryConnection", "PrimaryConnectionType", "Other"):
            mock.EmitSignal("org.freedesktop.DBus.Properties", "PropertiesChanged", "sa{sv}as",
                            dbus.Array([NM, dbus.Dictionary({name: value}, signature="sv"),
                                        dbus.Array([], signature="s")], signature="v"))
    put(system_bus, State=dbus.UInt32(60))
    monitor.until(lambda: monitor.ask("status")["nm_state"] == 60)
    assert monitor.path(RELAY)["usable"]


def test_other_dns_servers_are_a_hint(system_bus, monitor):
    """systemd-resolved tells of them, often seconds after the route came."""
    resolved = ("org.freedesktop.resolve1", "/org/freedesktop/resolve1", "org.freedesktop.resolve1.Manager")
    system_bus.start(None, *resolved)
    servers = dbus.Array([(2, 2, dbus.ByteArray(bytes(4)))], signature="(iiay)")
    system_bus.object(*resolved[:2]).AddProperty(resolved[2], "DNS", servers)
    monitor.settle()
    system_bus.set(*resolved, DNS=servers)
    monitor.expect("changed")
