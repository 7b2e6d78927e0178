# SPDX-License-Identifier: Apache-2.0
"""The less power there is, the longer a hook's messages wait for others; urgent ones never do."""

import time

import dbus
import pytest
from harness.networkmanager import start_nm
from harness.power import CHARGING, DISCHARGING, LOW, NONE, set_upower, start_upower
from harness.process import wait_until
from harness.system_bus import SystemBus

CONFIG = """\
[hook mail]
command = sh -c '(cat; echo) >>{got}'
input = last
catch_up = off
[hook each]
command = sh -c '(cat; echo) >>{got}'
quiet = 0
catch_up = off
"""


class Hooked:
    """Real time runs on between its calls, so they are as short as can be: no program is started for one."""

    def __init__(self, start_daemon, session, clock, bus):
        self.clock, self.bus = clock, bus
        self.got_path = session.directory / "got"
        self.got_path.touch()
        config = session.directory / "hooks.conf"
        config.write_text(CONFIG.format(got=self.got_path))
        # everything is delivered at once, so that what waits does so here
        self.daemon = start_daemon(clock=clock, config=config, min_urgency="very-low")
        self.endpoints = {hook: self.daemon.keys(hook)["endpoint"] for hook in ("mail", "each")}

    def status(self):
        return self.daemon.manage("Status")

    def push(self, text, hook="mail", **headers):
        """Returns when the daemon has it."""
        before = self.status()["received"]
        self.daemon.push(self.endpoints[hook], text.encode(), **headers)
        wait_until(lambda: self.status()["received"] > before, 20, "the push")

    def got(self):
        return self.got_path.read_text().split()

    def wait(self, *texts):
        """Until the commands got these, and nothing waits any more."""
        wait_until(lambda: self.got() == list(texts), 20, f"{texts}, not {self.got()}")
        wait_until(lambda: self.status()["waiting"] == 0, 20, "the end of the run")

    def check_waits(self, seconds):
        """A message waits for so long and not longer."""
        before, begin = self.got(), time.monotonic()
        self.push(f"after-{seconds}")
        self.clock.advance(max(0, seconds * 0.7 - (time.monotonic() - begin)))
        assert self.status()["waiting"] == 1 and self.got() == before
        self.clock.advance(seconds * 0.3 + 0.3)
        self.wait(*before, f"after-{seconds}")


@pytest.fixture
def power(session, tmp_path):
    """power(…) starts UPower on a system bus for the daemon."""
    (tmp_path / "system").mkdir()
    bus = SystemBus(tmp_path / "system")
    session.env["DBUS_SYSTEM_BUS_ADDRESS"] = bus.address

    def start(**values):
        start_upower(bus, **values)
        return bus

    yield start
    bus.close()


@pytest.fixture
def hooked(start_daemon, session, clock):
    return lambda bus: Hooked(start_daemon, session, clock, bus)


def told(h, **state):
    """Until the daemon knows of its state, and goes by it."""
    wait_until(lambda: all(h.status()[k] == v for k, v in state.items()), 20, str(state))
    h.clock.advance(61)  # what costs power is believed after a minute
    h.status()


def test_on_battery(power, hooked):
    h = hooked(power(on_battery=True, state=DISCHARGING, warning=NONE))
    told(h, on_mains=False)
    h.check_waits(5)
    h.push("usual")
    h.push("urgent", urgency="high")
    h.clock.advance(1.1)
    h.wait("after-5", "urgent")  # one run for both, which gets the newest
    h.push("one", "each")
    h.wait("after-5", "urgent", "one")  # a run for each message costs what it costs
    h.push("held")
    set_upower(h.bus, False, CHARGING)
    wait_until(lambda: h.status()["on_mains"], 20, "mains")
    h.clock.advance(1.1)
    h.wait("after-5", "urgent", "one", "held")


def test_with_a_low_battery(power, hooked):
    h = hooked(power(on_battery=True, state=DISCHARGING, warning=LOW))
    told(h, battery_low=True)
    h.check_waits(900)
    h.push("usual")
    h.push("urgent", urgency="high")
    h.clock.advance(1.1)
    h.wait("after-900", "urgent")  # which took the usual one along


def test_on_battery_and_metered(power, hooked):
    bus = power(on_battery=True, state=DISCHARGING, warning=NONE)
    start_nm(bus, Metered=dbus.UInt32(1))
    h = hooked(bus)
    told(h, on_mains=False, metered=True)
    h.check_waits(30)
