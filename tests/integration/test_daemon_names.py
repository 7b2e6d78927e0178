# SPDX-License-Identifier: Apache-2.0
"""The relay's name: slow and silent resolvers, a name that has nothing for a while, a family that leads nowhere."""

import pytest
from harness.dns import NameServer
from harness.household import AT_ONCE, RELAY, RELAY6, now
from harness.line import Nat

NAME = "relay.example"
RESOLVER = "10.0.0.1"
ETC = {"resolv.conf": f"nameserver {RESOLVER}\noptions timeout:15 attempts:2\n", "nsswitch.conf": "hosts: dns\n"}


@pytest.fixture
def start_named(start_household):
    """start_named(addresses): a household whose relay has a name, which a server on its router knows; both."""
    servers = []

    def start(addresses, **options):
        def before(household):
            servers.append(NameServer(household.laptop.router, RESOLVER, {NAME: addresses}))

        household = start_household(
            has_line=True, has_clock=True, has_bus=True, name=NAME, etc=ETC, before=before, **options)
        return household, servers[-1]

    yield start
    for server in servers:
        server.close()


def sleep_and_wake(household):
    """An hour, after which the connection is forgotten on the way; a message that waits meanwhile, and when it woke."""
    household.line.nat = Nat(60, household.clock.now)
    household.line.is_silent = True
    text = household.daemon.post()
    household.line.is_silent = False
    begin = now()
    household.clock.sleep(3600)
    return text, begin


def test_resolver_that_does_not_answer_after_resume(start_named):
    """The address known from before is used, before a second is over."""
    household, server = start_named([RELAY])
    server.is_silent, asked = True, server.asked
    text, begin = sleep_and_wake(household)
    household.back_at_once(text, begin)
    assert server.asked > asked


def test_name_that_is_not_known_after_resume(start_named):
    """As when the resolver asks a network that is not there yet."""
    household, server = start_named([RELAY])
    server.names.clear()
    text, begin = sleep_and_wake(household)
    household.back_at_once(text, begin)


def test_relay_that_has_moved(start_named):
    """What the resolver says now counts, whatever was known from before."""
    household, server = start_named([RELAY])
    household.laptop.router.ip("addr add 198.51.100.7/32 dev lo")
    server.names[NAME] = ["198.51.100.7"]
    household.relay.flags["listen"] = [household.relay.flags["listen"][0], f"198.51.100.7:{household.relay.port}"]
    household.relay.restart()
    household.clock.advance(20)
    household.daemon.wait_up()
    household.check()
    assert "198.51.100.7" in household.daemon.report()["peer"]


def test_name_that_never_was(start_named):
    household, server = start_named([RELAY], up=False, check=False, plug=False)
    server.names.clear()
    household.laptop.plug()
    report = household.daemon.wait(
        lambda: (r := household.daemon.report())["state"] == "waiting" and r, 20, "a waiting link")
    assert f"the address of {NAME} is not to be had" in report["reason"], report
    server.names[NAME] = [RELAY]
    household.clock.advance(5)
    household.daemon.wait_up()
    household.check()


def test_ipv6_that_leads_nowhere(start_named):
    """An address and a default route are there, but beyond the router is nothing: IPv4 does it, soon."""
    household, _ = start_named([RELAY6, RELAY], plug=False)
    laptop, daemon = household.laptop, household.daemon
    laptop.router.ip(f"addr del {RELAY6}/128 dev lo", f"route add blackhole {RELAY6}/128")
    begin = now()
    laptop.ip("addr add 2001:db8:0::2/64 dev eth0 nodad", "route add ::/0 via 2001:db8:0::1 dev eth0 metric 100")
    laptop.plug()
    daemon.wait_up()
    assert now() - begin < AT_ONCE
    assert daemon.report()["peer"].startswith(RELAY)
    household.check()
