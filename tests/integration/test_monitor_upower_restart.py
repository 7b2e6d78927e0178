# SPDX-License-Identifier: Apache-2.0
"""What UPower said last holds for a minute after it has gone."""

from harness.power import ON_BATTERY, UPOWER, start_upower, tree


def test_upower_dies_and_comes_back(tmp_path, system_bus, start_monitor):
    """Its last word is kept for a minute; here it is back before, and then it is gone for good."""
    start_upower(system_bus, on_battery=True)
    directory = tree(tmp_path / "power", **{**ON_BATTERY, "AC__online": 1})
    monitor = start_monitor(system_bus=system_bus.address, sysfs=directory)
    monitor.expect_power(mains=False)
    system_bus.kill(UPOWER[0])
    monitor.quiet()
    assert not monitor.ask("power")["mains"]
    start_upower(system_bus, on_battery=True)
    monitor.quiet()
    system_bus.kill(UPOWER[0])
    monitor.expect_power(within=75, mains=True)
