# SPDX-License-Identifier: Apache-2.0
"""A user manager of systemd on a session: the real one where it can be started here, or a small fake."""

import fcntl
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile

import dbus
import pytest
from harness.process import Process, wait_until

FAKE = pathlib.Path(__file__).with_name("fake_systemd.py")
# In a mount namespace of its own, systemd believes that it has booted this machine.
REAL = "mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/system && exec /lib/systemd/systemd --user"
NAME = "org.freedesktop.systemd1"


class Alone:
    """Real managers that share a control group kill each other's units, so there is one at a time on a machine."""

    def __init__(self):
        self.file = open(pathlib.Path(tempfile.gettempdir()) / "bellwire-test-systemd.lock", "w")
        fcntl.flock(self.file, fcntl.LOCK_EX)

    def end(self):
        self.file.close()


class Manager:
    def __init__(self, session, process, requests=None, alone=None):
        self.alone = alone
        self.requests_path = requests
        self.process = process
        wait_until(lambda: session.answers() or not self.process.is_running(), 20, "the bus")
        self.connection = session.connect()
        bus = self.connection.get_object("org.freedesktop.DBus", "/org/freedesktop/DBus")
        self.bus_pid = int(bus.GetConnectionUnixProcessID("org.freedesktop.DBus"))

    def is_there(self):
        return self.connection.name_has_owner(NAME)

    def wait(self):
        wait_until(lambda: self.is_there() or not self.process.is_running(), 20, "systemd")
        return self.is_there()

    def requests(self, what):
        lines = self.requests_path.read_text().splitlines() if self.requests_path.exists() else []
        return [r for r in map(json.loads, lines) if r["what"] == what]

    def kill(self):
        self.process.kill()
        wait_until(lambda: not self.is_there(), 10, "systemd's end")

    def finish(self):
        """The real one started the bus, and ends it when it ends in peace."""
        self.process.terminate()
        if not self.requests_path and pathlib.Path(f"/proc/{self.bus_pid}").exists():
            os.kill(self.bus_pid, signal.SIGTERM)
        if self.alone:
            self.alone.end()


def fake_manager(session, *words):
    requests = session.directory / "requests"
    process = Process([sys.executable, FAKE, requests, *words], session.directory / "systemd.log", session.env)
    manager = Manager(session, process, requests)
    assert manager.wait()
    return manager


def real_manager(session):
    if subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("no mount namespace can be made here")
    alone = Alone()
    # It starts a bus of its own, where the session has it.
    session.address = f"unix:path={session.directory}/run/bus"
    session.env["DBUS_SESSION_BUS_ADDRESS"] = session.address
    process = Process(["unshare", "-m", "sh", "-c", REAL], session.directory / "systemd.log", session.env)
    try:
        manager = Manager(session, process, alone=alone)
        assert manager.wait()
        return manager
    except (AssertionError, dbus.exceptions.DBusException) as error:
        process.terminate()
        alone.end()
        pytest.skip(f"systemd's user manager does not start here: {error}")
