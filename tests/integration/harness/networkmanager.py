# SPDX-License-Identifier: Apache-2.0
"""A mock NetworkManager with one active connection."""

import dbus

NM = "org.freedesktop.NetworkManager"
PATH = "/org/freedesktop/NetworkManager"
UUID = "838b41cc-e6b3-4d4b-b9b7-a0dbb86cf41a"


def add_connection(bus, name, uuid, interface):
    """An active connection with one device; the mock's own templates know no primary connection."""
    mock = bus.object(NM, PATH)
    device, active = f"{PATH}/Devices/{name}", f"{PATH}/ActiveConnection/{name}"
    empty = dbus.Array([], signature="(ssss)")
    mock.AddObject(device, NM + ".Device", dbus.Dictionary({"IpInterface": interface}, signature="sv"), empty)
    devices = dbus.Array([dbus.ObjectPath(device)], signature="o", variant_level=1)
    mock.AddObject(active, NM + ".Connection.Active", dbus.Dictionary({"Uuid": uuid, "Devices": devices}, signature="sv"), empty)
    return dbus.ObjectPath(active)


def start_nm(bus, **properties):
    bus.start(None, NM, PATH, NM)
    values = {"State": dbus.UInt32(70), "Connectivity": dbus.UInt32(4), "Metered": dbus.UInt32(4),
              "PrimaryConnection": add_connection(bus, "1", UUID, "eth0"),
              "PrimaryConnectionType": "802-3-ethernet"}
    bus.object(NM, PATH).AddProperties(NM, dbus.Dictionary({**values, **properties}, signature="sv"))


def put(bus, **values):
    bus.set(NM, PATH, NM, **values)
