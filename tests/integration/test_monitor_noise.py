# SPDX-License-Identifier: Apache-2.0
"""What does not concern the way to the relay is not told; what was lost or came too fast is told once."""

import queue
import signal
import time

import pytest
from harness.laptop import RELAY


@pytest.fixture
def monitor(laptop, start_monitor):
    laptop.plug()
    instance = start_monitor(prefix=laptop.command())
    assert instance.path(RELAY)["usable"]
    instance.settle()
    return instance


def test_containers_come_and_go(laptop, monitor):
    """A bridge with an address, and links that appear on it and vanish, as container engines make them."""
    hints = monitor.ask("status")["hints"]
    laptop.ip("link add br0 type bridge", "addr add 172.17.0.1/16 dev br0", "link set br0 up")
    for number in range(10):
        laptop.ip(f"link add veth{number} type veth peer name in{number} netns {laptop.router.holder.pid}",
                  f"link set veth{number} master br0", f"link set veth{number} up",
                  f"addr add 172.18.{number}.1/24 dev veth{number}")
        laptop.router.ip(f"link set in{number} up", f"addr add 172.17.0.{number + 2}/16 dev in{number}")
    for number in range(0, 10, 2):
        laptop.ip(f"link del veth{number}")
    monitor.quiet(2.0)  # the kernel tells of carriers for up to a second
    assert monitor.ask("status")["hints"] == hints


def test_without_a_path_any_link_may_bring_one(laptop, monitor):
    """A relay in the local network needs no default route."""
    laptop.ip("addr flush dev eth0")
    monitor.settle()
    laptop.ip("addr add 198.51.100.77/24 dev eth1")
    monitor.expect("changed")
    assert monitor.path(RELAY)["source"] == "198.51.100.77"


def test_lost_messages_are_a_hint(laptop, monitor):
    """A stopped process gets 5000 changes; the buffer is too small for them. The state is right afterwards."""
    monitor.process.send_signal(signal.SIGSTOP)
    routes = [f"route add 203.0.{n // 250}.{n % 250 + 1}/32 dev eth1" for n in range(2500)]
    laptop.ip(*routes)
    laptop.ip("route flush root 203.0.0.0/16", "route replace default via 10.0.0.9 dev eth0 metric 100")
    monitor.process.send_signal(signal.SIGCONT)
    monitor.expect("changed")
    assert any("messages of the kernel were lost" in line for line in monitor.log)
    assert monitor.path(RELAY)["gateway"] == "10.0.0.9"
    monitor.settle()
    laptop.ip("route replace default via 10.0.0.1 dev eth0 metric 100")
    monitor.expect("changed")
    assert monitor.path(RELAY)["gateway"] == "10.0.0.1"


def test_continued_after_a_stop(monitor):
    monitor.process.send_signal(signal.SIGSTOP)
    monitor.process.send_signal(signal.SIGCONT)
    monitor.expect("changed")


def test_flapping_is_told_at_most_once_a_second(laptop, monitor):
    news = monitor.ask("status")["news"]
    first = last = time.monotonic()
    pauses = 0  # long enough for what was gathered to be told
    for _ in range(60):
        begin = time.monotonic()
        laptop.ip("route del default via 10.0.0.1 dev eth0", "route add default via 10.0.0.1 dev eth0 metric 100")
        pauses += time.monotonic() - last > 0.3
        last = begin
        try:
            monitor.events.get(timeout=0.1)
        except queue.Empty:  # gathered further
            pass
    took = time.monotonic() - first
    monitor.settle()
    assert 4 <= monitor.ask("status")["news"] - news <= took + 2 + pauses


def test_idle_costs_no_wakeups(laptop, monitor):
    monitor.settle(3.0)
    wakeups = monitor.ask("status")["wakeups"]
    monitor.quiet(3.0)
    assert monitor.ask("status")["wakeups"] == wakeups
