# SPDX-License-Identifier: Apache-2.0
"""A state directory that was copied to a second machine: neither may believe that it gets pushes when it does not."""

import shutil

import pytest
from daemon import Daemon
from desktop import Server
from harness.clock import Clock
from harness.process import wait_until
from session import SUCCEEDED, Caller, Session

SERVICE = "org.example.App"
WORDS = "another machine uses our identity"


class Machine:
    """A session of its own, with an app and a daemon; state: whose files it begins with."""

    def __init__(self, directory, relay, state=None):
        directory.mkdir()
        self.session = Session(directory)
        self.desktop = Server(self.session)
        self.clock = Clock()
        self.app = self.session.app(SERVICE).start()
        self.daemon = Daemon(self.session, relay, {}, self.clock)
        if state:
            shutil.copytree(state, self.daemon.state_dir, ignore=shutil.ignore_patterns("lock", "*.new-*"))
        self.daemon.start()

    def is_up(self):
        return self.daemon.status()["state"] == "up"

    def wait(self, state):
        wait_until(lambda: self.daemon.status()["state"] == state, 20, f"{state}, not {self.daemon.status()}")

    def close(self):
        self.daemon.finish()
        self.desktop.process.kill()
        self.session.finish()
        self.clock.close()


@pytest.fixture
def machines(tmp_path, relay):
    made = []

    def add(state=None):
        made.append(Machine(tmp_path / f"machine{len(made)}", relay, state))
        return made[-1]

    yield add
    for one in made:
        one.close()


def test_a_copy(machines, relay):
    first = machines()
    assert Caller(first.session).register(SERVICE, "token") == SUCCEEDED
    endpoint = first.app.wait("NewEndpoint")[0]["endpoint"]
    first.daemon.wait_pool()
    wait_until(lambda: not list(first.daemon.state_dir.glob("*.new-*")), 20, "quiet")
    second = machines(first.daemon.state_dir)
    second.wait("up")
    # the first one is told at once, and gives way for a minute
    first.wait("waiting")
    assert WORDS in first.daemon.status()["reason"], first.daemon.status()
    relay.push(endpoint, b"one")
    second.app.wait("Message")
    # it tries again, and it is the other one's turn
    first.clock.advance(61)
    first.wait("up")
    second.wait("waiting")
    second.clock.advance(61)
    second.wait("up")
    # the second time it is a matter for the user
    first.wait("refused")
    ((_, _, title, text, _),) = first.desktop.shown(1)
    assert title == "Pushes do not arrive" and WORDS in text
    assert first.daemon.tool("status").returncode == 3
    relay.push(endpoint, b"two")
    second.app.wait("Message", 2)
    assert second.is_up() and second.desktop.shown() == []
    assert relay.process.log().count("device is used on two machines") >= 1


def test_a_move_to_another_machine(machines, relay):
    """The first one has ended: nothing is wrong with that."""
    first = machines()
    assert Caller(first.session).register(SERVICE, "token") == SUCCEEDED
    endpoint = first.app.wait("NewEndpoint")[0]["endpoint"]
    first.daemon.kill()
    second = machines(first.daemon.state_dir)
    second.wait("up")
    relay.push(endpoint, b"one")
    second.app.wait("Message")
    assert second.is_up() and "two machines" not in relay.process.log()
