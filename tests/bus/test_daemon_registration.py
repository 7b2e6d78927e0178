# SPDX-License-Identifier: Apache-2.0
"""Registrations of the real daemon: online, offline, again, under another key, after a crash, and their end."""

import base64
import signal
import threading
import time

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from harness.process import wait_until
from session import SUCCEEDED, Caller, failed

SERVICE = "org.example.App"


def new_key():
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    point = key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return base64.urlsafe_b64encode(point).decode().rstrip("=")


@pytest.fixture
def app(session):
    return session.app(SERVICE).start()


def endpoint_of(app, count=1):
    return app.wait("NewEndpoint", count)[count - 1]["endpoint"]


def wait_gone(relay, endpoint):
    wait_until(lambda: relay.post(endpoint).status in (404, 410), 20, "the endpoint's end")


def test_same_token_has_the_same_endpoint(daemon, caller, app):
    assert caller.register(SERVICE, "token", description="one") == SUCCEEDED
    first = endpoint_of(app)
    assert caller.register(SERVICE, "token", description="two") == SUCCEEDED
    assert endpoint_of(app, 2) == first
    assert caller.register(SERVICE, "other") == SUCCEEDED
    assert endpoint_of(app, 3) != first


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_registration_survives_the_daemon(daemon, relay, caller, app, end):
    assert caller.register(SERVICE, "token") == SUCCEEDED
    endpoint = endpoint_of(app)
    getattr(daemon, end)()
    daemon.start()
    daemon.push(endpoint)
    app.wait("Message")
    assert caller.register(SERVICE, "token") == SUCCEEDED
    assert app.events("NewEndpoint")[-1]["endpoint"] == endpoint


def test_known_token_needs_no_relay(daemon, relay, caller, app):
    caller.register(SERVICE, "token")
    endpoint = endpoint_of(app)
    relay.stop()
    daemon.restart()
    before = time.monotonic()
    assert caller.register(SERVICE, "token") == SUCCEEDED
    assert time.monotonic() - before < 10
    assert endpoint_of(app, 2) == endpoint


def test_new_token_needs_no_relay_while_the_pool_lasts(daemon, relay, caller, app):
    daemon.wait_pool()
    relay.stop()
    before = time.monotonic()
    assert caller.register(SERVICE, "token", vapid=new_key()) == SUCCEEDED
    assert caller.register(SERVICE, "keyless") == SUCCEEDED
    assert time.monotonic() - before < 10
    keyless = app.wait("NewEndpoint", 2)[1]["endpoint"]
    relay.start()
    wait_until(lambda: relay.post(keyless, b"late").status == 201, 40, "a push")
    app.wait("Message", timeout=40)


def test_no_relay_and_no_pool(start_daemon, relay, caller, app):
    relay.stop()
    daemon = start_daemon(pool=0)
    before = time.monotonic()
    assert caller.register(SERVICE, "token") == failed("NETWORK")
    assert time.monotonic() - before < 24  # so that the caller, who waits for 25 s, gets a reason
    relay.start()
    daemon.reconnect()
    endpoint_of(app)  # the wish is remembered
    assert caller.register(SERVICE, "token") == SUCCEEDED


