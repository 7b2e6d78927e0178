# SPDX-License-Identifier: Apache-2.0
"""A person with mail: session bus, desktop, keyring, a real relay, a JMAP server, and the real daemon between them."""

import contextlib
import json
import os
import pathlib
import re
import socket
import stat
import sys
import time

import dbus
from daemon import Daemon
from desktop import MOCK, Desktop
from harness.certificates import make_certificate
from harness.clock import Clock
from harness.distributor import RECORD
from harness.process import Process, wait_until
from harness.relay import Relay
from harness.tool import run_tool
from jmap_server import JmapServer
from secure import secure_relay
from session import Session

SECRETS, SECRETS_OBJECT = "org.freedesktop.secrets", "/org/freedesktop/secrets"
ITEM = "org.freedesktop.Secret.Item"
CONTROL = ("org.bellwire.Distributor", "/org/bellwire/Distributor", "org.bellwire.Distributor")
PASSWORD = "s3cr3t-0f-ann"


class Keyring:
    """The mock Secret Service; options are those of its template."""

    def __init__(self, session, **options):
        self.connection = session.connect()
        template = pathlib.Path(__file__).with_name("secret_service.py")
        words = ["-m", "dbusmock", "--session", "--template", template, "-p", json.dumps(options)]
        self.process = Process([sys.executable, *words], session.directory / "keyring.log", session.env)
        wait_until(lambda: self.connection.name_has_owner(SECRETS), 10, "the keyring")

    def object(self, path, interface):
        return dbus.Interface(self.connection.get_object(SECRETS, path, introspect=False), f"org.freedesktop.Secret.{interface}")

    def calls(self, method):
        mock = dbus.Interface(self.connection.get_object(SECRETS, SECRETS_OBJECT, introspect=False), MOCK)
        return mock.GetMethodCalls(method)

    def find(self, **wish):
        unlocked, locked = self.object(SECRETS_OBJECT, "Service").SearchItems(dbus.Dictionary(wish, "ss"))
        return list(map(str, [*unlocked, *locked]))

    def lock(self, is_locked=True, dismissed=False, absent=False):
        """dismissed, absent: what the user does when asked to unlock it."""
        self.object(SECRETS_OBJECT, "Test").Lock(is_locked, dismissed, absent)

    def put(self, attributes, secret):
        """As another tool stores it."""
        wish = dbus.Dictionary({f"{ITEM}.Attributes": dbus.Dictionary(attributes, "ss"), f"{ITEM}.Label": "theirs"}, "sv")
        parts = (dbus.ObjectPath("/"), dbus.ByteArray(b""), dbus.ByteArray(secret), "text/plain")
        collection = self.object(f"{SECRETS_OBJECT}/collection/login", "Collection")
        collection.CreateItem(wish, dbus.Struct(parts, signature="oayays"), True)

    def secret(self, path):
        session = dbus.ObjectPath(f"{SECRETS_OBJECT}/session/s1")
        return bytes(self.object(path, "Item").GetSecret(session)[2])


class Login:
    """A [jmap NAME] section: keys by keyword (None leaves one out), its password in a file that a command reads."""

    def __init__(self, person, name, server, user="ann@localhost", password=PASSWORD, **keys):
        self.person, self.name, self.server, self.user = person, name, server, user
        self.file = person.directory / f"password-{name}"
        self.asked = person.directory / f"asked-{name}"
        self.asked.touch()
        self.script = person.directory / f"ask-{name}"
        self.script.write_text(f"#!/bin/sh\necho >>{self.asked}\nexec cat {self.file}\n")
        self.script.chmod(0o700)
        self.set_password(password)
        self.keys = {
            "session_url": server.well_known, "user": user, "password_command": str(self.script),
            "ca_file": server.ca_file, "on_change": person.recorder(f"runs-{name}"), **keys,
        }  # fmt: skip

    def set_password(self, password):
        self.file.write_text(password + "\n")

    def password_was_asked(self):
        return len(self.asked.read_text())

    def section(self):
        lines = [f"{key} = {value}" for key, value in self.keys.items() if value is not None]
        return "\n".join([f"[jmap {self.name}]", *lines]) + "\n"

    def runs(self, count=0, timeout=20):
        """What the runs of on_change were told, once there are so many."""
        return self.person.records(f"runs-{self.name}", count, timeout)


