# SPDX-License-Identifier: Apache-2.0
"""A laptop that runs the real distributor, and the real relay behind its router: what happens on the way between."""

import json
import re
import time

from . import relay as relay_module
from .clock import Clock
from .distributor import Distributor
from .laptop import RELAY, RELAY6, Laptop
from .namespace import Inside
from .link import NO_PROXY
from .process import Process, free_port, wait_until
from .tool import run_tool


# Seconds, on a busy machine too. Who waits until a connection is given up takes longer than the first; who waits the 5 s
# of a ping, or of a path that is better, longer than the second.
AT_ONCE, UNASKED = 10.0, 4.5


class RouterRelay(relay_module.Relay):
    """The relay, on the router's addresses; requests of the test are made from there. tls: certificate and key."""

    def __init__(self, router, directory, name=RELAY, tls=None, **flags):
        self.router = router
        port = free_port()
        self.device_port = free_port() if tls else port
        url = f"{'https' if tls else 'http'}://{name}:{self.device_port}"
        kind = "tls:" if tls else ""
        if tls:
            flags.update(tls_cert=tls[0], tls_key=tls[1])
        super().__init__(
            f"sqlite:{directory}/relay.db",
            directory,
            port=port,
            listen=[f"127.0.0.1:{port}", *(f"{kind}{a}:{self.device_port}" for a in (RELAY, f"[{RELAY6}]"))],
            public_url=url,
            insecure="on",
            **flags,
        )

    def start(self, *arguments, **options):
        with Inside(self.router):
            return super().start(*arguments, **options)

    def request(self, *arguments, **options):
        with Inside(self.router):
            return super().request(*arguments, **options)

    def metrics(self):
        with Inside(self.router):
            return super().metrics()


class Daemon(Distributor):
    """The distributor on the laptop, with one hook that appends each message to a file as a line. clock: its own;
    bus: in the place of the session's and the system's; etc: files that it sees in /etc, by name."""

    def __init__(self, laptop, relay, directory, catch_up="off", command="cat >>@GOT; echo >>@GOT", env=None,
                 clock=None, bus=None, etc=None, **flags):
        self.laptop = laptop
        self.clock = clock
        self.bus = bus
        self.etc = etc or {}
        self.got_path = directory / "got"
        self.got_path.touch()
        command = "sh -c '" + command.replace("@GOT", str(self.got_path)) + "'"
        environment = {"DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/nonexistent/bus", **NO_PROXY, **(env or {})}
        if bus:
            environment.update(DBUS_SYSTEM_BUS_ADDRESS=bus.address, DBUS_SESSION_BUS_ADDRESS=bus.address)
        super().__init__(
            relay,
            directory,
            f"[hook mail]\ncommand = {command}\nquiet = 0\ncatch_up = {catch_up}\n",
            environment,
            **{"relay": relay.base.replace("http", "ws") + "/", "insecure": "on", "log_level": "debug", **flags},
        )
        self.sent = 0

    def start(self):
        with Inside(self.laptop):
            return super().start()

    def launch(self, words, log):
        pass_fds = ()
        if self.clock:
            shift, pass_fds = self.clock.begin()
            words = [*shift, *words]
        if self.etc:
            words = ["unshare", "-m", "sh", "-c", self._mount_etc() + 'exec "$@"', "sh", *words]
        process = Process(words, log, self.env, pass_fds)
        if self.clock:
            self.clock.begun()
        return process

    def _mount_etc(self):
        (self.directory / "etc").mkdir(exist_ok=True)
        script = ""
        for name, text in self.etc.items():
            (self.directory / "etc" / name).write_text(text)
            script += f"mount --bind {self.directory}/etc/{name} /etc/{name} && "
        return script

    def tool(self, *words):
        """`bellwire` on its bus."""
        return run_tool(*words, env=self.env)

    def status(self):
        """`bellwire status --json`."""
        return json.loads(self.tool("status", "--json").stdout)

    def report(self):
        """The same, asked of the management interface itself."""
        name = "org.bellwire.Distributor"
        return self.bus.object(name, "/org/bellwire/Distributor", name).Status()

    # ---- its log ----

    def count(self, pattern):
        return len(re.findall(pattern, self.process.log()))

    def sessions(self):
        """How often the relay has greeted it."""
        return int(self.relay.metrics()["bellwire_device_hellos_total"])

    def attempts(self):
        """How often it set out to connect."""
        return self.count("debug link: attempt")

    def wait_up(self, timeout=20):
        self.wait(lambda: self.state() == "up", timeout, "an up link")

    def state(self):
        found = re.findall(r"\blink (stopped|offline|waiting|connecting|opening|greeting|up|refused) relay", self.process.log())
        return found[-1] if found else None

    def wait(self, condition, timeout, what):
        try:
            return wait_until(condition, timeout, what)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.process.log()[-6000:]}") from None

    # ---- messages ----

    def post(self, **headers):
        """A message to the hook; its text."""
        self.sent += 1
        text = f"message {self.sent}"
        self.relay.push(self.endpoint, text.encode(), **headers)
        return text

    @property
    def endpoint(self):
        if not hasattr(self, "_endpoint"):
            self._endpoint = self.keys("mail")["endpoint"]
        return self._endpoint

    def got(self):
        return [line for line in self.got_path.read_text().splitlines() if line]

    def wait_got(self, text, timeout=20):
        self.wait(lambda: text in self.got(), timeout, f"{text!r} at the hook")

    def wait_each_once(self, timeout=20):
        """Every message at the hook, in whatever order."""
        self.wait(lambda: sorted(self.got()) == sorted(f"message {n}" for n in range(1, self.sent + 1)), timeout,
                  "every message once")

    def wait_hooks(self, timeout=20):
        """Every message had a run of its own, and that has ended."""
        self.wait(lambda: self.count("hook ran hook=mail messages=1") == self.sent, timeout, "the end of the hooks")

    def is_drained(self):
        return self.relay.metrics()["bellwire_messages_queued"] == 0

    def wait_drained(self, timeout=20):
        self.wait(self.is_drained, timeout, "a drained queue")


