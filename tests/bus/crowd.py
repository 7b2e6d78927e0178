# SPDX-License-Identifier: Apache-2.0
"""Apps that register and unregister without end, senders that push to what they got, and what must have come of it."""

import collections
import random
import threading

import dbus
from session import Caller

FAILURES = {  # what a caller sees of a daemon that dies
    "org.freedesktop.DBus.Error.NoReply",
    "org.freedesktop.DBus.Error.ServiceUnknown",
    "org.freedesktop.DBus.Error.Disconnected",
    "org.freedesktop.DBus.Error.LimitsExceeded",
}


class Token:
    """One registration's life: registered until it was confirmed, perhaps unregistered, never used again."""

    def __init__(self, name, app, owner):
        self.name, self.app, self.owner = name, app, owner
        self.is_confirmed = False
        self.is_leaving = False  # Unregister was called at least once
        self.is_kept = random.random() < 0.6

    def endpoints(self):
        return [e["endpoint"] for e in self.app.events("NewEndpoint") if e["token"] == self.name]

    def is_gone(self):
        """The app was told; version 1 is not told of which token."""
        return any(e.get("token") == self.name for e in self.app.events("Unregistered"))


class Crowd:
    def __init__(self, session, relay, apps):
        self.session, self.relay, self.apps = session, relay, apps
        self.tokens = []
        self.accepted = collections.defaultdict(set)  # token name -> bodies that were answered with 201
        self.count = 0
        self.lock = threading.Lock()
        self.endpoints = {}  # token name -> endpoint, as the sender was told first
        self.is_over = threading.Event()
        self.troubles = []

    # ---- the apps ----

    def register(self, caller, token):
        wish = caller.register if token.app.version == 2 else caller.register_v1
        try:
            outcome = wish(token.app.service, token.name)[0]
        except dbus.DBusException as error:
            assert error.get_dbus_name() in FAILURES, error
            return
        token.is_confirmed = token.is_confirmed or outcome == "REGISTRATION_SUCCEEDED"

    def unregister(self, caller, token):
        token.is_leaving = True
        try:
            (caller.unregister if token.app.version == 2 else caller.unregister_v1)(token.name)
        except dbus.DBusException as error:
            assert error.get_dbus_name() in FAILURES, error

    def one_step(self, caller, owner):
        """An app waits for the answer before it asks anew, so each owner has tokens of its own."""
        mine = [t for t in self.tokens if t.owner == owner]
        open_ones = [t for t in mine if not t.is_confirmed]
        leavers = [t for t in mine if t.is_confirmed and not t.is_kept and not t.is_leaving]
        choice = random.random()
        if open_ones and choice < 0.4:
            self.register(caller, random.choice(open_ones))
        elif leavers and choice < 0.5:
            self.unregister(caller, random.choice(leavers))
        else:
            with self.lock:
                token = Token(f"token-{len(self.tokens)}", random.choice(self.apps), owner)
                self.tokens.append(token)
            self.register(caller, token)

    # ---- the senders ----

    def send(self, token):
        with self.lock:
            self.count += 1
            body = b"message %d to %s" % (self.count, token.name.encode())
        status = self.relay.post(self.endpoints[token.name], body, ttl=600).status
        if status == 201:
            self.accepted[token.name].add(body)
        else:
            assert token.is_leaving and status in (404, 410), (token.name, status)

    def learn(self):
        """What the apps told their servers."""
        for app in self.apps:
            for event in app.events("NewEndpoint"):
                self.endpoints.setdefault(event["token"], event["endpoint"])

    def targets(self):
        return [t for t in self.tokens if t.name in self.endpoints and not t.is_leaving]

    # ---- a while of it ----

    def run(self, step, *arguments):
        def work():
            try:
                while not self.is_over.is_set():
                    step(*arguments)
            except Exception as error:  # told by rush()
                self.troubles.append(repr(error))
                raise

        thread = threading.Thread(target=work)
        thread.start()
        return thread

    def some_send(self):
        self.learn()
        targets = self.targets()
        for token in random.sample(targets, min(5, len(targets))):
            self.send(token)
        self.is_over.wait(0.01)

    def rush(self, then):
        """Apps and senders at work until `then` has returned."""
        self.is_over.clear()
        callers = [Caller(self.session) for _ in range(2)]
        threads = [self.run(self.one_step, caller, owner) for owner, caller in enumerate(callers)]
        threads += [self.run(self.some_send) for _ in range(2)]
        try:
            then()
        finally:
            self.is_over.set()
            for thread in threads:
                thread.join(60)
            for caller in callers:
                caller.bus.close()
                self.session.connections.remove(caller.bus)
        assert self.troubles == []

    # ---- what came of it ----

    def arrivals(self):
        """body -> the times at which it came, over all apps."""
        result = collections.defaultdict(list)
        for app in self.apps:
            for event in app.events("Message"):
                result[bytes.fromhex(event["message"])].append(event["time"])
        return result

    def expected(self):
        """What must have arrived: accepted, and nobody wanted to be rid of it."""
        return {body for t in self.tokens if not t.is_leaving for body in self.accepted[t.name]}
