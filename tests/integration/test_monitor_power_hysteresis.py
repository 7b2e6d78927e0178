# SPDX-License-Identifier: Apache-2.0
"""A higher minimum is told after a minute."""

from harness.power import set_upower, start_upower


def test_tightening_waits_a_minute(system_bus, start_monitor):
    """And does not happen when the cable is back before; what is pulled for good is told 60 s later."""
    start_upower(system_bus)
    monitor = start_monitor(system_bus=system_bus.address)
    monitor.until(lambda: any("upower=yes" in line for line in monitor.log))
    set_upower(system_bus, True)
    monitor.until(lambda: not monitor.ask("power")["mains"])
    set_upower(system_bus, False)
    monitor.until(lambda: monitor.ask("power")["mains"])
    before = monitor.ask("power")["at_ms"]
    set_upower(system_bus, True)
    monitor.until(lambda: not monitor.ask("power")["mains"])
    pulled = monitor.ask("power")["at_ms"]
    told = monitor.expect_power(within=75, min="low", mains=False)
    assert told["at_ms"] - before >= 60000 and told["at_ms"] - pulled < 66000
