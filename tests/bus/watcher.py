# SPDX-License-Identifier: Apache-2.0
"""Hears the signals of the management interface, as a desktop's settings page would."""

import time

from gi.repository import Gio, GLib

NAME = "org.bellwire.Distributor"
PATH = "/org/bellwire/Distributor"
PROPERTIES = "org.freedesktop.DBus.Properties"


class Watcher:
    def __init__(self, session):
        flags = Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT | Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION
        self.connection = Gio.DBusConnection.new_for_address_sync(session.address, flags, None, None)
        self.changes = []  # (name, value), in the order of the signals
        self.connection.signal_subscribe(
            NAME, PROPERTIES, "PropertiesChanged", PATH, None, Gio.DBusSignalFlags.NONE, self._on_changed
        )
        # the bus has heard of it when it answers this
        bus = "org.freedesktop.DBus"
        self.connection.call_sync(bus, "/org/freedesktop/DBus", bus, "GetId", None, None, Gio.DBusCallFlags.NONE, -1, None)

    def _on_changed(self, connection, sender, path, interface, signal, arguments):
        name, changed, invalidated = arguments.unpack()
        assert name == NAME and invalidated == [], arguments
        self.changes += changed.items()

    def values(self, name):
        return [value for changed, value in self.changes if changed == name]

    def wait(self, name, value, timeout=20):
        """Until a signal has told this value as the newest one."""
        end = time.monotonic() + timeout
        context = GLib.MainContext.default()
        while self.values(name)[-1:] != [value]:
            assert time.monotonic() < end, f"{name} did not become {value!r}: {self.changes}"
            if not context.iteration(False):
                time.sleep(0.005)

    def get_all(self):
        answer = self.connection.call_sync(
            NAME, PATH, PROPERTIES, "GetAll", GLib.Variant("(s)", (NAME,)), None, Gio.DBusCallFlags.NONE, 10000, None
        )
        return answer.unpack()[0]

    def close(self):
        self.connection.close_sync(None)
