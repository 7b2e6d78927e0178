# SPDX-License-Identifier: Apache-2.0
"""org.freedesktop.Notifications that notes when it is asked to show something, in a process of its own.

A line on standard output for each: nanoseconds of CLOCK_MONOTONIC and the text as JSON. It tells at once that the user
has closed it, so that nothing piles up."""

import json
import time

import dbus
import dbus.mainloop.glib
import dbus.service
from gi.repository import GLib

NAME, PATH = "org.freedesktop.Notifications", "/org/freedesktop/Notifications"


class Screen(dbus.service.Object):
    last = 0

    @dbus.service.method(NAME, out_signature="as")
    def GetCapabilities(self):
        return ["body", "body-markup", "actions"]

    @dbus.service.method(NAME, in_signature="susssasa{sv}i", out_signature="u")
    def Notify(self, app, replaces, icon, title, text, actions, hints, timeout):
        now_ns = time.monotonic_ns()
        print(now_ns, json.dumps(f"{title} {text}"), flush=True)
        number = int(replaces) or self.last + 1
        self.last = max(self.last, number)
        GLib.idle_add(self.NotificationClosed, number, 2)
        return number

    @dbus.service.method(NAME, in_signature="u")
    def CloseNotification(self, number):
        pass

    @dbus.service.signal(NAME, signature="uu")
    def NotificationClosed(self, number, reason):
        pass


dbus.mainloop.glib.DBusGMainLoop(set_as_default=True)
connection = dbus.SessionBus()
screen = Screen(connection, PATH)
owned = dbus.service.BusName(NAME, connection)
print("ready", flush=True)
GLib.MainLoop().run()
