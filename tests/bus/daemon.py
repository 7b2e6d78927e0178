# SPDX-License-Identifier: Apache-2.0
"""The real bellwire-distributor on the private bus, with a real relay."""

import json
import os
import pathlib

import dbus
from harness.process import Process, wait_until
from harness.tool import run_tool
from session import NAME, OBJECT

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.environ.get("BELLWIRE_DISTRIBUTOR") or str(REPOSITORY / "build/dev/bin/bellwire-distributor")


class Daemon:
    """clock: the daemon's own (harness.clock), or None."""

    def __init__(self, session, server, flags, clock=None):
        self.session = session
        self.clock = clock
        self.relay = server
        self.state_dir = session.directory / "state-of-daemon"
        self.flags = {"relay": f"ws://127.0.0.1:{server.port}/", "state_dir": self.state_dir, "log_level": "debug"}
        self.wrapper = flags.pop("wrapper", [])  # words before the program: who runs it, and where
        self.flags.update(flags)
        self.process = None
        self.starts = 0
        self.watcher = session.connect()

    def start(self):
        self.starts += 1
        words = [BINARY]
        for name, value in self.flags.items():
            if value is not None:
                words += [f"--{name.replace('_', '-')}", str(value)]
        log = self.session.directory / f"daemon-{self.starts}.log"
        shift, pass_fds = self.clock.begin() if self.clock else ([], ())
        # the name of the relay's program is no setting of ours
        words = ["env", "-u", "BELLWIRE_RELAY", *self.wrapper, *shift, *words]
        self.process = Process(words, log, self.session.env, pass_fds)
        if self.clock:
            self.clock.begun()
        wait_until(self.is_there, 20, "the daemon's name")
        if self.clock:
            self.settle()
        return self

    def settle(self):
        """What it asked the bus is answered, and it has read that: now its time may jump, else its calls time out."""
        introspectable = "org.freedesktop.DBus.Introspectable"
        for _ in range(2):  # the second answer comes behind what the bus said before the first
            self.watcher.call_blocking(NAME, OBJECT, introspectable, "Introspect", "", ())
            self.manage("Status")

    def is_there(self):
        assert self.process.is_running(), self.process.log()[-4000:]
        try:
            return self.watcher.name_has_owner(NAME)
        except dbus.DBusException:
            return False

    def wait_pool(self, timeout=20):
        """Until endpoints lie ready, so that Register needs no relay."""
        path = self.state_dir / "state.json"
        wait_until(lambda: path.exists() and path.read_text().count("http") >= 4, timeout, "the pool")

    def reconnect(self):
        """An attempt now, whatever the link waits for."""
        self.manage("Reconnect")

    def manage(self, member, signature="", *arguments):
        """Calls the management interface."""
        name = "org.bellwire.Distributor"
        return self.watcher.call_blocking(name, "/org/bellwire/Distributor", name, member, signature, arguments)

    def tool(self, *words):
        """`bellwire` in this session."""
        return run_tool(*words, env=self.session.env)

    def status(self):
        """`bellwire status --json`."""
        return json.loads(self.tool("status", "--json").stdout)

    def apps(self):
        """`bellwire apps --json`."""
        return json.loads(self.tool("apps", "--json").stdout)

    def keys(self, hook):
        """`bellwire keys`, once the hook has its push URL."""

        def found():
            done = self.tool("keys", hook, "--state-dir", self.state_dir)
            return json.loads(done.stdout) if done.returncode == 0 else None

        return wait_until(found, 20, "the hook's push URL")

    def stop(self):
        self.process.end_well()

    def kill(self):
        self.process.kill()
        self.process.assert_no_sanitizer_report()

    def restart(self):
        self.stop()
        return self.start()

    def finish(self):
        if self.process and self.process.child.returncode is None:
            assert self.process.is_running(), f"the daemon died\n{self.process.log()[-12000:]}"
            self.stop()

    def push(self, endpoint, body=b"hello", **headers):
        return self.relay.push(endpoint, body, **headers)

    def wait_acknowledged_only(self, count, timeout=20):
        """Until the relay has heard that so many messages were taken."""
        self.wait_acknowledged(count, timeout, queued=None)

    def wait_acknowledged(self, count, timeout=20, queued=0):
        """Until the relay has heard that so many messages were taken, and keeps none."""

        def done():
            metrics = self.relay.metrics()
            delivered = metrics["bellwire_messages_delivered_total"]
            return delivered >= count and queued in (None, metrics["bellwire_messages_queued"])

        try:
            wait_until(done, timeout, f"{count} acknowledgements")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.relay.metrics()}\n{self.process.log()[-6000:]}") from None