class Household:
    """laptop, relay and daemon, up and with its endpoint known. has_line: a Line in the cable of eth0; has_clock: the
    daemon's clocks are the test's; has_bus: a private bus for it, with mock services when the test starts them."""

    def __init__(self, directory, plug=True, has_line=False, has_clock=False, has_bus=False, before=None, name=RELAY,
                 check=True, up=True, tls=None, **options):
        self.daemon = self.relay = self.bus = None
        self.clock = options["clock"] = Clock() if has_clock else None
        self.laptop = Laptop(has_line)
        self.line = self.laptop.line
        try:
            if has_bus:
                from .system_bus import SystemBus  # needs python3-dbus, which the others do not

                self.bus = options["bus"] = SystemBus(directory)
            if before:
                before(self)
            (directory / "relay").mkdir()
            relay_flags = options.pop("relay_flags", {})
            self.relay = RouterRelay(self.laptop.router, directory / "relay", name, tls, **relay_flags)
            if plug:
                self.laptop.plug()
            (directory / "daemon").mkdir()
            self.daemon = Daemon(self.laptop, self.relay, directory / "daemon", **options)
            if plug and up:
                self.daemon.wait_up()
            if plug and up and check:
                self.check()
        except BaseException:
            self.close()
            raise

    def check(self, timeout=20):
        """A message gets through."""
        self.daemon.wait_got(self.daemon.post(), timeout)
        self.daemon.wait_drained(timeout)

    def hear(self):
        """A message passes, and with it the answer to what the daemon has asked before: the clock may jump."""
        self.daemon.wait_got(self.daemon.post(urgency="high"))
        self.daemon.report()

    def settle(self, seconds=1.5):
        """All news of the network are gathered and judged, which takes a second at most."""
        quiet = now()
        log = ""
        while now() - quiet < seconds:
            if log != (log := self.daemon.process.log()):
                quiet = now()
            time.sleep(0.05)

    def back_at_once(self, text, since, limit=AT_ONCE):
        """text has come and nothing is queued, so many seconds after `since`; returns how many it took."""
        self.daemon.wait_got(text, limit + 30)
        self.daemon.wait_drained(limit + 30)
        took = time.monotonic() - since
        assert took < limit, f"{took:.2f} s\n{self.daemon.process.log()[-6000:]}"
        return took

    def close(self):
        try:
            for part in (self.daemon, self.relay):
                if part:
                    part.finish()
        finally:
            for part in (self.bus, self.clock, self.laptop):
                if part:
                    part.close()


def now():
    return time.monotonic()
