# SPDX-License-Identifier: Apache-2.0
"""python-dbusmock's notification daemon on a private bus, and what it was asked to show."""

import ast
import re
import sys

import dbus
from harness.process import Process, wait_until

NOTIFICATIONS = "org.freedesktop.Notifications"
OBJECT = "/org/freedesktop/Notifications"


class Server:
    """python-dbusmock's notification daemon, and what it was asked."""

    def __init__(self, session, capabilities="body body-markup"):
        self.session = session
        self.connection = session.connect()
        self.path = session.directory / f"notify-{len(session.connections)}.log"
        self.process = Process(
            [
                *(sys.executable, "-m", "dbusmock", "--session", "-l", self.path),
                *("--template", "notification_daemon", "-p", f'{{"capabilities": "{capabilities}"}}'),
            ],
            session.directory / "mock.log",
            session.env,
        )
        wait_until(lambda: self.connection.name_has_owner(NOTIFICATIONS), 10, "the server")

    def calls(self, method, count=None):
        """The arguments of each call, once there are so many."""

        def found():
            lines = self.path.read_text().splitlines() if self.path.exists() else []
            return [line.split(" ", 2)[2] if line.count(" ") > 1 else "" for line in lines if line.split(" ")[1] == method]

        if count:
            wait_until(lambda: len(found()) >= count, 10, f"{count} calls of {method}")
        return found()

    def shown(self, count=None):
        """(replaces, icon, title, text, urgency) of each."""
        result = []
        for call in self.calls("Notify", count):
            name, replaces, icon, title, text = re.match(
                r'("(?:[^"\\]|\\.)*") (\d+) ("(?:[^"\\]|\\.)*") ("(?:[^"\\]|\\.)*") ("(?:[^"\\]|\\.)*")', call
            ).groups()
            assert ast.literal_eval(name) == "Bellwire"
            urgency = int(re.search(r'"urgency": (\d)', call)[1])
            result.append((int(replaces), *(ast.literal_eval(t) for t in (icon, title, text)), urgency))
        return result

    def close_one(self, number):
        mock = dbus.Interface(self.connection.get_object(NOTIFICATIONS, OBJECT), "org.freedesktop.DBus.Mock")
        mock.EmitSignal(NOTIFICATIONS, "NotificationClosed", "uu", [dbus.UInt32(number), dbus.UInt32(2)])

    def stop(self):
        self.process.kill()
        wait_until(lambda: not self.connection.name_has_owner(NOTIFICATIONS), 10, "the server's end")
