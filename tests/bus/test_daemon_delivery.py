# SPDX-License-Identifier: Apache-2.0
"""Pushes through relay and daemon to apps of every temper: taken once, in order, acknowledged by the return."""

import time

import pytest
from harness.process import wait_until
from session import SUCCEEDED

SERVICE = "org.example.App"


def registered(caller, app, token="token", version=2):
    if version == 2:
        assert caller.register(app.service, token) == SUCCEEDED
    else:
        assert caller.register_v1(app.service, token) == ("REGISTRATION_SUCCEEDED", "")
    return app.wait("NewEndpoint")[-1]["endpoint"]


def bodies(app):
    return [bytes.fromhex(event["message"]) for event in app.events("Message")]


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("behaviour", ["id", "wrong-id", "empty", "no-body"])
def test_any_return_is_an_acknowledgement(daemon, caller, session, version, behaviour):
    app = session.app(SERVICE, version, behaviour=behaviour).start()
    endpoint = registered(caller, app, version=version)
    body = bytes(range(256)) * 16
    daemon.push(endpoint, body)
    daemon.wait_acknowledged(1)
    assert bodies(app) == [body]
    assert app.events("Message")[0]["no_reply"] is False


def test_no_acknowledgement_before_the_return(daemon, relay, caller, session):
    gate = session.directory / "gate"
    app = session.app(SERVICE, gate=gate).start()
    endpoint = registered(caller, app)
    daemon.push(endpoint)
    app.wait("Message")
    assert relay.metrics()["bellwire_messages_delivered_total"] == 0
    gate.touch()
    daemon.wait_acknowledged(1)


def test_error_is_given_up_after_three_attempts(daemon, caller, session):
    app = session.app(SERVICE, behaviour="error").start()
    endpoint = registered(caller, app)
    daemon.push(endpoint)
    app.wait("Message", 3, timeout=30)
    daemon.wait_acknowledged(1)
    assert len(app.events("Message")) == 3


def test_app_that_dies_in_the_handler_gets_it_again(daemon, caller, session):
    app = session.app(SERVICE, behaviour="exit").make_activatable()
    healthy = session.app("org.example.Healthy").start()
    endpoint = registered(caller, app)
    other = registered(caller, healthy, "other")
    daemon.push(endpoint, b"deadly")
    app.wait("Message", 2, timeout=30)
    daemon.push(other, b"fine")
    healthy.wait("Message")
    cured = session.app(SERVICE).make_activatable()
    cured.wait("Message", timeout=60)
    assert bodies(cured) == [b"deadly"]


def test_queue_starts_an_app_once_and_in_order(daemon, caller, session):
    app = session.app(SERVICE, exit_after=6).make_activatable()
    endpoint = registered(caller, app)
    app.wait("left")
    daemon.stop()
    for i in range(300):
        daemon.push(endpoint, b"%d" % i)
    daemon.start()
    app.wait("Message", 300, timeout=40)
    daemon.wait_acknowledged(300)
    assert bodies(app) == [b"%d" % i for i in range(300)]
    assert len(app.events("started")) == 2


def test_app_that_appears_later(daemon, caller, session):
    app = session.app(SERVICE).start()
    endpoint = registered(caller, app)
    app.stop()
    daemon.push(endpoint, b"one")
    daemon.wait_acknowledged(1)  # it lies in the journal
    daemon.kill()
    daemon.start()
    daemon.push(endpoint, b"two")
    late = session.app(SERVICE).start()
    late.wait("Message", 2)
    assert bodies(late) == [b"one", b"two"]
    daemon.wait_acknowledged(2)


def test_app_registers_again_after_failures(timed_daemon, caller, session):
    """It need not wait for the schedule: NewEndpoint and what waits come at once."""
    odd = session.app(SERVICE, unexported=True).start()
    assert caller.register(SERVICE, "token") == SUCCEEDED
    for number, delay_sec in enumerate((0, 2, 10), 1):
        timed_daemon.clock.advance(delay_sec + 0.3)
        failed = f"call failed service={SERVICE} method=NewEndpoint"
        wait_until(lambda: timed_daemon.process.log().count(failed) == number, 20, f"{number} failures")
        timed_daemon.manage("Status")  # then the next one is planned
    odd.stop()  # the next attempt would come after a minute
    app = session.app(SERVICE).make_activatable()
    before = time.monotonic()
    assert caller.register(SERVICE, "token") == SUCCEEDED
    app.wait("NewEndpoint")
    assert time.monotonic() - before < 30


