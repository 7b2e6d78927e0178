# SPDX-License-Identifier: Apache-2.0
"""A full disk: known apps register and get their pushes, new ones wait for room, it is said once, and nothing is lost."""

import json
import subprocess

import pytest
from harness.process import wait_until
from session import SUCCEEDED, failed

SERVICE, ABSENT = "org.example.App", "org.example.Absent"
SIZE_KIB = 512


class Disk:
    def __init__(self, path):
        self.path = path

    def fill(self):
        """To the last byte."""
        with open(self.path / "ballast", "wb", buffering=0) as ballast:
            for bytes_ in (4096, 1):
                try:
                    while True:
                        ballast.write(bytes(bytes_))
                except OSError:
                    pass

    def is_quiet(self):
        """Two registrations, a pool of eight and their copy are written: a save under way would give room back."""
        state, copy = self.path / "state.json", self.path / "state.json.bak"
        text = state.read_text()
        is_whole = text.count("/p/") == 10 and text.count('"announced": true') == 2
        return is_whole and copy.exists() and copy.read_text() == text and not list(self.path.rglob("*.new-*"))

    def make_room(self):
        (self.path / "ballast").unlink()


@pytest.fixture
def disk(session):
    path = session.directory / "state-of-daemon"
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE_KIB}k,mode=0700", "tmpfs", path]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"needs the right to mount a tmpfs: {done.stderr.strip()}")
    yield Disk(path)
    subprocess.run(["umount", "-l", path], check=True)


@pytest.fixture
def full(disk, start_daemon, session, caller, clock):
    """A daemon whose disk has just become full, with an app that runs and one that does not."""
    daemon = start_daemon(clock=clock)
    app = session.app(SERVICE).start()
    absent = session.app(ABSENT).start()
    assert caller.register(SERVICE, "token") == SUCCEEDED
    assert caller.register(ABSENT, "absent") == SUCCEEDED
    daemon.endpoint = app.wait("NewEndpoint")[0]["endpoint"]
    daemon.absent_endpoint = absent.wait("NewEndpoint")[0]["endpoint"]
    absent.stop()
    daemon.settle()
    clock.advance(6)  # what is not urgent is written after five seconds
    wait_until(disk.is_quiet, 20, "a quiet disk")
    disk.fill()
    daemon.app = app
    return daemon


def told(daemon):
    return daemon.process.log().count("cannot be written")


def trouble(daemon):
    return daemon.status()["disk_trouble"]


def wait_recovered(daemon):
    wait_until(lambda: trouble(daemon) == "", 30, "the disk's recovery")


def tokens_on_disk(daemon):
    state = json.loads((daemon.state_dir / "state.json").read_text())
    return {r["token"] for r in state["registrations"]["list"]}


def test_full_and_room_again(full, disk, caller, session):
    daemon, app = full, full.app
    # a new app is refused, for what is told to an app is on the disk; a known one is served
    assert caller.register(SERVICE, "new") == failed("INTERNAL_ERROR")
    assert caller.register(SERVICE, "token") == SUCCEEDED
    assert app.wait("NewEndpoint", 2)[1]["endpoint"] == daemon.endpoint
    daemon.push(daemon.endpoint, b"one")
    app.wait("Message")
    daemon.wait_acknowledged(1)
    # an absent app's message is not acknowledged, so that the relay keeps it
    daemon.push(daemon.absent_endpoint, b"two")
    wait_until(lambda: daemon.status()["waiting"] == 1, 20, "the message")
    assert trouble(daemon) == "No space left on device"
    assert "No space left on device" in daemon.tool("status").stdout
    assert caller.register(SERVICE, "new") == failed("INTERNAL_ERROR")
    for _ in range(20):
        daemon.push(daemon.endpoint, b"more")
    daemon.wait_acknowledged_only(21)
    assert told(daemon) == 1, daemon.process.log()[-3000:]
    assert daemon.relay.metrics()["bellwire_messages_queued"] == 1
    disk.make_room()
    # what was refused is done now, and told
    app.wait("NewEndpoint", 3, timeout=30)
    wait_recovered(daemon)
    assert {"token", "absent", "new"} <= tokens_on_disk(daemon)
    wait_until(lambda: daemon.status()["kept_on_disk"] == 1, 30, "the queue")
    daemon.wait_acknowledged(22)
    assert daemon.process.log().count("takes what is written again") == 1
    daemon.kill()
    daemon.start()
    daemon.push(app.events("NewEndpoint")[2]["endpoint"], b"for the new one")
    daemon.push(daemon.endpoint, b"three")
    app.wait("Message", 23)
    late = session.app(ABSENT).start()
    assert bytes.fromhex(late.wait("Message")[0]["message"]) == b"two"
    assert trouble(daemon) == ""
    assert not list(daemon.state_dir.rglob("*.damaged-*"))


def test_kill_while_it_is_full(full, disk, caller, session):
    """What was confirmed is there, what was not taken comes again, what was refused is nowhere."""
    daemon, app = full, full.app
    daemon.push(daemon.absent_endpoint, b"for the absent one")
    daemon.push(daemon.endpoint, b"for the app")
    app.wait("Message")
    daemon.wait_acknowledged_only(1)
    assert caller.register(SERVICE, "new") == failed("INTERNAL_ERROR")
    daemon.kill()
    daemon.start()
    assert caller.register(SERVICE, "token") == SUCCEEDED
    assert app.wait("NewEndpoint", 2)[1]["endpoint"] == daemon.endpoint
    late = session.app(ABSENT).start()
    assert bytes.fromhex(late.wait("Message")[0]["message"]) == b"for the absent one"
    daemon.wait_acknowledged(2)
    assert tokens_on_disk(daemon) == {"token", "absent"}


def test_unregister_while_it_is_full(full, disk, caller):
    """The app is told, the relay only when the disk has it: a crash before would leave a dead endpoint behind."""
    daemon, app = full, full.app
    caller.unregister("token")
    app.wait("Unregistered")
    assert daemon.relay.post(daemon.endpoint).status == 201
    disk.make_room()
    wait_until(lambda: daemon.relay.post(daemon.endpoint).status in (404, 410), 30, "the endpoint's end")
    assert tokens_on_disk(daemon) == {"absent"}


def test_a_wish_may_be_withdrawn(full, disk, caller):
    daemon, app = full, full.app
    assert caller.register(SERVICE, "new") == failed("INTERNAL_ERROR")
    caller.unregister("new")
    disk.make_room()
    wait_recovered(daemon)
    assert caller.register(SERVICE, "newer") == SUCCEEDED
    wait_until(lambda: len(app.events("NewEndpoint")) == 2, 20, "the endpoint")
    assert "new" not in tokens_on_disk(daemon)


def test_a_stop_while_it_is_full(full, disk, caller):
    daemon = full
    assert caller.register(SERVICE, "new") == failed("INTERNAL_ERROR")
    daemon.push(daemon.absent_endpoint, b"waits")
    wait_until(lambda: daemon.status()["waiting"] == 1, 20, "the message")
    daemon.stop()
    assert told(daemon) == 1
    daemon.start()
    assert caller.register(SERVICE, "token") == SUCCEEDED


def test_a_start_on_a_full_disk(full, disk, caller):
    daemon, app = full, full.app
    daemon.stop()
    daemon.start()
    daemon.push(daemon.endpoint, b"one")
    app.wait("Message")
    assert caller.register(SERVICE, "new") == failed("INTERNAL_ERROR")
    assert trouble(daemon) == "No space left on device"
    disk.make_room()
    app.wait("NewEndpoint", 2, timeout=30)
