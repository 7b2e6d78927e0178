# SPDX-License-Identifier: Apache-2.0
"""Apps that flood, hang, lie and leave, under the whole daemon: bounded memory, and others that are served at once."""

import itertools
import threading
import time

import dbus
import dbus.lowlevel
import pytest
from harness.process import wait_until
from session import NAME, OBJECT, SUCCEEDED, Caller
from watch import MODEST, Watch, assert_few_lines

SERVICE, OTHER = "org.example.App", "org.example.Other"
LIMITS_EXCEEDED = "org.freedesktop.DBus.Error.LimitsExceeded"
PROMPTLY_SEC = 2  # for what takes milliseconds, on a machine with other work


@pytest.fixture
def modest(start_daemon, session):
    """A daemon whose memory is not the sanitizers'."""
    session.env |= MODEST
    return start_daemon(log_level="info")


@pytest.fixture
def other(modest, session, caller):
    """An app that is there all the while."""
    app = session.app(OTHER).start()
    assert caller.register(OTHER, "other") == SUCCEEDED
    app.endpoint = app.wait("NewEndpoint")[0]["endpoint"]
    return app


def assert_served(daemon, other, session):
    """Pushes and known tokens, at once."""
    count = len(other.events("Message"))
    begin = time.monotonic()
    daemon.push(other.endpoint, b"served?")
    other.wait("Message", count + 1)
    assert Caller(session).register(OTHER, "other") == SUCCEEDED
    assert time.monotonic() - begin < PROMPTLY_SEC


def register_message(service, token, **more):
    message = dbus.lowlevel.MethodCallMessage(NAME, OBJECT, "org.unifiedpush.Distributor2", "Register")
    message.append({"service": service, "token": token, **more}, signature="a{sv}")
    return message


class Attacker:
    """Many connections, each with as many calls as it may make at once, without waiting for answers."""

    def __init__(self, session, calls):
        self.session, self.calls = session, calls
        self.count = 0
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self):
        calls = iter(self.calls)
        while batch := list(itertools.islice(calls, 64)):
            bus = dbus.bus.BusConnection(self.session.address)
            for message in batch:
                bus.send_message(message)
            # behind them: when it is answered they have all been read
            barrier = dbus.lowlevel.MethodCallMessage(NAME, OBJECT, "org.freedesktop.DBus.Peer", "Ping")
            bus.send_message_with_reply_and_block(barrier, 30)
            bus.close()
            self.count += len(batch)

    def finish(self):
        self.thread.join(120)
        assert not self.thread.is_alive()


def test_ten_thousand_registrations(modest, other, session):
    """One service may have a thousand; and only so many at a time wait for the relay, which others use too."""
    watch = Watch(modest, session)
    attacker = Attacker(session, (register_message(SERVICE, f"token {n}") for n in range(10000)))
    while attacker.thread.is_alive():
        assert_served(modest, other, session)
    attacker.finish()
    assert attacker.count == 10000
    watch.finish(60000)
    assert modest.status()["registrations"] <= 1001
    begin = time.monotonic()
    assert Caller(session).register("org.example.New", "new") == SUCCEEDED
    assert time.monotonic() - begin < 15
    assert_few_lines(modest, 1500)  # one for each registration


def test_ten_thousand_services(modest, other, session):
    """Each of another name, so that each would be watched on the bus."""
    watch = Watch(modest, session)
    modest.relay.stop()
    wait_until(lambda: modest.status()["state"] != "up", 20, "the end of the link")
    attacker = Attacker(session, (register_message(f"org.example.App{n}", f"token {n}") for n in range(10000)))
    attacker.finish()
    watch.finish(60000)
    assert modest.status()["registrations"] < 20  # what the pool held
    assert_few_lines(modest, 200)
    modest.relay.start()
    modest.reconnect()
    wait_until(lambda: modest.status()["state"] == "up", 20, "the link")
    assert_served(modest, other, session)


