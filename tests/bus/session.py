# SPDX-License-Identifier: Apache-2.0
"""A private session bus with a service directory of its own, apps on it, and a caller of the distributor."""

import json
import os
import pathlib
import socket
import subprocess
import sys
import threading

import dbus
import dbus.bus
import dbus.lowlevel
from harness.process import Process, wait_until

HERE = pathlib.Path(__file__).resolve().parent
NAME = "org.unifiedpush.Distributor.bellwire"
OBJECT = "/org/unifiedpush/Distributor"
PYTHON = sys.executable


CONFIGURATION = """\
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
  "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <include>/usr/share/dbus-1/session.conf</include>
  <policy context="mandatory">{rules}</policy>
</busconfig>
"""


class Session:
    """dbus-daemon with this directory's service files only; rules: of its policy, beyond the usual ones."""

    def __init__(self, directory, rules=None):
        self.directory = pathlib.Path(directory)
        self.configuration = ["--session"]
        if rules:
            path = self.directory / "bus.conf"
            path.write_text(CONFIGURATION.format(rules=rules))
            self.configuration = [f"--config-file={path}"]
        self.services = self.directory / "share/dbus-1/services"
        self.services.mkdir(parents=True)
        for name in ("home", "run", "config"):
            (self.directory / name).mkdir(mode=0o700)
        self.address = f"unix:path={self.directory}/bus"
        self.env = {
            "DBUS_SESSION_BUS_ADDRESS": self.address,
            "XDG_DATA_DIRS": str(self.directory / "share"),
            "XDG_DATA_HOME": str(self.directory / "home/data"),
            "XDG_STATE_HOME": str(self.directory / "home/state"),
            "XDG_CONFIG_HOME": str(self.directory / "config"),
            "XDG_RUNTIME_DIR": str(self.directory / "run"),
            "HOME": str(self.directory / "home"),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        self.daemon = None
        self.apps = []
        self.connections = []
        self.start()

    def start(self):
        self.daemon = Process(
            ["dbus-daemon", *self.configuration, "--nofork", "--nopidfile", "--nosyslog", f"--address={self.address}"],
            self.directory / "dbus-daemon.log",
            self.env,
        )
        wait_until(self.answers, 10, "the bus")

    def answers(self):
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(self.address.removeprefix("unix:path=")) == 0

    def finish(self):
        for app in self.apps:
            app.finish()
        for connection in self.connections:
            connection.close()
        self.daemon.terminate()

    def connect(self):
        connection = dbus.bus.BusConnection(self.address)
        connection.set_exit_on_disconnect(False)
        self.connections.append(connection)
        return connection

    def app(self, service, version=2, **options):
        app = App(self, service, version, options)
        self.apps.append(app)
        return app

    def activatable(self, service, command):
        """A service file, written as package managers do: complete when it is seen."""
        path = self.services / f"{service}.service"
        new = path.with_suffix(".new")
        new.write_text(f"[D-BUS Service]\nName={service}\nExec={command}\n")
        new.rename(path)


class App:
    """A connector program: started here, or by the bus when its service file is there."""

    def __init__(self, session, service, version, options):
        self.session = session
        self.service = service
        self.version = version
        self.log_path = session.directory / f"app{len(session.apps)}.log"
        self.log_path.touch()
        self.lines, self.read_bytes, self.reading = [], 0, threading.Lock()
        self.process = None
        words = [PYTHON, str(HERE / f"connector_v{version}.py"), "--service", service, "--log", str(self.log_path)]
        for name, value in options.items():
            flag = f"--{name.replace('_', '-')}"
            words += [flag] if value is True else [flag, str(value)]
        self.words = words

    def start(self, until="ready"):
        self.process = Process(
            self.words, self.log_path.with_suffix(".err"), {**self.session.env}
        )
        if until:
            self.wait(until)
        return self

    def make_activatable(self):
        self.session.activatable(self.service, " ".join(self.words))
        return self

    def stop(self):
        self.process.terminate()

    def events(self, *names):
        with self.reading, open(self.log_path, "rb") as log:
            log.seek(self.read_bytes)
            text = log.read()
            whole = text[: text.rfind(b"\n") + 1]
            self.read_bytes += len(whole)
            self.lines += map(json.loads, whole.splitlines())
        return [line for line in self.lines if not names or line["event"] in names]

    def wait(self, name, count=1, timeout=20):
        """The events of this name, when there are that many."""

        def there():
            found = self.events(name)
            return found if len(found) >= count else None

        try:
            return wait_until(there, timeout, f"{count} times {name}")
        except AssertionError as error:
            err = self.log_path.with_suffix(".err")
            text = err.read_text()[-2000:] if err.exists() else ""
            raise AssertionError(f"{error}\n{self.events()}\n{text}") from None

    def finish(self):
        """Ends what was started here, and what the bus started."""
        if self.process:
            self.process.terminate()
        for pid in {event["pid"] for event in self.events("started")}:
            try:
                if self.log_path.name.encode() in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes():
                    os.kill(pid, 15)
            except OSError:
                pass


class Caller:
    """Calls our object from a connection of its own, blocking."""

    def __init__(self, session):
        self.session = session
        self.bus = session.connect()

    @property
    def unique(self):
        return str(self.bus.get_unique_name())

    def call(self, interface, member, signature, *arguments, timeout=25, name=NAME):
        message = dbus.lowlevel.MethodCallMessage(name, OBJECT, interface, member)
        if signature:
            message.append(*arguments, signature=signature)
        return self.bus.send_message_with_reply_and_block(message, timeout).get_args_list()

    def register(self, service, token, **keys):
        """Distributor2: (outcome word, reason or None)."""
        wish = {"service": service, "token": token, **keys}
        (answer,) = self.call("org.unifiedpush.Distributor2", "Register", "a{sv}", wish)
        assert set(answer) <= {"success", "reason", "detail"}, answer
        return str(answer["success"]), str(answer["reason"]) if "reason" in answer else None

    def unregister(self, token):
        (answer,) = self.call("org.unifiedpush.Distributor2", "Unregister", "a{sv}", {"token": token})
        assert answer == {}, answer

    def register_v1(self, service, token, description=""):
        answer = self.call("org.unifiedpush.Distributor1", "Register", "sss", service, token, description)
        return tuple(map(str, answer))

    def unregister_v1(self, token):
        assert self.call("org.unifiedpush.Distributor1", "Unregister", "s", token) == []

    def introspect(self):
        (xml,) = self.call("org.freedesktop.DBus.Introspectable", "Introspect", None)
        return str(xml)


SUCCEEDED = ("REGISTRATION_SUCCEEDED", None)


def failed(reason):
    return ("REGISTRATION_FAILED", reason)


def run_program(arguments, env, timeout=20):
    return subprocess.run(
        arguments, env={**os.environ, **env}, capture_output=True, text=True, timeout=timeout, check=False
    )
