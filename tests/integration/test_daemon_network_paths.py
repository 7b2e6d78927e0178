# SPDX-License-Identifier: Apache-2.0
"""The daemon and its ways to the relay: each loss and return, the better path, the other family."""

import pytest
from harness.household import RELAY, RELAY6, UNASKED, now

NAME = "relay.example"
HOSTS = f"127.0.0.1 localhost\n{RELAY} {NAME}\n{RELAY6} {NAME}\n"


def wait_offline(daemon):
    daemon.wait(lambda: daemon.state() == "offline", 20, "an offline link")


def test_cable_pulled_and_put_back(household):
    """The session outlives it: what was posted meanwhile comes, and no other session is made when TCP is quick."""
    laptop, daemon = household.laptop, household.daemon
    laptop.router.ip("link set gw0 down")
    wait_offline(daemon)
    attempts = daemon.attempts()
    text = daemon.post()
    laptop.router.ip("link set gw0 up")
    household.back_at_once(text, now())
    daemon.wait_up()
    assert daemon.attempts() <= attempts + 1  # one beside the old session, when that takes too long
    assert daemon.got() == ["message 1", text]


def test_default_route_taken_away(household):
    laptop, daemon = household.laptop, household.daemon
    laptop.ip("route del default dev eth0")
    wait_offline(daemon)
    attempts, text = daemon.attempts(), daemon.post()
    laptop.ip("route add default via 10.0.0.1 dev eth0 metric 100")
    household.back_at_once(text, now())
    assert daemon.attempts() <= attempts + 1


def test_default_route_that_vanishes_unsaid(household):
    """With its only address, IPv4's default route goes, and the kernel does not tell."""
    laptop, daemon = household.laptop, household.daemon
    attempts = daemon.attempts()
    laptop.ip("addr del 10.0.0.2/24 dev eth0")
    wait_offline(daemon)
    assert laptop.output("ip", "-4", "route").strip() == ""
    assert daemon.attempts() == attempts
    text = daemon.post()
    laptop.ip("addr add 10.0.0.2/24 dev eth0")  # the route is still missing
    household.settle()
    assert daemon.state() == "offline" and daemon.attempts() == attempts
    laptop.ip("route add default via 10.0.0.1 dev eth0 metric 100")
    household.back_at_once(text, now())


def test_interface_switched_off_and_on(household):
    """IPv4's routes vanish unsaid here, too."""
    laptop, daemon = household.laptop, household.daemon
    laptop.ip("link set eth0 down")
    wait_offline(daemon)
    text = daemon.post()
    laptop.ip("link set eth0 up", "route add default via 10.0.0.1 dev eth0 metric 100")
    household.back_at_once(text, now())


def test_docked(household):
    """Ethernet appears beside Wi-Fi: taken when it has lasted for 5 s, without a moment in which pushes do not come."""
    laptop, daemon = household.laptop, household.daemon
    sessions = daemon.sessions()
    begin = now()
    laptop.plug(1, metric=10)
    while daemon.sessions() == sessions:
        household.check()
        assert daemon.state() == "up"
        assert now() - begin < 20, daemon.process.log()[-3000:]
    assert now() - begin > 4.5
    household.check()
    assert "10.0.1.2" in laptop.output("ss", "-Htn", "state", "established")
    assert daemon.count("link waiting") == 0 and daemon.sessions() == sessions + 1
    assert len(set(daemon.got())) == len(daemon.got()) == daemon.sent
    laptop.unplug(0)  # Wi-Fi is left behind: no news
    household.settle()
    assert daemon.state() == "up" and daemon.sessions() == sessions + 1


def test_from_wifi_to_ethernet_with_a_gap(household):
    laptop, daemon = household.laptop, household.daemon
    laptop.unplug(0)
    wait_offline(daemon)
    attempts, text = daemon.attempts(), daemon.post()
    household.settle()
    assert daemon.attempts() == attempts  # nothing is tried meanwhile
    laptop.plug(1)
    household.back_at_once(text, now())


def test_undocked(household):
    """The better path goes away, the one below it is there at once."""
    laptop, daemon = household.laptop, household.daemon
    laptop.plug(1, metric=500)
    household.check()
    laptop.unplug(0)
    text = daemon.post()
    household.back_at_once(text, now(), UNASKED)
    assert daemon.count("link offline") == 0


@pytest.mark.parametrize("first, second", [(6, 4), (4, 6)])
def test_from_one_family_to_the_other(start_household, first, second):
    """A relay with a name that has both, on networks that have one each."""
    household = start_household(plug=False, name=NAME, etc={"hosts": HOSTS})
    laptop, daemon = household.laptop, household.daemon
    plug = {4: laptop.plug, 6: laptop.plug6}
    plug[first](0)
    daemon.wait_up()
    household.check()
    laptop.unplug(0)
    wait_offline(daemon)
    text = daemon.post()
    plug[second](1)
    household.back_at_once(text, now())
    addresses = laptop.output("ss", "-Htn", "state", "established")
    assert ("2001:db8:1::2" if second == 6 else "10.0.1.2") in addresses, addresses
    assert daemon.got() == ["message 1", text]
