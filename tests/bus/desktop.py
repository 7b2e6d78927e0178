# SPDX-License-Identifier: Apache-2.0
"""python-dbusmock's notification daemon on a private bus, and what it was asked to show."""

import ast
import dataclasses
import re
import sys

import dbus
from harness.process import Process, wait_until

NOTIFICATIONS = "org.freedesktop.Notifications"
OBJECT = "/org/freedesktop/Notifications"
MOCK = "org.freedesktop.DBus.Mock"


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
        mock = dbus.Interface(self.connection.get_object(NOTIFICATIONS, OBJECT), MOCK)
        mock.EmitSignal(NOTIFICATIONS, "NotificationClosed", "uu", [dbus.UInt32(number), dbus.UInt32(2)])

    def stop(self):
        self.process.kill()
        wait_until(lambda: not self.connection.name_has_owner(NOTIFICATIONS), 10, "the server's end")


@dataclasses.dataclass
class Notice:
    """One call of Notify: what it showed, under which number."""

    id: int
    replaces: int
    title: str
    text: str
    actions: dict
    urgency: int

    def __contains__(self, words):
        return words in self.title or words in self.text


class Desktop(Server):
    """The mock notification daemon, with actions; what is on its screen."""

    def __init__(self, session, capabilities="body body-markup actions"):
        super().__init__(session, capabilities)
        self.mock = dbus.Interface(self.connection.get_object(NOTIFICATIONS, OBJECT, introspect=False), MOCK)

    def notices(self):
        """All that was ever shown."""
        result, last = [], 0
        for _, arguments in self.mock.GetMethodCalls("Notify"):
            replaces, title, text, actions, hints = (arguments[i] for i in (1, 3, 4, 5, 6))
            if not replaces:
                last += 1
            pairs = dict(zip(map(str, actions[::2]), map(str, actions[1::2])))
            number = int(replaces) or last
            result.append(Notice(number, int(replaces), str(title), str(text), pairs, int(hints["urgency"])))
        return result

    def about(self, words):
        return [notice for notice in self.notices() if words in notice]

    def wait(self, words, count=1, timeout=20):
        """The notices about it, once there are so many."""
        try:
            wait_until(lambda: len(self.about(words)) >= count, timeout, f"{count} notices with {words!r}")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.notices()}") from None
        return self.about(words)

    def withdrawn(self):
        return [int(arguments[0]) for _, arguments in self.mock.GetMethodCalls("CloseNotification")]

    def wait_withdrawn(self, notice, timeout=20):
        wait_until(lambda: notice.id in self.withdrawn(), timeout, f"{notice} taken away")

    def act(self, notice, action="default", token=None):
        if token:
            given = dbus.Array([dbus.UInt32(notice.id), token], signature="v")
            self.mock.EmitSignal(NOTIFICATIONS, "ActivationToken", "us", given)
        arguments = dbus.Array([dbus.UInt32(notice.id), action], signature="v")
        self.mock.EmitSignal(NOTIFICATIONS, "ActionInvoked", "us", arguments)
