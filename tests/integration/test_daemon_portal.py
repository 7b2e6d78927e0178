# SPDX-License-Identifier: Apache-2.0
"""A network that answers in the relay's place until somebody logs in: said plainly, borne with patience, and over at once."""

import re

import dbus
import pytest
from harness.certificates import make_certificate
from harness.household import RELAY, now
from harness.networkmanager import put, start_nm
from harness.portal import Portal, answer

LOGIN = "wants a login in a browser first"


@pytest.fixture
def enter_portal():
    """enter_portal(household, text): from home to a network where a portal stands before the relay; the portal."""
    portals = []

    def enter(household, text=b"", certificate=None):
        laptop, relay = household.laptop, household.relay
        laptop.unplug(0)
        household.daemon.wait(lambda: household.daemon.state() == "offline", 20, "an offline link")
        relay.stop()
        portals.append(Portal(laptop.router, relay.device_port, text, certificate))
        laptop.plug(1)
        return portals[-1]

    yield enter
    for portal in portals:
        portal.close()


def leave_portal(household, portal):
    """Somebody has logged in."""
    portal.close()
    household.relay.start()
    return household.daemon.post()


def report_waiting(daemon):
    return daemon.wait(lambda: (r := daemon.report())["state"] == "waiting" and r, 20, "a waiting link")


def secure(start_household, directory, **options):
    (directory / "relays").mkdir()
    certificate = make_certificate(directory / "relays", 1, names=[RELAY])
    household = start_household(has_clock=True, has_bus=True, tls=certificate, ca_file=certificate[0], insecure="off", **options)
    (directory / "portals").mkdir()
    return household, make_certificate(directory / "portals", 2, names=["login.example"])


def test_wrong_certificate(start_household, tmp_path, enter_portal):
    """With no word from NetworkManager: patience, no alarm, and the same identity afterwards."""
    household, theirs = secure(start_household, tmp_path)
    daemon = household.daemon
    portal = enter_portal(household, certificate=theirs)
    report = report_waiting(daemon)
    assert "certificate" in report["reason"] and LOGIN in report["reason"], report
    assert "perhaps" in report["reason"]
    assert 20000 < report["next_attempt_ms"] < 35000
    household.clock.advance(34)
    daemon.wait(lambda: daemon.report()["attempts"] == 2, 20, "another attempt")
    assert portal.asked == 2
    text = leave_portal(household, portal)
    household.clock.advance(report_waiting(daemon)["next_attempt_ms"] * 1.05 / 1000 + 0.25)
    daemon.wait_got(text)
    household.check()
    assert "did not know this device" not in daemon.process.log()


def test_back_at_home_at_once(start_household, tmp_path, enter_portal):
    """Another network is another chance, whatever is waited for."""
    household, theirs = secure(start_household, tmp_path)
    portal = enter_portal(household, certificate=theirs)
    report_waiting(household.daemon)
    text = leave_portal(household, portal)
    household.laptop.unplug(1)
    household.laptop.plug(0)
    household.back_at_once(text, now())


def test_network_manager_knows(start_household, tmp_path, enter_portal):
    """It says that there is a portal, and when there is none any more."""
    household, theirs = secure(start_household, tmp_path, before=lambda h: start_nm(h.bus))
    daemon, bus = household.daemon, household.bus
    portal = enter_portal(household, certificate=theirs)
    put(bus, Connectivity=dbus.UInt32(2))
    report_waiting(daemon)
    household.settle()
    report = daemon.wait(
        lambda: (r := daemon.report())["state"] == "waiting" and "perhaps" not in r["reason"] and r, 20,
        "NetworkManager's word")
    assert f"this network {LOGIN}" in report["reason"], report
    text = leave_portal(household, portal)
    begin = now()
    put(bus, Connectivity=dbus.UInt32(4))
    household.back_at_once(text, begin)


@pytest.mark.parametrize("head", ["302 Found\r\nLocation: http://login.example/", "511 Network Authentication Required", "200 OK"])
def test_answers_of_a_login_page(start_household, enter_portal, head):
    """To a relay without TLS."""
    household = start_household(has_clock=True, has_bus=True)
    daemon = household.daemon
    portal = enter_portal(household, answer(head))
    report = report_waiting(daemon)
    assert f"status {head[:3]}" in report["reason"] and LOGIN in report["reason"], report
    assert report["next_attempt_ms"] > 20000
    done = daemon.tool("status")
    assert LOGIN in done.stdout and re.search(r"next attempt in [23]\d s", done.stdout), done.stdout
    text = leave_portal(household, portal)
    household.clock.advance(34)
    daemon.wait_got(text)
    household.check()