class Person:
    """Starts bus, desktop and relay at once, the daemon on start()."""

    def __init__(self, directory, is_secure=False, relay_flags=None, system_bus=None, capabilities=None, has_clock=False):
        self.directory = pathlib.Path(directory)
        self.relays, self.servers, self.logins = [], [], []
        self.daemon = self.desktop = self.session = self.keyring = None
        self.clock = Clock() if has_clock else None
        self.flags = {"log_level": "debug", "config": self.directory / "distributor.conf"}
        try:
            (self.directory / "record.py").write_text(RECORD)
            self.session = Session(self.directory)
            self.session.env["DBUS_SYSTEM_BUS_ADDRESS"] = (
                system_bus.address if system_bus else "unix:path=/nonexistent/bus"
            )
            self.desktop = self.start_desktop(capabilities)
            self.relay = self.new_relay(is_secure, **(relay_flags or {}))
        except BaseException:
            self.finish()
            raise

    # ---- parts ----

    def start_desktop(self, capabilities):
        return Desktop(self.session, *([capabilities] if capabilities else []))

    def new_relay(self, is_secure=False, **flags):
        directory = self.directory / f"relay{len(self.relays)}"
        store = f"sqlite:{directory}/relay.db"
        if is_secure:
            relay = secure_relay(directory, make_certificate(self.directory, 1), store, **flags)
            self.flags.update(relay=relay.wss, ca_file=relay.cert)
        else:
            directory.mkdir()
            relay = Relay(store, directory, **flags)
        self.relays.append(relay)
        return relay

    def server(self, **settings):
        """A JMAP server where ann has an account."""
        if "push_ca" not in settings and "ca_file" in self.flags:
            settings["push_ca"] = self.flags["ca_file"]
        self.servers.append(JmapServer(self.directory / f"jmap{len(self.servers)}", **settings))
        if self.clock:
            self.servers[-1].pusher.clock = lambda: time.time() + self.clock.wall
        self.servers[-1].login("ann@localhost", PASSWORD)
        return self.servers[-1]

    def start_keyring(self, **options):
        self.keyring = Keyring(self.session, **options)
        return self.keyring

    def login(self, name="work", server=None, **keys):
        self.logins.append(Login(self, name, server or self.servers[0], **keys))
        return self.logins[-1]

    def recorder(self, name):
        """A command that writes down its environment and, behind the file's name, nothing else."""
        return f"/usr/bin/python3 -S {self.directory}/record.py {self.directory}/{name}"

    def records(self, name, count=0, timeout=20):
        path = self.directory / name

        def found():
            lines = path.read_text().splitlines(keepends=True) if path.exists() else []
            return [json.loads(line) for line in lines if line.endswith("\n")]

        if count:
            self.wait(lambda: len(found()) >= count, timeout, f"{count} runs in {name}, not {found()}")
        return found()

    # ---- the daemon ----

    def configure(self, more=""):
        self.flags["config"].write_text(more + "\n".join(login.section() for login in self.logins))

    def start(self, is_verified=True, **flags):
        self.configure()
        if self.daemon is None:
            self.daemon = Daemon(self.session, self.relay, {**self.flags, **flags}, self.clock)
        self.daemon.start()
        if is_verified:
            self.wait_verified()
            for login in self.logins:  # else the look behind the verification finds the first mail of the test
                self.wait_log(f"looked login={login.name} ", 2)
                self.wait_log(f"looked login={login.name} reason=push")
        return self.daemon

    def pass_time(self, condition, seconds, what, step=0.5):
        """The daemon's time passes in steps, up to so many seconds, until it is so; the condition's value."""
        for _ in range(int(seconds / step) + 1):
            value = condition()
            if value:
                return value
            self.clock.advance(step)
            self.tool("status")  # what it began then has some real time
            if step > 10:
                self.wait(lambda: not self.is_asking(), 20, "answers")
        return self.wait(condition, 20, what)

    def is_asking(self):
        """A server has a request that it has not answered."""
        return any(server.under_way for server in self.servers)

    def rest(self):
        """What the daemon asked is answered and read: now its time may jump, else its calls time out."""
        seen, since = None, 0.0

        def is_quiet():
            nonlocal seen, since
            for _ in range(2):
                self.call("Status")
                self.desktop.notices()
            self.call("Status")
            requests = [len(server.requests) for server in self.servers]
            if self.is_asking() or requests != seen:
                seen, since = requests, time.monotonic()
            return time.monotonic() - since > 0.1

        self.wait(is_quiet, 20, "rest")

    def restart(self):
        self.daemon.stop()
        return self.daemon.start()

    def wait(self, condition, timeout, what):
        try:
            return wait_until(condition, timeout, what)
        except AssertionError as error:
            log = self.daemon.process.log()[-8000:] if self.daemon and self.daemon.process else ""
            raise AssertionError(f"{error}\n{self.desktop.notices()}\n{log}") from None

    def wait_verified(self, timeout=20):
        """Every login is known to the daemon to be pushed to, and has looked: what comes now is news."""
        for login in self.logins:
            self.wait(lambda: login.server.verified(login.user), timeout, f"{login.name} verified at its server")
            self.wait_way("push", login.name, timeout)
            self.wait_looked(login.name, timeout)

    def wait_mail(self, subject, timeout=20):
        """Its one notice; the daemon's log when it does not come."""
        self.wait(lambda: self.desktop.about(subject), timeout, f"a notice of {subject!r}")
        return self.desktop.about(subject)[0]

    def wait_looked(self, name="work", timeout=20):
        """The first look is over; mail from before it counts as old."""
        self.wait_log(f"looked login={name} ", timeout=timeout)

    def wait_log(self, words, count=1, timeout=20):
        self.wait(lambda: self.daemon.process.log().count(words) >= count, timeout, f"{count} times {words!r} in the log")

    def assert_once(self, *subjects, marker="the last one", login=None):
        """Each was shown once and is not shown again, as a later mail proves."""
        login = login or self.logins[0]
        login.server.deliver(login.server.logins[login.user], marker)
        self.wait_mail(marker)
        for subject in subjects:
            assert len(self.desktop.about(subject)) == 1, (subject, self.desktop.notices())

    def trouble(self):
        """Notices that are of no mail."""
        subjects = [
            email["subject"]
            for server in self.servers
            for login in server.logins.values()
            for account in login.accounts.values()
            for email in account.emails.values()
        ]
        return [n for n in self.desktop.notices() if not any(s in n for s in subjects if s)]

    # ---- what the daemon says ----

    def tool(self, *words, **options):
        return run_tool(*words, env=self.session.env, **options)

    def call(self, method, signature="", *arguments, timeout=30):
        """A method of the management interface."""
        return self.daemon.watcher.call_blocking(*CONTROL, method, signature, arguments, timeout=timeout)

    def statuses(self):
        done = self.tool("jmap", "list", "--json")
        assert done.returncode == 0, done.stderr
        return {each["name"]: each for each in json.loads(done.stdout)}

    def status(self, name="work"):
        return self.statuses()[name]

    def wait_way(self, way, name="work", timeout=20):
        def is_so():
            status = self.statuses().get(name)
            return status if status and status["way"] == way else None

        return self.wait(is_so, timeout, f"the way {way} of {name}")

    def wait_reason(self, *words, name="work", timeout=20):
        """The status gives a reason in which one of the words stands."""

        def is_so():
            status = self.statuses().get(name)
            return status if status and any(w.lower() in status["reason"].lower() for w in words) else None

        try:
            return self.wait(is_so, timeout, f"a reason with {words}")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.statuses()}") from None

    # ---- limits ----

    def memory_kib(self, field="VmHWM"):
        text = pathlib.Path(f"/proc/{self.daemon.process.pid}/status").read_text()
        return int(re.search(rf"{field}:\s+(\d+)", text)[1])

    def reset_peak(self):
        pathlib.Path(f"/proc/{self.daemon.process.pid}/clear_refs").write_text("5")

    def wake_ups(self):
        """Voluntary switches of all its threads so far: each is a wait that has ended."""
        total = 0
        for task in pathlib.Path(f"/proc/{self.daemon.process.pid}/task").iterdir():
            total += int(re.search(r"\nvoluntary_ctxt_switches:\s+(\d+)", (task / "status").read_text())[1])
        return total

    # ---- secrets ----

    def assert_no_secret(self, *secrets, extra=()):
        """In no log, no state file, no command line; state files are private."""
        state = self.daemon.state_dir
        texts = {path: path.read_bytes() for path in self.directory.glob("daemon-*.log")}
        for path in [p for p in state.rglob("*") if p.is_file()]:
            with contextlib.suppress(FileNotFoundError):  # one being written has its final name by now
                mode = stat.S_IMODE(path.stat().st_mode)
                assert mode & 0o077 == 0, (path, oct(mode))
                if path.parent.name != "secrets":
                    texts[path] = path.read_bytes()
        texts.update(enumerate(text.encode() for text in extra))
        for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                texts[path] = path.read_bytes()
        for path, text in texts.items():
            for secret in secrets:
                assert secret.encode() not in text, f"{secret!r} stands in {path}"

    def finish(self):
        try:
            if self.daemon:
                self.daemon.finish()
        finally:
            for server in self.servers:
                server.finish()
            for relay in self.relays:
                relay.finish()
            if self.clock:
                self.clock.close()
            for mock in filter(None, (self.desktop, self.keyring)):
                mock.process.kill()
            if self.session:
                self.session.finish()


def words_of(text):
    return [word for word in re.split(r"[\s,]+", text) if word]


def telltale_names():
    """What must not be found in a name that others see."""
    names = [socket.gethostname(), os.environ.get("USER", ""), "ann", "localhost", "work"]
    with contextlib.suppress(OSError):
        names.append(pathlib.Path("/etc/machine-id").read_text().strip())
    return [name.lower() for name in names if len(name) > 2]


def count_for(seconds, counted):
    """How much a counter grows in a span of time: for what must not happen."""
    before = counted()
    time.sleep(seconds)
    return counted() - before