def odd_calls():
    yield from (register_message(SERVICE, "t" * size) for size in (0, 101, 1000000))
    yield from (register_message("s" * size, "token") for size in (1, 256, 1000000))
    yield from (register_message(name, "token") for name in ("", ".", "a..b", "no dot", "a.b/c", ":", ":1.x\n", "1.2.3"))
    yield from (register_message(SERVICE, f"d{n}", description="\u202e\x07<b>" * 30000) for n in range(3))
    yield from (register_message(SERVICE, f"v{n}", vapid="A" * n) for n in (1, 86, 88, 1000000))
    yield from (register_message(SERVICE, dbus.Array(["x"] * 1000)) for _ in range(3))
    yield from (register_message(SERVICE, "x", **{f"key{i}": "y" * 1000 for i in range(1000)}) for _ in range(3))
    for member in ("Register", "Unregister"):
        message = dbus.lowlevel.MethodCallMessage(NAME, OBJECT, "org.unifiedpush.Distributor1", member)
        message.append(dbus.Array([1] * 100000), signature="au")
        yield message


def test_odd_calls(modest, other, session):
    watch = Watch(modest, session)
    for _ in range(10):
        Attacker(session, odd_calls()).finish()
    assert_served(modest, other, session)
    watch.finish(40000)
    assert modest.status()["registrations"] < 8
    assert_few_lines(modest, 400)


def test_an_app_that_never_answers(modest, relay, other, session, caller):
    """Its messages leave the relay for the disk, so that others' come at once: now and in the next session."""
    app = session.app(SERVICE, behaviour="hang").start()
    assert caller.register(SERVICE, "token") == SUCCEEDED
    endpoint = app.wait("NewEndpoint")[0]["endpoint"]
    for n in range(300):
        modest.push(endpoint, b"%d" % n, ttl=600)
    wait_until(lambda: modest.status()["kept_on_disk"] == 300, 40, "the messages on the disk")
    assert_served(modest, other, session)
    for n in range(50):
        modest.push(endpoint, b"more %d" % n, ttl=600)
        if n % 10 == 0:
            assert_served(modest, other, session)
    wait_until(lambda: relay.metrics()["bellwire_messages_queued"] == 0, 40, "an empty queue at the relay")
    modest.restart()
    assert_served(modest, other, session)
    cured = session.app(SERVICE)
    app.stop()
    cured.start().wait("Message", 350, timeout=60)
    bodies = [bytes.fromhex(e["message"]) for e in cured.events("Message")]
    assert bodies == [b"%d" % n for n in range(300)] + [b"more %d" % n for n in range(50)]


def test_a_dead_app_with_more_than_the_relay_keeps(modest, relay, other, session, caller):
    """A thousand of its messages stay, the oldest go, and nobody waits for it."""
    app = session.app(SERVICE).start()
    assert caller.register(SERVICE, "token") == SUCCEEDED
    endpoint = app.wait("NewEndpoint")[0]["endpoint"]
    app.stop()
    for n in range(1100):
        modest.push(endpoint, b"%d" % n, ttl=600)
        if n % 100 == 99:
            assert_served(modest, other, session)
    wait_until(lambda: relay.metrics()["bellwire_messages_queued"] == 0, 60, "an empty queue at the relay")
    status = modest.status()
    assert status["waiting"] == 1000 and status["dropped"] == 100, status
    back = session.app(SERVICE).start()
    back.wait("Message", 1000, timeout=60)
    bodies = [bytes.fromhex(e["message"]) for e in back.events("Message")]
    assert bodies == [b"%d" % n for n in range(100, 1100)]
    assert_few_lines(modest)


def test_apps_that_leave_in_the_middle(modest, other, session):
    """Of a call, of a registration, of a message."""
    watch = Watch(modest, session)
    for n in range(200):
        bus = dbus.bus.BusConnection(session.address)
        unique = str(bus.get_unique_name())
        bus.send_message(register_message(unique, f"fleeting {n}"))
        bus.send_message(register_message(SERVICE, f"token {n}"))
        bus.flush()
        bus.close()
    for n in range(5):
        session.app(f"org.example.Leaves{n}", register=f"leaves {n}", leave=True).start(until="started")
    assert_served(modest, other, session)
    watch.finish(40000)

    def only_known():
        apps = modest.tool("apps", "--json").stdout
        return ":1." not in apps

    wait_until(only_known, 30, "the end of the connections' registrations")
