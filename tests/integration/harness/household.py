# SPDX-License-Identifier: Apache-2.0
"""A laptop that runs the real distributor, and the real relay behind its router: what happens on the way between."""

import ctypes
import re
import time

from . import relay as relay_module
from .distributor import Distributor
from .laptop import RELAY, RELAY6, Laptop
from .process import free_port, wait_until

CLONE_NEWNET = 0x40000000
libc = ctypes.CDLL(None, use_errno=True)


class Inside:
    """This thread is in the namespace meanwhile: sockets and children that it makes belong there."""

    def __init__(self, namespace):
        self.namespace = namespace

    def __enter__(self):
        self.home = open("/proc/thread-self/ns/net")
        self._enter(open(f"/proc/{self.namespace.holder.pid}/ns/net"))

    def __exit__(self, *_):
        self._enter(self.home)

    @staticmethod
    def _enter(file):
        with file:
            if libc.setns(file.fileno(), CLONE_NEWNET) < 0:
                raise OSError(ctypes.get_errno(), "setns")


class RouterRelay(relay_module.Relay):
    """The relay, on the router's addresses; requests of the test are made from there."""

    def __init__(self, router, directory, name=RELAY, **flags):
        self.router = router
        port = free_port()
        url = f"http://{name}:{port}"
        super().__init__(
            directory=directory,
            port=port,
            listen=[f"127.0.0.1:{port}", f"{RELAY}:{port}", f"[{RELAY6}]:{port}"],
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
    """The distributor on the laptop, with one hook that appends each message to a file as a line."""

    def __init__(self, laptop, relay, directory, catch_up="off", env=None, **flags):
        self.laptop = laptop
        self.got_path = directory / "got"
        self.got_path.touch()
        command = f"sh -c '(cat; echo) >>{self.got_path}'"
        environment = {"DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/nonexistent/bus", **(env or {})}
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

    # ---- its log ----

    def count(self, pattern):
        return len(re.findall(pattern, self.process.log()))

    def sessions(self):
        """How often the relay has greeted it."""
        return int(self.relay.metrics()["bellwire_device_hellos_total"])

    def attempts(self):
        """How often it set out to connect."""
        return self.count(r"link (connecting|reconnects) relay")

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

    def post(self, text=None):
        """A message to the hook; its text."""
        self.sent += 1
        text = text or f"message {self.sent}"
        self.relay.push(self.endpoint, text.encode())
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

    def is_drained(self):
        return self.relay.metrics()["bellwire_messages_queued"] == 0

    def wait_drained(self, timeout=20):
        self.wait(self.is_drained, timeout, "a drained queue")


class Household:
    """laptop, relay and daemon, up and with its endpoint known."""

    def __init__(self, directory, plug=True, laptop=None, **options):
        self.laptop = laptop or Laptop()
        self.daemon = self.relay = None
        try:
            (directory / "relay").mkdir()
            relay_flags = options.pop("relay_flags", {})
            self.relay = RouterRelay(self.laptop.router, directory / "relay", **relay_flags)
            if plug:
                self.laptop.plug()
            (directory / "daemon").mkdir()
            self.daemon = Daemon(self.laptop, self.relay, directory / "daemon", **options)
            if plug:
                self.daemon.wait_up()
                self.check()
        except BaseException:
            self.close()
            raise

    def check(self, timeout=20):
        """A message gets through."""
        self.daemon.wait_got(self.daemon.post(), timeout)
        self.daemon.wait_drained(timeout)

    def back_within(self, text, since, limit):
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
            self.laptop.close()


def now():
    return time.monotonic()
