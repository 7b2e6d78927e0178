# SPDX-License-Identifier: Apache-2.0
"""Endpoints that change because of the relay or of the app's key: apps are told, and what comes by either is delivered."""

import contextlib
import threading

import pytest
import websockets
from harness.fake_relay import FakeRelay
from harness.process import wait_until
from session import SUCCEEDED, failed
from test_daemon_registration import new_key

SERVICE = "org.example.App"


def endpoints(app, token=None):
    return [event["endpoint"] for event in app.events("NewEndpoint") if token in (None, event["token"])]


def test_a_relay_that_forgot_the_device(daemon, relay, caller, session):
    """Every app hears of a new endpoint, also those that have to be started for it, and one of them hangs."""
    relay.flags["store"] = f"sqlite:{relay.directory}/another.db"
    running = session.app("org.example.Running").start()
    hanging = session.app("org.example.Hanging", behaviour="hang").start()
    started = session.app("org.example.Started", exit_after=0.5).make_activatable()
    apps = [running, hanging, started]
    for app in apps:
        assert caller.register(app.service, app.service) == SUCCEEDED
        app.wait("NewEndpoint")
    started.wait("left")
    before = {endpoint for app in apps for endpoint in endpoints(app)}
    relay.restart()
    daemon.reconnect()
    for app in apps:
        app.wait("NewEndpoint", 2, timeout=30)
        daemon.push(endpoints(app)[1], app.service.encode())
        app.wait("Message")
    after = {endpoints(app)[1] for app in apps}
    assert len(before | after) == 6
    assert caller.register(running.service, running.service) == SUCCEEDED
    assert running.wait("NewEndpoint", 3)[2]["endpoint"] in after
    assert not any(app.events("Unregistered") for app in apps)


class Registrar:
    """A relay that registers whatever it is asked to, each time at another URL."""

    def __init__(self, endpoint="http://127.0.0.1:9/p/%d"):
        self.endpoint = endpoint
        self.relay = FakeRelay()
        self.channels = {}  # endpoint -> channel
        self.left = set()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        self.peer = self.relay.peer(60)
        self.peer.greet()
        with contextlib.suppress(websockets.exceptions.ConnectionClosed):
            while True:
                self.answer(self.peer.receive(60))

    def answer(self, message):
        kind, channel = message.get("messageType"), message.get("channelID")
        if kind == "register":
            endpoint = self.endpoint % len(self.channels)
            self.channels[endpoint] = channel
            self.peer.send({"messageType": kind, "channelID": channel, "status": 200, "pushEndpoint": endpoint})
        elif kind == "unregister":
            self.left.add(channel)
            self.peer.send({"messageType": kind, "channelID": channel, "status": 200})

    def finish(self):
        self.thread.join(20)
        self.relay.stop()


@pytest.fixture
def registrar(request, start_daemon):
    instance = Registrar(*getattr(request, "param", ()))
    daemon = start_daemon(relay=instance.relay.url, pool=1)
    yield instance
    daemon.stop()
    instance.finish()


def test_a_relay_that_gives_up_one_channel(registrar, caller, session):
    """It gets another endpoint, and nothing happens to the others."""
    app = session.app(SERVICE).start()
    for token in ("one", "two"):
        assert caller.register(SERVICE, token) == SUCCEEDED
    app.wait("NewEndpoint", 2)
    (first,) = endpoints(app, "one")
    registrar.peer.send({"messageType": "unregister", "channelID": registrar.channels[first], "status": 200})
    app.wait("NewEndpoint", 3)
    assert endpoints(app, "one")[1] != first and len(endpoints(app, "two")) == 1
    assert registrar.channels[endpoints(app, "one")[1]] == registrar.channels[first]
    assert caller.register(SERVICE, "two") == SUCCEEDED
    app.wait("NewEndpoint", 4)
    assert len(set(endpoints(app, "two"))) == 1 and not app.events("Unregistered")


def length_of(characters):
    return "http://127.0.0.1:9/p/%06d" + "x" * (characters - len("http://127.0.0.1:9/p/000000"))


@pytest.mark.parametrize("registrar", [(length_of(1000),)], indirect=True)
def test_an_endpoint_of_1000_bytes(registrar, caller, session):
    app = session.app(SERVICE).start()
    assert caller.register(SERVICE, "token") == SUCCEEDED
    assert len(app.wait("NewEndpoint")[0]["endpoint"]) == 1000


@pytest.mark.parametrize("pool", [0, 1])
@pytest.mark.parametrize("registrar", [(length_of(1001),)], indirect=True)
def test_an_endpoint_that_is_too_long(registrar, caller, session, pool):
    """Refused, whether it was made ahead or is asked for, and given back to the relay."""
    if pool:
        wait_until(lambda: len(registrar.channels) == 2, 20, "the pool")
    assert caller.register(SERVICE, "token") == failed("INTERNAL_ERROR")
    wait_until(lambda: registrar.left, 20, "the channel's end")
    assert caller.register(SERVICE, "token") == failed("INTERNAL_ERROR")


def test_an_endpoint_that_becomes_too_long(registrar, caller, session):
    """Of no use to the app, which is told that it has none any more."""
    app = session.app(SERVICE).start()
    assert caller.register(SERVICE, "token") == SUCCEEDED
    first = app.wait("NewEndpoint")[0]["endpoint"]
    registrar.endpoint = length_of(1001)
    registrar.peer.send({"messageType": "unregister", "channelID": registrar.channels[first], "status": 200})
    assert app.wait("Unregistered")[0]["token"] == "token"
    assert endpoints(app) == [first]


def test_messages_by_the_former_endpoint(daemon, caller, session):
    """Until the app has taken the new one, the old one is good; what came by it is delivered behind NewEndpoint."""
    app = session.app(SERVICE).start()
    assert caller.register(SERVICE, "token") == SUCCEEDED
    (first,) = endpoints(app) or [app.wait("NewEndpoint")[0]["endpoint"]]
    app.stop()
    daemon.push(first, b"before")
    assert caller.register(SERVICE, "token", vapid=new_key()) == SUCCEEDED
    daemon.push(first, b"between")
    late = session.app(SERVICE).start()
    late.wait("Message", 2)
    assert [event["event"] for event in late.events("NewEndpoint", "Message")][0] == "NewEndpoint"
    assert endpoints(late)[0] != first
    assert [bytes.fromhex(event["message"]) for event in late.events("Message")] == [b"before", b"between"]
    wait_until(lambda: daemon.relay.post(first).status in (404, 410), 20, "the former endpoint's end")
    daemon.wait_acknowledged(2)