def test_a_wish_of_an_app_that_has_left(start_daemon, relay, caller, session):
    """It may have forgotten the token, so it is not started for it; when it wants one it asks again."""
    leaving = session.app("org.example.Leaving").make_activatable()
    staying = session.app(SERVICE).start()
    relay.stop()
    daemon = start_daemon(pool=0)
    answers = []
    wishes = [("org.example.Leaving", "forgotten"), (SERVICE, "token")]
    threads = [threading.Thread(target=lambda w=w: answers.append(Caller(session).register(*w))) for w in wishes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert answers == [failed("NETWORK")] * 2
    relay.start()
    daemon.reconnect()
    endpoint_of(staying)
    wait_until(lambda: "has left service=org.example.Leaving" in daemon.process.log(), 20, "the end of the wish")
    wait_until(lambda: relay.metrics()["bellwire_store_subscriptions"] == 1, 20, "one subscription")
    assert leaving.events("started") == []
    assert [app["service"] for app in daemon.apps()] == [SERVICE]
    assert caller.register("org.example.Leaving", "forgotten") == SUCCEEDED
    leaving.wait("NewEndpoint")


def test_not_set_up(start_daemon, caller):
    start_daemon(relay=None)
    before = time.monotonic()
    assert caller.register(SERVICE, "token") == failed("ACTION_REQUIRED")
    assert caller.register_v1(SERVICE, "token") == ("REGISTRATION_FAILED", "ACTION_REQUIRED")
    assert time.monotonic() - before < 10


def test_keys_are_demanded(start_daemon, caller, app):
    start_daemon(require_vapid="on")
    assert caller.register(SERVICE, "token") == failed("VAPID_REQUIRED")
    assert caller.register_v1(SERVICE, "token") == ("REGISTRATION_FAILED", "VAPID_REQUIRED")
    assert caller.register(SERVICE, "token", vapid=new_key()) == SUCCEEDED
    endpoint_of(app)


def test_key_is_passed_on_and_not_weakened(daemon, relay, caller, app):
    assert caller.register(SERVICE, "token", vapid=new_key()) == SUCCEEDED
    endpoint = endpoint_of(app)
    wait_until(lambda: relay.post(endpoint).status in (401, 403), 20, "a push without a key to be refused")
    assert caller.register(SERVICE, "token") == SUCCEEDED
    assert endpoint_of(app, 2) == endpoint
    assert relay.post(endpoint).status in (401, 403)


def test_another_key_is_another_endpoint(daemon, relay, caller, app):
    assert caller.register(SERVICE, "token") == SUCCEEDED
    first = endpoint_of(app)
    assert caller.register(SERVICE, "token", vapid=new_key()) == SUCCEEDED
    second = endpoint_of(app, 2)
    assert second != first
    wait_gone(relay, first)
    assert caller.register(SERVICE, "token", vapid=new_key()) == SUCCEEDED
    assert endpoint_of(app, 3) not in (first, second)


def test_unregister_ends_the_endpoint(daemon, relay, caller, app):
    caller.register(SERVICE, "token")
    endpoint = endpoint_of(app)
    caller.unregister("token")
    caller.unregister("token")
    app.wait("Unregistered")
    wait_gone(relay, endpoint)
    assert caller.register(SERVICE, "token") == SUCCEEDED
    assert endpoint_of(app, 2) != endpoint
    assert len(app.events("Unregistered")) == 1


def test_unregister_offline_reaches_the_relay_later(daemon, relay, caller, app):
    caller.register(SERVICE, "token")
    endpoint = endpoint_of(app)
    relay.stop()
    caller.unregister("token")
    app.wait("Unregistered")
    daemon.restart()
    relay.start()
    wait_until(lambda: relay.post(endpoint).status in (404, 410), 60, "the endpoint's end")


def test_two_callers_at_once(start_daemon, relay, session, app):
    daemon = start_daemon(pool=0)
    answers = []
    callers = [Caller(session) for _ in range(2)]
    threads = [threading.Thread(target=lambda c=c: answers.append(c.register(SERVICE, "token"))) for c in callers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert answers == [SUCCEEDED] * 2
    daemon.push(endpoint_of(app))
    app.wait("Message")
    assert len({event["endpoint"] for event in app.events("NewEndpoint")}) == 1


def test_version_switches(daemon, caller, session):
    old = session.app(SERVICE, 1).start()
    caller.register_v1(SERVICE, "token")
    endpoint = endpoint_of(old)
    old.stop()
    new = session.app(SERVICE, 2).start()
    assert caller.register(SERVICE, "token") == SUCCEEDED
    assert endpoint_of(new) == endpoint
    daemon.push(endpoint)
    new.wait("Message")


def test_renamed_app_and_thief(daemon, caller, session):
    app = session.app("org.example.Old").start()
    caller.register("org.example.Old", "token")
    endpoint = endpoint_of(app)
    assert caller.register("org.example.Thief", "token") == failed("INTERNAL_ERROR")
    app.stop()
    new = session.app("org.example.New").start()
    assert caller.register("org.example.New", "token") == SUCCEEDED
    assert endpoint_of(new) == endpoint


def test_unique_name_ends_with_its_owner(daemon, relay, session):
    app = session.app("unique", register="token").start()
    endpoint = endpoint_of(app)
    daemon.push(endpoint)
    app.wait("Message")
    app.stop()
    wait_gone(relay, endpoint)


def test_unique_name_is_not_kept_on_the_disk(daemon, session):
    app = session.app("unique", register="a-very-special-token").start()
    endpoint_of(app)
    daemon.stop()
    assert "a-very-special-token" not in (daemon.state_dir / "state.json").read_text()


def test_damaged_state_is_kept_aside(daemon, caller, app):
    caller.register(SERVICE, "token")
    endpoint_of(app)
    daemon.stop()
    (daemon.state_dir / "state.json").write_text('{"format":1,"registrations":[{"tok')
    daemon.start()
    assert caller.register(SERVICE, "token") == SUCCEEDED
    daemon.push(endpoint_of(app, 2))
    app.wait("Message")
    assert len(list(daemon.state_dir.glob("state.json*"))) >= 2


def test_unique_name_that_leaves_while_it_waits(start_daemon, relay, session, app, caller):
    relay.stop()
    daemon = start_daemon(pool=0)
    waiting = session.connect()
    answers = []
    unique = str(waiting.get_unique_name())
    thread = threading.Thread(target=lambda: answers.append(Caller(session).register(unique, "fleeting")))
    thread.start()
    assert caller.register(SERVICE, "token") == failed("NETWORK")
    thread.join(30)
    assert answers == [failed("NETWORK")]
    waiting.close()
    caller.introspect()
    relay.start()
    daemon.reconnect()
    endpoint_of(app)
    daemon.stop()
    assert daemon.process.log().count("registered number=") == 1


def test_pending_token_of_another_app_is_refused(start_daemon, relay, session, app):
    daemon = start_daemon(pool=0)
    wait_until(lambda: "link up" in daemon.process.log(), 20, "the link")
    relay.process.signal(signal.SIGSTOP)
    answers = []
    owner, thief = Caller(session), Caller(session)
    thread = threading.Thread(target=lambda: answers.append(owner.register(SERVICE, "token")))
    thread.start()
    # whoever comes second is refused at once, while the other one still waits
    thread2 = threading.Thread(target=lambda: answers.append(thief.register("org.example.Thief", "token")))
    thread2.start()
    wait_until(lambda: answers, 10, "an answer")
    assert answers == [failed("INTERNAL_ERROR")]
    relay.process.signal(signal.SIGCONT)
    thread.join(30)
    thread2.join(30)
    assert answers == [failed("INTERNAL_ERROR"), SUCCEEDED]
