# SPDX-License-Identifier: Apache-2.0
"""Each way in which the network changes is told, also those that the kernel is silent about."""

import time

import pytest
from harness.laptop import RELAY, RELAY6

GATHERING, GATHERED = 0.3, 2.0  # seconds; the second with much to spare


@pytest.fixture
def monitor(laptop, start_monitor):
    """On eth0, with both families, and a relay that was asked about."""
    laptop.plug()
    laptop.plug6()
    instance = start_monitor(prefix=laptop.command())
    assert instance.path(RELAY)["usable"]
    assert instance.path(RELAY6)["usable"]
    instance.settle()
    return instance


def until_told(laptop, monitor, *lines):
    """How many seconds the news take from before the command on."""
    begin = time.monotonic()
    laptop.ip(*lines)
    monitor.expect("changed")
    return time.monotonic() - begin


def test_carrier_lost_and_back(laptop, monitor):
    """Only the link tells; routes and addresses stay. The kernel takes up to a second to say that it is lost."""
    laptop.router.ip("link set gw0 down")
    monitor.expect("changed")
    path = monitor.path(RELAY)
    assert not path["usable"]
    assert path["source"] == "10.0.0.2" and path["gateway"] == "10.0.0.1"
    assert monitor.ask("route") == {"route": False}
    monitor.settle()
    laptop.router.ip("link set gw0 up")
    monitor.expect("changed")
    assert monitor.path(RELAY)["usable"]
    assert monitor.ask("route") == {"route": True}


def test_interface_down_and_up(laptop, monitor):
    """Its IPv4 default route goes without a message and does not come back by itself."""
    laptop.ip("link set eth0 down")
    monitor.expect("changed")
    assert monitor.ask("route") == {"route": False}
    assert not monitor.path(RELAY)["usable"]
    monitor.settle()
    laptop.ip("link set eth0 up", "route add default via 10.0.0.1 dev eth0")
    monitor.expect("changed")
    assert monitor.path(RELAY)["usable"]


def test_address_deleted_takes_the_default_route(laptop, monitor):
    laptop.ip("addr del 10.0.0.2/24 dev eth0")
    monitor.expect("changed")
    assert not monitor.path(RELAY)["usable"]
    assert monitor.path(RELAY6)["usable"]


def test_address_changes(laptop, monitor):
    assert until_told(
        laptop, monitor, "addr add 10.0.0.3/24 dev eth0", "addr del 10.0.0.2/24 dev eth0",
        "addr replace 10.0.0.3/24 dev eth0", "route replace default via 10.0.0.1 dev eth0") >= GATHERING
    assert monitor.path(RELAY)["source"] == "10.0.0.3"


def test_ipv6_address_is_told_again_when_usable(laptop, monitor):
    """Tentative at first: the path of before stays, and a second word comes when detection is over."""
    laptop.ip("addr del 2001:db8:0::2/64 dev eth0")
    monitor.settle()
    assert not monitor.path(RELAY6)["usable"]
    laptop.detect_duplicates(True, "eth0")
    laptop.ip("addr add 2001:db8:0::3/64 dev eth0")
    monitor.expect("changed")
    assert not monitor.path(RELAY6)["usable"]
    monitor.expect("changed")
    monitor.until(lambda: monitor.path(RELAY6)["usable"])
    assert monitor.path(RELAY6)["source"] == "2001:db8::3"
    monitor.settle(3.5)  # the look 2.5 s after the last of them; then all is said
    monitor.quiet()


def test_default_route_replaced(laptop, monitor):
    assert GATHERING <= until_told(laptop, monitor, "route replace default via 10.0.0.9 dev eth0 metric 100") < GATHERED
    assert monitor.path(RELAY)["gateway"] == "10.0.0.9"


def test_default_route_deleted_and_added(laptop, monitor):
    laptop.ip("route del default via 10.0.0.1 dev eth0")
    monitor.expect("changed")
    assert not monitor.path(RELAY)["usable"]
    laptop.ip("route add default via 10.0.0.1 dev eth0")
    monitor.expect("changed")
    assert monitor.path(RELAY)["usable"]


def test_second_interface(laptop, monitor):
    """A better one comes and goes."""
    laptop.plug(1, metric=50)
    monitor.expect("changed")
    assert monitor.path(RELAY)["source"] == "10.0.1.2"
    monitor.settle()
    laptop.ip("route del default via 10.0.1.1 dev eth1")
    monitor.expect("changed")
    assert monitor.path(RELAY)["source"] == "10.0.0.2"


def test_vpn_by_half_routes_and_by_rules(laptop, monitor):
    """Neither changes the default route of the main table."""
    laptop.ip("addr add 10.0.1.2/24 dev eth1")
    monitor.settle()
    laptop.ip("route add 128.0.0.0/1 via 10.0.1.1 dev eth1")
    monitor.expect("changed")
    assert monitor.path(RELAY)["source"] == "10.0.1.2"
    laptop.ip("route del 128.0.0.0/1 via 10.0.1.1 dev eth1")
    monitor.expect("changed")
    assert monitor.path(RELAY)["source"] == "10.0.0.2"
    laptop.ip("route add default via 10.0.1.1 dev eth1 table 77", "rule add pref 100 lookup 77")
    monitor.expect("changed")
    assert monitor.path(RELAY)["source"] == "10.0.1.2"


def test_black_hole_for_the_relay(laptop, monitor):
    laptop.ip(f"route add blackhole {RELAY}/32")
    monitor.expect("changed")
    assert not monitor.path(RELAY)["usable"]


def test_burst_is_one_piece_of_news(laptop, monitor):
    """What comes within 300 ms of each other is one change, a second after the first at the latest."""
    news = monitor.ask("status")["news"]
    lines = [f"route replace default via 10.0.0.{1 if n % 2 else 9} dev eth0 metric 100" for n in range(41)]
    assert GATHERING <= until_told(laptop, monitor, *lines) < GATHERED
    monitor.quiet()
    assert monitor.ask("status")["news"] == news + 1


def test_repeated_route_is_no_news(laptop, monitor):
    """Routers announce themselves again and again; so do leases."""
    for _ in range(20):
        laptop.ip("route replace default via 10.0.0.1 dev eth0 metric 100",
                  "addr change 10.0.0.2/24 dev eth0 valid_lft 4000 preferred_lft 3000",
                  "addr change 10.0.0.2/24 dev eth0 valid_lft 4001 preferred_lft 3001")
        monitor.settle(0.4)
    hints = monitor.ask("status")["hints"]
    for seconds in range(5000, 5020):
        laptop.ip("route replace default via 10.0.0.1 dev eth0 metric 100",
                  f"addr change 10.0.0.2/24 dev eth0 valid_lft {seconds} preferred_lft 3000")
    monitor.quiet(0.6)
    assert monitor.ask("status")["hints"] == hints
