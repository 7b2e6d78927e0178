# SPDX-License-Identifier: Apache-2.0
"""The path to the relay as the kernel would send a packet, and when it counts as another one."""

import pytest
from harness.laptop import RELAY, RELAY6


@pytest.fixture
def monitor(laptop, start_monitor):
    laptop.plug()
    return start_monitor(prefix=laptop.command())


def keep(monitor, address=RELAY):
    path = monitor.path(address)
    assert path["usable"]
    monitor.ask("keep")
    return path


def is_same(monitor, local="10.0.0.2", address=RELAY):
    monitor.path(address)
    return monitor.ask("same " + local)["same"]


def reach(laptop, address):
    """Makes the kernel learn the gateway's link address."""
    connect = f"import socket\ntry: socket.create_connection(('{address}', 9), 5)\nexcept OSError: pass"
    laptop.output("/usr/bin/python3", "-c", connect)


def test_nothing_changes(monitor):
    keep(monitor)
    assert is_same(monitor)


def test_better_interface_and_its_withdrawal(laptop, monitor):
    before = keep(monitor)
    laptop.plug(1, metric=50)
    after = monitor.path(RELAY)
    assert after["source"] == "10.0.1.2" and after["ifindex"] != before["ifindex"]
    assert not is_same(monitor)
    laptop.ip("route del default via 10.0.1.1 dev eth1")
    assert is_same(monitor)


def test_gateway_replaced_with_the_same_address(laptop, monitor):
    keep(monitor)
    laptop.ip("route replace default via 10.0.0.9 dev eth0 metric 100")
    after = monitor.path(RELAY)
    assert after["source"] == "10.0.0.2" and after["gateway"] == "10.0.0.9"
    assert not is_same(monitor)


def test_carrier_lost(laptop, monitor):
    keep(monitor)
    laptop.router.ip("link set gw0 down")
    monitor.until(lambda: not monitor.path(RELAY)["usable"])
    assert not is_same(monitor)
    laptop.router.ip("link set gw0 up")
    monitor.until(lambda: is_same(monitor))


def test_all_addresses_gone(laptop, monitor):
    keep(monitor)
    laptop.ip("addr flush dev eth0")
    path = monitor.path(RELAY)
    assert not path["usable"] and path["source"] == "" and path["ifindex"] == 0
    assert not is_same(monitor)
    assert monitor.ask("route") == {"route": False}


def test_new_first_address_while_ours_stays(laptop, monitor):
    """New sockets would use another source, but the session's address is still there."""
    keep(monitor)
    laptop.ip("route replace default via 10.0.0.1 dev eth0 metric 100 src 10.0.0.2",
              "addr add 10.0.0.3/24 dev eth0",
              "route replace default via 10.0.0.1 dev eth0 metric 100 src 10.0.0.3")
    assert monitor.path(RELAY)["source"] == "10.0.0.3"
    assert is_same(monitor)
    laptop.ip("route replace default via 10.0.0.1 dev eth0 metric 100 src 10.0.0.2")
    assert not is_same(monitor, local="10.0.0.77")


def test_another_network_that_looks_alike(laptop, monitor):
    """The same addresses behind a gateway with another link address; the network has another name."""
    reach(laptop, RELAY)
    before = keep(monitor)
    assert before["mac"] != "00:00:00:00:00:00" and before["key"].startswith("net:")
    assert is_same(monitor)
    laptop.router.ip("link set gw0 down", "link set gw0 address 02:00:00:00:00:99", "link set gw0 up")
    monitor.until(lambda: monitor.path(RELAY)["usable"])
    laptop.ip("neigh flush dev eth0")
    reach(laptop, RELAY)
    after = monitor.path(RELAY)
    assert after["mac"] == "02:00:00:00:00:99"
    assert after["key"].startswith("net:") and after["key"] != before["key"]
    assert not is_same(monitor)


def test_network_has_the_same_name_after_a_restart(laptop, monitor, start_monitor):
    reach(laptop, RELAY)
    key = monitor.path(RELAY)["key"]
    assert key == start_monitor(prefix=laptop.command()).path(RELAY)["key"]
    laptop.ip("neigh flush dev eth0")
    assert monitor.path(RELAY)["key"] == ""  # not known rather than another


def test_ipv6_privacy_address_rotates(laptop, monitor):
    laptop.plug6()
    keep(monitor, RELAY6)
    laptop.ip("addr change 2001:db8:0::2/64 dev eth0 preferred_lft 0 valid_lft 3600",
              "addr add 2001:db8:0::77/64 dev eth0 nodad")
    assert monitor.path(RELAY6)["source"] == "2001:db8::77"
    assert is_same(monitor, "2001:db8::2", RELAY6)
    laptop.ip("addr del 2001:db8:0::2/64 dev eth0")
    assert not is_same(monitor, "2001:db8::2", RELAY6)


def test_tentative_ipv6_address_is_no_path(laptop, monitor):
    laptop.detect_duplicates(True, "eth0")
    laptop.ip("addr add 2001:db8:0::2/64 dev eth0", "route add ::/0 via 2001:db8:0::1 dev eth0")
    assert not monitor.path(RELAY6)["usable"]
    monitor.until(lambda: monitor.path(RELAY6)["usable"])


def test_ipv4_behind_an_ipv6_gateway(laptop, monitor):
    laptop.plug6()
    laptop.output("ip", "-4", "route", "replace", "default", "via", "inet6", "2001:db8:0::1", "dev", "eth0",
                  "metric", "100")
    path = monitor.path(RELAY)
    assert path["usable"] and path["gateway"] == "2001:db8::1"


def test_mobile_interface(laptop, monitor):
    assert not monitor.path(RELAY)["cellular"]
    assert monitor.ask("status")["metered"] == "unknown"
    laptop.ip("link set eth1 down", "link set eth1 name wwan0", "link set wwan0 up",
              "addr add 10.0.1.2/24 dev wwan0", "route add default via 10.0.1.1 dev wwan0 metric 50")
    monitor.expect("changed")
    assert monitor.path(RELAY)["cellular"]
    assert monitor.ask("status")["metered"] == "yes"


def test_peers_on_this_machine_and_nonsense(monitor):
    assert monitor.path("127.0.0.1")["usable"]
    assert monitor.path("::1")["usable"]
    assert not monitor.path(RELAY6)["usable"]
    assert not monitor.path("0.0.0.0")["gateway"]
