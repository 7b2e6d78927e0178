# SPDX-License-Identifier: Apache-2.0
"""`bellwire jmap` of somebody whose files lie in the test's directory."""

import fcntl
import os
import pty
import select
import signal
import subprocess
import termios
import time

from harness.tool import TOOL, check_sanitizers, run_tool


class Desk:
    """Configuration and state of one user; session: with a session bus."""

    def __init__(self, directory, session=None):
        self.directory = directory
        self.env = dict(session.env) if session else {
            "HOME": str(directory), "XDG_CONFIG_HOME": str(directory / "config"), "XDG_STATE_HOME": str(directory / "state"),
            "DBUS_SESSION_BUS_ADDRESS": f"unix:path={directory}/no-bus", "XDG_RUNTIME_DIR": str(directory),
        }  # fmt: skip
        self.config = (session.directory if session else directory) / "config/bellwire/distributor.conf"
        state = session.directory / "home/state" if session else directory / "state"
        self.state = state / "bellwire"

    @property
    def text(self):
        return self.config.read_text() if self.config.exists() else ""

    def write(self, text):
        self.config.parent.mkdir(parents=True, exist_ok=True)
        self.config.write_text(text)

    def jmap(self, *words, secret="secret", timeout=120):
        return run_tool("jmap", *words, text=f"{secret}\n" if secret is not None else "", env=self.env, timeout=timeout)

    def add(self, jmap, *words, where=None, **options):
        words = (where or jmap.well_known, "--ca", jmap.ca_file, "--no-start", "--name", "work", *words)
        user = () if where and "@" in where else ("--user", "ann@localhost")
        return self.jmap("add", *words, *user, **options)

    def secret(self, name="work"):
        path = self.state / "secrets" / name
        return path.read_text() if path.exists() else None

    def assert_untouched(self, text=""):
        assert self.text == text
        assert not (self.state / "secrets").exists() or not list((self.state / "secrets").iterdir())


def own_terminal():
    """In the child: it gets the terminal's signals, and a shell's background jobs ignore some."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    for number in (signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)


class Terminal:
    """The tool on a terminal of its own; prefix: what runs it."""

    def __init__(self, env, *words, prefix=()):
        self.leader, follower = pty.openpty()
        self.child = subprocess.Popen(
            [*prefix, TOOL, *map(str, words)], stdin=follower, stdout=follower, stderr=follower, env={**os.environ, **env},
            start_new_session=True, preexec_fn=own_terminal,
        )  # fmt: skip
        os.close(follower)
        self.text = ""

    def wait_text(self, words, timeout=30):
        deadline = time.monotonic() + timeout
        while words not in self.text:
            left = max(deadline - time.monotonic(), 0)
            assert select.select([self.leader], [], [], left)[0], f"no {words!r} in {self.text!r}"
            try:
                got = os.read(self.leader, 65536)
            except OSError:  # the other end is closed
                got = b""
            assert got, f"ended without {words!r}: {self.text!r}"
            self.text += got.decode()

    def type(self, text):
        os.write(self.leader, text.encode())

    def finish(self, timeout=60):
        """Its exit status, all that it said in text."""
        while True:
            try:
                got = os.read(self.leader, 65536)
            except OSError:
                break
            if not got:
                break
            self.text += got.decode()
        status = self.child.wait(timeout)
        os.close(self.leader)
        check_sanitizers(self.text)
        return status
