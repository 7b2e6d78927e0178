# SPDX-License-Identifier: Apache-2.0
"""An idle daemon wakes nobody and sends nothing, with all its sources there; nor for what does not concern it."""

import pathlib
import time

from harness.networkmanager import start_nm
from harness.power import start_upower


def before(household):
    household.bus.start("logind", "org.freedesktop.login1")
    start_upower(household.bus, True)
    start_nm(household.bus)


def switches(daemon):
    """How often any of its threads waited and was woken."""
    words = []
    for thread in pathlib.Path(f"/proc/{daemon.process.pid}/task").iterdir():
        words += (thread / "status").read_text().split()
    return sum(int(n) for name, n in zip(words, words[1:]) if name == "voluntary_ctxt_switches:")


def test_twelve_seconds_of_nothing(start_household):
    household = start_household(has_line=True, has_bus=True, before=before)
    daemon, line = household.daemon, household.line
    household.settle(10)  # the addresses of new links, what is written down at last
    woken, passed = switches(daemon), line.passed
    time.sleep(12)
    assert switches(daemon) - woken <= 2  # the library looks around each half minute
    assert line.passed - passed <= 4  # neighbours may ask for each other's address
    household.check()


def test_containers_that_come_and_go(start_household):
    """Links, addresses and routes that are on nobody's way: no ping, no attempt."""
    household = start_household(has_bus=True)
    laptop, daemon = household.laptop, household.daemon
    household.settle()
    trip, attempts = daemon.report()["round_trip_ms"], daemon.attempts()
    for number in range(10):
        laptop.ip(f"link add veth{number} type veth peer name vpeer{number}", f"link set veth{number} up",
                  f"link set vpeer{number} up", f"addr add 172.17.{number}.1/24 dev veth{number}")
        laptop.ip(f"link del veth{number}")
    household.settle()
    assert daemon.report()["round_trip_ms"] == trip and daemon.attempts() == attempts
