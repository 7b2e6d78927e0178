# SPDX-License-Identifier: Apache-2.0
"""`bellwire listen` at the daemon: what a person registered comes as JSON lines, and a line that was printed is taken."""

import json
import os
import queue
import signal
import subprocess
import threading

import pytest
from harness.process import wait_until
from harness.tool import TOOL, check_sanitizers, run_tool


class Listener:
    """One that runs; its lines as they come. reads=False: nobody does."""

    def __init__(self, daemon, *words, reads=True):
        self.daemon = daemon
        before = self.count()
        self.child = subprocess.Popen(
            [TOOL, "listen", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **daemon.session.env},
        )
        self.lines = queue.Queue()
        if reads:
            self.thread = threading.Thread(target=lambda: [self.lines.put(line) for line in self.child.stdout])
            self.thread.start()
        wait_until(lambda: self.count() > before or self.child.poll() is not None, 20, "the listener")

    def count(self):
        """Calls of Listen that were answered; others are told of it in the log alone."""
        return self.daemon.process.log().count("listener added")

    def line(self, timeout=20):
        return json.loads(self.lines.get(timeout=timeout))

    def end(self, how=signal.SIGTERM):
        """Its exit status and what it said."""
        if self.child.poll() is None and how:
            self.child.send_signal(how)
        status = self.child.wait(20)
        said = self.child.stderr.read()
        check_sanitizers(said)
        return status, said


@pytest.fixture
def listen(daemon):
    listeners = []

    def start(*words, **options):
        listeners.append(Listener(daemon, *words, **options))
        return listeners[-1]

    yield start
    for one in listeners:
        if one.child.poll() is None:
            one.child.send_signal(signal.SIGCONT)
            assert one.end()[0] == 0


@pytest.fixture
def door(daemon):
    wait_until(lambda: daemon.status()["state"] == "up", 20, "the link")
    return json.loads(daemon.tool("register", "door").stdout)


def send(to, text, *flags):
    done = run_tool("send", "-", "--message", text, *flags, text=json.dumps(to))
    assert done.returncode == 0, done.stderr


def test_a_push_is_a_line(daemon, door, listen):
    listener = listen("door")
    send(door, "grüße", "--topic", "bell", "--urgency", "high")
    line = listener.line()
    assert line.pop("id") and line.pop("received_ms") > 0
    assert line == {"name": "door", "urgency": "high", "topic": "bell", "encoding": "aes128gcm", "decrypted": True,
                    "data": "grüße"}
    daemon.wait_acknowledged(1)
    daemon.push(door["endpoint"], b"\xff\x00 open")
    line = listener.line()
    assert line["decrypted"] is False and line["reason"] == "not encrypted" and "data" not in line
    assert line["data_base64"] == "_wAgb3Blbg"


def test_what_nobody_listens_to_waits(daemon, door, listen):
    """In its order, over a restart, and once."""
    for number in range(20):
        send(door, f"message {number}")
    wait_until(lambda: daemon.status()["waiting"] == 20, 20, "all of them")
    (app,) = daemon.apps()
    assert app["kind"] == "named" and app["waiting"] == 20
    daemon.wait_acknowledged(20)
    daemon.restart()
    listener = listen("door", "--count", "15")
    assert [listener.line()["data"] for _ in range(15)] == [f"message {number}" for number in range(15)]
    assert listener.end(None)[0] == 0
    rest = listen()
    assert [rest.line()["data"] for _ in range(5)] == [f"message {number}" for number in range(15, 20)]
    send(door, "last")
    assert rest.line()["data"] == "last"


def test_the_newest_listener_gets_it(door, daemon, listen):
    """Of those that listen to the name, or to all."""
    other = json.loads(daemon.tool("register", "window").stdout)
    everything, only_door = listen(), listen("door")
    send(door, "for the door")
    assert only_door.line()["data"] == "for the door"
    send(other, "for the window")
    assert everything.line()["data"] == "for the window"
    assert only_door.end()[0] == 0
    send(door, "for whoever is left")
    assert everything.line()["data"] == "for whoever is left"


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_end_is_no_failure(door, listen, how):
    assert listen("door").end(how) == (0, "")


@pytest.mark.parametrize("how", [signal.SIGKILL, None])
def test_what_was_not_shown_is_not_lost(daemon, door, listen, how):
    """The listener was killed, or its reader has gone."""
    listener = listen("door", reads=False)
    if how:
        listener.child.send_signal(signal.SIGSTOP)  # it has the call, and shows nothing
        send(door, "precious")
        wait_until(lambda: daemon.status()["received"] == 1, 20, "the push")
        listener.child.kill()
        listener.child.wait(20)
    else:
        listener.child.stdout.close()
        send(door, "precious")
        assert listener.child.wait(20) == 0
    again = listen("door")
    assert again.line()["data"] == "precious"


def test_a_frozen_listener_is_passed_over(timed_daemon, clock):
    """After half a minute another one gets it."""
    daemon = timed_daemon
    wait_until(lambda: daemon.status()["state"] == "up", 20, "the link")
    door = json.loads(daemon.tool("register", "door").stdout)
    patient, frozen = Listener(daemon, "door"), Listener(daemon, "door")
    try:
        frozen.child.send_signal(signal.SIGSTOP)
        send(door, "hello")
        wait_until(lambda: daemon.status()["received"] == 1, 20, "the push")
        clock.advance(31)
        daemon.status()
        clock.advance(3)
        assert patient.line()["data"] == "hello"
    finally:
        frozen.child.send_signal(signal.SIGCONT)
        assert frozen.end()[0] == 0 and patient.end()[0] == 0


def test_the_daemon_ends(daemon, door, listen):
    listener = listen("door")
    daemon.stop()
    status, said = listener.end(None)
    assert status == 1 and said == "bellwire: the distributor has ended\n"


def test_the_registration_ends(daemon, door, listen):
    listener = listen("door")
    assert daemon.tool("unregister", "door").returncode == 0
    status, said = listener.end(None)
    assert status == 1 and "door" in said and "unregistered" in said, said


def test_a_full_disk(door, daemon):
    with open("/dev/full", "w", encoding="utf-8") as out:
        child = subprocess.Popen([TOOL, "listen", "door"], stdout=out, stderr=subprocess.PIPE, text=True,
                                 env={**os.environ, **daemon.session.env})
        send(door, "precious")
        assert child.wait(20) == 1
        assert child.stderr.read() == "bellwire: standard output cannot be written: No space left on device\n"
    assert daemon.status()["waiting"] == 1
