# SPDX-License-Identifier: Apache-2.0
"""A private bus in the place of the system bus, and mock services on it (python-dbusmock)."""

import json
import os
import subprocess
import threading
import time

import dbus

CONFIGURATION = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:path={socket}</listen>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
"""
MOCK = "org.freedesktop.DBus.Mock"
PROPERTIES = "org.freedesktop.DBus.Properties"


class SystemBus:
    def __init__(self, directory):
        configuration = directory / "bus.conf"
        configuration.write_text(CONFIGURATION.format(socket=directory / "bus"))
        self.process = subprocess.Popen(["dbus-daemon", f"--config-file={configuration}", "--nofork",
                                         "--print-address"], stdout=subprocess.PIPE)
        self.address = self.process.stdout.readline().decode().strip()
        self.connection = dbus.bus.BusConnection(self.address)
        self.mocks = {}

    def start(self, template, name, *arguments, **parameters):
        """Starts a mock and waits for its name. A template takes parameters, an empty mock its path and interface."""
        environment = dict(os.environ, DBUS_SYSTEM_BUS_ADDRESS=self.address, DBUS_SESSION_BUS_ADDRESS=self.address)
        kind = ["--template", template, "--parameters", json.dumps(parameters)] if template else ["--system", name, *arguments]
        self.mocks[name] = subprocess.Popen(["/usr/bin/python3", "-m", "dbusmock", *kind],
                                            stdout=subprocess.DEVNULL, env=environment)
        end = time.monotonic() + 10
        while not self.connection.name_has_owner(name):
            assert time.monotonic() < end, f"{name} does not come"
            threading.Event().wait(0.02)

    def kill(self, name):
        """The service dies; returns when the bus knows."""
        mock = self.mocks.pop(name)
        mock.kill()
        mock.wait(10)
        end = time.monotonic() + 10
        while self.connection.name_has_owner(name):
            assert time.monotonic() < end
            threading.Event().wait(0.02)

    def object(self, name, path, interface=MOCK):
        return dbus.Interface(self.connection.get_object(name, path, introspect=False), interface)

    def set(self, name, path, interface, **values):
        """Sets properties; the mock tells of the change."""
        for key, value in values.items():
            self.object(name, path, PROPERTIES).Set(interface, key, value)

    def close(self):
        for mock in self.mocks.values():
            mock.kill()
            mock.wait(10)
        self.stop()
        self.connection.close()

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(10)
            self.process.stdout.close()
