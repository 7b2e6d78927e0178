# SPDX-License-Identifier: Apache-2.0
"""org.freedesktop.systemd1 in miniature: runs transient services and tells of their end as systemd does.

Each request is a line of JSON in the file of the first argument. The second argument "refuse" makes it refuse
all units."""

import json
import os
import subprocess
import sys

import dbus
import dbus.lowlevel
import dbus.mainloop.glib
import dbus.service
from gi.repository import GLib

PATH = "/org/freedesktop/systemd1"
MANAGER = "org.freedesktop.systemd1.Manager"
UNIT = "org.freedesktop.systemd1.Unit"
PROPERTIES = "org.freedesktop.DBus.Properties"


def escaped(name):
    return "".join(c if c.isalnum() else f"_{ord(c):02x}" for c in name)


def output(properties, name):
    return properties[name].take() if name in properties else subprocess.DEVNULL


class Unit(dbus.service.Object):
    def __init__(self, connection, name, properties):
        super().__init__(connection, f"{PATH}/unit/{escaped(name)}")
        self.service = {"Result": "success", "ExecMainCode": dbus.Int32(0), "ExecMainStatus": dbus.Int32(0)}
        self.is_late = False
        path, arguments, _ = properties["ExecStartEx"][0]
        environment = {**os.environ, **dict(e.split("=", 1) for e in properties["Environment"])}
        environment.pop("DBUS_SESSION_BUS_ADDRESS", None)
        self.changed("inactive")
        self.changed("activating")
        try:
            self.child = subprocess.Popen(
                list(map(str, arguments)),
                executable=str(path),
                stdin=properties["StandardInputFileDescriptor"].take(),
                stdout=output(properties, "StandardOutputFileDescriptor"),
                stderr=output(properties, "StandardErrorFileDescriptor"),
                env=environment,
                cwd=str(properties["WorkingDirectory"]),
                start_new_session=True,
            )
        except OSError:
            self.service.update(Result="exit-code", ExecMainCode=dbus.Int32(1), ExecMainStatus=dbus.Int32(203))
            self.changed("failed")
            return
        self.changed("active")
        GLib.child_watch_add(GLib.PRIORITY_DEFAULT, self.child.pid, self.on_ended)
        if "RuntimeMaxUSec" in properties:
            GLib.timeout_add(int(properties["RuntimeMaxUSec"]) // 1000, self.on_limit)

    def on_limit(self):
        self.is_late = True
        self.stop()

    def stop(self):
        try:
            os.killpg(self.child.pid, 15)
        except ProcessLookupError:
            pass

    def on_ended(self, _, status):
        code, number = (1, os.WEXITSTATUS(status)) if os.WIFEXITED(status) else (2, os.WTERMSIG(status))
        result = "timeout" if self.is_late else "success" if (code, number) == (1, 0) else ("", "exit-code", "signal")[code]
        self.service.update(Result=result, ExecMainCode=dbus.Int32(code), ExecMainStatus=dbus.Int32(number))
        self.changed("inactive" if result == "success" else "failed")

    def changed(self, state):
        self.PropertiesChanged("org.freedesktop.systemd1.Service", dbus.Dictionary({"NRestarts": 0}, signature="sv"), [])
        self.PropertiesChanged(UNIT, {"SubState": "x", "ActiveState": state, "Job": (0, "/")}, ["Conditions"])

    @dbus.service.signal(PROPERTIES, signature="sa{sv}as")
    def PropertiesChanged(self, interface, changed, invalidated):
        pass

    @dbus.service.method(PROPERTIES, in_signature="s", out_signature="a{sv}")
    def GetAll(self, interface):
        return {"Type": "exec", "Environment": dbus.Array(["A=b"], signature="s"), **self.service}

    @dbus.service.method(UNIT)
    def Unref(self):
        Manager.say("unref")


class Manager(dbus.service.Object):
    def __init__(self, connection):
        super().__init__(connection, PATH)
        self.bus = connection
        self.units = {}

    @staticmethod
    def say(what, **facts):
        with open(sys.argv[1], "a", encoding="utf-8") as out:
            out.write(json.dumps({"what": what, **facts}, default=str) + "\n")

    @dbus.service.method(MANAGER)
    def Subscribe(self):
        self.say("subscribe")

    @dbus.service.method(MANAGER, in_signature="ssa(sv)a(sa(sv))", out_signature="o")
    def StartTransientUnit(self, name, mode, properties, _):
        properties = {str(k): v for k, v in properties}
        self.say("start", name=name, mode=mode, properties=properties)
        if sys.argv[2:] == ["refuse"]:
            raise dbus.exceptions.DBusException("not today", name="org.freedesktop.systemd1.Refused")
        self.units[name] = Unit(self.bus, name, properties)
        return dbus.ObjectPath(f"{PATH}/job/1")

    @dbus.service.method(MANAGER, in_signature="ss", out_signature="o")
    def StopUnit(self, name, mode):
        self.say("stop", name=name)
        self.units[name].stop()
        return dbus.ObjectPath(f"{PATH}/job/2")


dbus.mainloop.glib.DBusGMainLoop(set_as_default=True)
session = dbus.SessionBus()
manager = Manager(session)
owned = dbus.service.BusName("org.freedesktop.systemd1", session)
GLib.MainLoop().run()
