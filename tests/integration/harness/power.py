# SPDX-License-Identifier: Apache-2.0
"""UPower and power profiles as mocks, and trees like sysfs."""

import dbus

UPOWER = ("org.freedesktop.UPower", "/org/freedesktop/UPower")
DISPLAY = "/org/freedesktop/UPower/devices/DisplayDevice"
OLD = ("net.hadess.PowerProfiles", "/net/hadess/PowerProfiles")
NEW = ("org.freedesktop.UPower.PowerProfiles", "/org/freedesktop/UPower/PowerProfiles")
CHARGING, DISCHARGING, FULL, PENDING_CHARGE = 1, 2, 4, 5
NONE, LOW, CRITICAL = 1, 3, 4


def supply(on_battery=False, state=DISCHARGING, warning=NONE):
    return {"on_battery": on_battery, "state": state, "warning": warning}


def set_upower(bus, on_battery=False, state=DISCHARGING, warning=NONE):
    bus.set(UPOWER[0], DISPLAY, "org.freedesktop.UPower.Device", IsPresent=True, State=dbus.UInt32(state),
            WarningLevel=dbus.UInt32(warning))
    bus.set(*UPOWER, UPOWER[0], OnBattery=on_battery)


def start_upower(bus, on_battery=False, **values):
    bus.start("upower", UPOWER[0], OnBattery=on_battery)
    set_upower(bus, on_battery, **values)


def start_profiles(bus, service, profile):
    if service == OLD:
        bus.start("power_profiles_daemon", OLD[0])
        bus.set(*OLD, OLD[0], ActiveProfile=profile)
    else:
        bus.start(None, *NEW, NEW[0])
        bus.object(*NEW).AddProperty(NEW[0], "ActiveProfile", profile)


def tree(directory, **files):
    """sysfs: device__name=value."""
    for key, value in files.items():
        device, name = key.split("__")
        (directory / device).mkdir(parents=True, exist_ok=True)
        (directory / device / name).write_text(f"{value}\n")
    return directory


ON_BATTERY = {"BAT0__type": "Battery", "BAT0__status": "Discharging", "BAT0__capacity": 80, "AC__type": "Mains",
              "AC__online": 0}
