# SPDX-License-Identifier: Apache-2.0
"""Calls the management interface from inside of a sandbox: connects, moves to the root that is named, calls.
With a second argument it calls that method only, and is gone before anybody can ask who it was."""

import json
import os
import sys

import dbus
import dbus.bus
import dbus.lowlevel

NAME = "org.bellwire.Distributor"
PATH = "/org/bellwire/Distributor"
PROPERTIES = "org.freedesktop.DBus.Properties"
CALLS = [
    (NAME, "Status", ""),
    (NAME, "List", ""),
    (NAME, "Log", ""),
    (NAME, "Register", "sa{sv}", "door", {}),
    (NAME, "Unregister", "u", 1),
    (NAME, "Block", "ub", 1, True),
    (NAME, "Listen", "s", ""),
    (NAME, "Pause", ""),
    (NAME, "Resume", ""),
    (NAME, "Reconnect", ""),
    (NAME, "Move", "s", "no URL"),
    (NAME, "JmapReload", ""),
    (NAME, "JmapList", ""),
    (NAME, "JmapTest", "s", "none"),
    (NAME, "JmapPause", "sb", "none", True),
    (NAME, "JmapRemove", "s", "none"),
    (PROPERTIES, "GetAll", "s", NAME),
    (PROPERTIES, "Get", "ss", NAME, "RelayUrl"),
]


def answer_of(bus, interface, member, signature, *arguments):
    message = dbus.lowlevel.MethodCallMessage(NAME, PATH, interface, member)
    if signature:
        message.append(*arguments, signature=signature)
    try:
        bus.send_message_with_reply_and_block(message, 10)
        return "answered"
    except dbus.DBusException as error:
        return error.get_dbus_name()


def call_and_leave(bus, member):
    message = dbus.lowlevel.MethodCallMessage(NAME, PATH, NAME, member)
    message.set_no_reply(True)
    bus.send_message(message)
    bus.flush()
    os._exit(0)


def main():
    bus = dbus.bus.BusConnection(os.environ["DBUS_SESSION_BUS_ADDRESS"])
    os.chroot(sys.argv[1])
    if sys.argv[2:]:
        call_and_leave(bus, sys.argv[2])
    print(json.dumps({" ".join(call[:2]): answer_of(bus, *call) for call in CALLS}))


if __name__ == "__main__":
    main()