def test_hanging_app_delays_nobody(daemon, caller, session):
    hanging = session.app("org.example.Hanging", behaviour="hang").start()
    other = session.app("org.example.Other").start()
    first = registered(caller, hanging, "first")
    second = registered(caller, other, "second")
    for i in range(20):
        daemon.push(first, b"%d" % i)
    hanging.wait("Message")
    begin = time.monotonic()
    daemon.push(second)
    other.wait("Message")
    assert time.monotonic() - begin < 15
    time_of_one = hanging.events("Message")
    assert len(time_of_one) == 1  # one in flight for a token


def test_killed_daemon_delivers_at_most_twice(daemon, caller, session):
    app = session.app(SERVICE, slow=0.5).start()
    endpoint = registered(caller, app)
    daemon.push(endpoint, b"precious")
    app.wait("Message")
    daemon.kill()
    daemon.start()
    daemon.wait_acknowledged(1)
    assert set(bodies(app)) == {b"precious"}
    assert 1 <= len(app.events("Message")) <= 2


def test_acknowledged_messages_do_not_come_again(daemon, relay, caller, session):
    app = session.app(SERVICE).start()
    endpoint = registered(caller, app)
    for i in range(50):
        daemon.push(endpoint, b"%d" % i)
    app.wait("Message", 50)
    daemon.wait_acknowledged(50)
    daemon.kill()
    daemon.start()
    daemon.push(endpoint, b"last")
    app.wait("Message", 51)
    daemon.wait_acknowledged(51)
    assert bodies(app) == [b"%d" % i for i in range(50)] + [b"last"]


def test_sizes(daemon, relay, caller, session):
    app = session.app(SERVICE).start()
    endpoint = registered(caller, app)
    daemon.push(endpoint, b"x" * 4096)
    assert relay.post(endpoint, b"x" * 4097).status == 413
    daemon.push(endpoint, b"")  # nothing an app could use: dropped and acknowledged
    daemon.push(endpoint, b"y")
    daemon.wait_acknowledged(3)
    assert bodies(app) == [b"x" * 4096, b"y"]


def test_message_of_an_unregistered_token_is_dropped(daemon, caller, session):
    gate = session.directory / "gate"
    app = session.app(SERVICE, gate=gate).start()
    endpoint = registered(caller, app)
    for i in range(5):
        daemon.push(endpoint, b"%d" % i)
    app.wait("Message")
    caller.unregister("token")
    app.wait("Unregistered")
    gate.touch()
    other = registered_again(caller, app)
    daemon.push(other, b"new")
    app.wait("Message", 2)
    assert bodies(app) == [b"0", b"new"]


def registered_again(caller, app):
    count = len(app.events("NewEndpoint"))
    assert caller.register(app.service, "token") == SUCCEEDED
    return app.wait("NewEndpoint", count + 1)[-1]["endpoint"]


def test_relay_that_forgot_everything(daemon, relay, caller, session):
    """Its disk died: apps get other endpoints, and its first messages, numbered as in its former life, are no duplicates."""
    app = session.app(SERVICE).start()
    endpoint = registered(caller, app)
    for i in range(5):
        daemon.push(endpoint, b"%d" % i)
    daemon.wait_acknowledged(5)
    relay.stop()
    for path in [*relay.directory.glob("relay.db*"), *relay.state_dir.iterdir()]:
        path.unlink()
    relay.start()
    daemon.reconnect()
    fresh = app.wait("NewEndpoint", 2)[-1]["endpoint"]
    assert fresh != endpoint
    for i in range(5, 10):
        daemon.push(fresh, b"%d" % i)
    app.wait("Message", 10)
    daemon.wait_acknowledged(5)
    assert bodies(app) == [b"%d" % i for i in range(10)]
