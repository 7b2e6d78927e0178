# SPDX-License-Identifier: Apache-2.0
"""Moves from path to path at awkward moments: during a handshake, with a message at the hook, in bursts, behind a router
that looks like the last one."""

import signal
import threading

import dbus
from harness.certificates import make_certificate
from harness.household import RELAY, RELAY6, UNASKED, now
from harness.line import Nat
from harness.networkmanager import start_nm
from harness.power import start_upower


def wait_offline(daemon):
    daemon.wait(lambda: daemon.state() == "offline", 20, "an offline link")


def expect_each_once(daemon):
    assert daemon.got() == [f"message {n}" for n in range(1, daemon.sent + 1)]


def test_hints_in_a_burst_are_one_reconnect(household):
    """DHCP brings the address, then a route, then a better one, each a moment later."""
    laptop, daemon = household.laptop, household.daemon
    laptop.unplug()
    wait_offline(daemon)
    attempts, text = daemon.attempts(), daemon.post()
    begin = now()
    for line in ("addr add 10.0.0.50/24 dev eth0", "route add default via 10.0.0.1 dev eth0 metric 600",
                 "addr add 10.0.0.51/24 dev eth0", "route add default via 10.0.0.1 dev eth0 metric 100"):
        laptop.ip(line)
        threading.Event().wait(0.1)
    household.back_at_once(text, begin)
    household.settle()
    assert daemon.attempts() == attempts + 1


def test_more_news_than_the_kernel_keeps(household):
    """It had no time to listen while thousands of routes came and went, and looks afresh."""
    laptop, daemon = household.laptop, household.daemon
    daemon.process.signal(signal.SIGSTOP)
    for _ in range(3):
        laptop.ip(*(f"route {what} 198.18.{n // 250}.{n % 250}/32 dev eth0" for what in ("add", "del") for n in range(1000)))
    laptop.unplug()
    daemon.process.signal(signal.SIGCONT)
    wait_offline(daemon)
    assert "messages of the kernel were lost" in daemon.process.log()
    text = daemon.post()
    begin = now()
    laptop.plug(host=66)
    household.back_at_once(text, begin)
    expect_each_once(daemon)


def test_gateway_replaced(household):
    """The address stays, the way is another."""
    laptop, daemon = household.laptop, household.daemon
    sessions = daemon.sessions()
    laptop.ip("route replace default via 10.0.0.9 dev eth0 metric 100")
    daemon.wait(lambda: daemon.sessions() == sessions + 1, 20, "a session by the other gateway")
    household.check()
    expect_each_once(daemon)


def test_same_address_behind_another_router(start_household):
    """192.168.1.x everywhere: nothing here differs, but nobody there knows the connection."""
    household = start_household(has_line=True)
    daemon, line = household.daemon, household.line
    line.carrier(False)
    wait_offline(daemon)
    line.nat = Nat(3600)  # which has seen no flow yet
    text = daemon.post()
    begin = now()
    line.carrier(True)
    household.back_at_once(text, begin)
    household.check()
    expect_each_once(daemon)


def test_during_a_handshake(start_household, tmp_path):
    """TCP stands, TLS is under way, and the network is another one: that attempt is abandoned."""
    (tmp_path / "certificates").mkdir()
    certificate = make_certificate(tmp_path / "certificates", 1, names=[RELAY])
    household = start_household(has_line=True, tls=certificate, ca_file=certificate[0], insecure="off")
    laptop, daemon, relay = household.laptop, household.daemon, household.relay
    laptop.unplug(0)
    wait_offline(daemon)
    relay.process.signal(signal.SIGSTOP)  # the kernel accepts for it, and nobody answers
    laptop.plug(0, host=33)
    daemon.wait(lambda: daemon.state() == "opening", 20, "a handshake")
    laptop.unplug(0)
    wait_offline(daemon)
    relay.process.signal(signal.SIGCONT)
    text = daemon.post()
    begin = now()
    laptop.plug(1)
    household.back_at_once(text, begin)
    expect_each_once(daemon)


def test_while_the_hook_works(start_household, tmp_path):
    """It has the message, and takes its time; the acknowledgement goes out on the session of then."""
    done = tmp_path / "done"
    household = start_household(command=f"cat >>@GOT; echo >>@GOT; while [ ! -e {done} ]; do sleep 0.02; done", check=False)
    laptop, daemon = household.laptop, household.daemon
    text = daemon.post()
    daemon.wait_got(text)
    sessions, sent = daemon.sessions(), daemon.relay.metrics()["bellwire_device_sent_total"]
    laptop.unplug(0)
    wait_offline(daemon)
    laptop.plug(1)
    daemon.wait(lambda: daemon.sessions() == sessions + 1, 20, "another session")
    daemon.wait(lambda: daemon.relay.metrics()["bellwire_device_sent_total"] > sent or daemon.is_drained(), 20,
                "the message once more, or that it is kept here after 2 s")
    assert daemon.count("hook ran hook=mail") == 0
    done.touch()
    daemon.wait_drained()
    household.check()
    expect_each_once(daemon)


def test_ipv6_addresses_that_rotate(start_household):
    """Of privacy extensions: the session lives on the deprecated one. When that goes, it is a move."""
    hosts = f"{RELAY6} relay.example\n"
    household = start_household(plug=False, name="relay.example", etc={"hosts": hosts})
    laptop, daemon = household.laptop, household.daemon
    laptop.plug6()
    daemon.wait_up()
    household.check()
    sessions, attempts = daemon.sessions(), daemon.attempts()
    laptop.ip("addr add 2001:db8:0::aa/64 dev eth0 nodad",
              "addr change 2001:db8:0::2/64 dev eth0 valid_lft 3600 preferred_lft 0")
    household.check()
    household.settle()
    assert (daemon.sessions(), daemon.attempts()) == (sessions, attempts)
    laptop.ip("addr del 2001:db8:0::2/64 dev eth0")
    text = daemon.post()
    household.back_at_once(text, now(), UNASKED)
    assert daemon.sessions() == sessions + 1
    assert "2001:db8::aa" in laptop.output("ss", "-Htn", "state", "established")
    expect_each_once(daemon)


def test_docked_to_a_metered_network_on_battery(start_household):
    """The better path costs money and the battery is in use: the session stays where it is while that works."""

    def before(household):
        start_upower(household.bus, True)
        start_nm(household.bus, Metered=dbus.UInt32(1))

    household = start_household(has_clock=True, has_bus=True, before=before)
    laptop, daemon = household.laptop, household.daemon
    sessions = daemon.sessions()
    laptop.plug(1, metric=10)
    household.settle()
    household.hear()
    household.clock.advance(30)
    household.check()
    assert daemon.sessions() == sessions
    text = daemon.post()
    laptop.unplug(0)
    household.back_at_once(text, now(), UNASKED)
    assert daemon.sessions() == sessions + 1
    expect_each_once(daemon)
