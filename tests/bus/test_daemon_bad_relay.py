# SPDX-License-Identifier: Apache-2.0
"""A relay that floods, lies and hangs up, under the whole daemon: bounded memory, few lines in the log, and apps that are
served as if nothing were."""

import base64
import itertools
import json
import time

import pytest
from evil_relay import EvilRelay, notification
from harness.process import wait_until
from session import SUCCEEDED
from watch import MODEST, Watch, assert_few_lines

SERVICE, OTHER = "org.example.App", "org.example.Other"
NOBODY = "0d9a6d2e-52e1-4a3e-9a0e-3f8d3b3f2c11"
BODY = base64.urlsafe_b64encode(bytes(3000)).decode()


@pytest.fixture
def evil():
    relays = []

    def start(answers=None, **options):
        relays.append(EvilRelay(answers, **options))
        return relays[-1]

    yield start
    for one in relays:
        one.stop()


@pytest.fixture
def begin(start_daemon, session):
    """Starts a daemon at that relay."""

    def start(relay, **flags):
        session.env |= MODEST
        daemon = start_daemon(relay=relay.url, log_level="info", **flags)
        daemon.evil = relay
        return daemon

    return start


def registered(daemon, caller, app, token):
    assert caller.register(app.service, token) == SUCCEEDED
    endpoint = [e["endpoint"] for e in app.wait("NewEndpoint") if e["token"] == token][-1]
    return daemon.evil.endpoints[endpoint]


def test_a_flood_for_an_app(evil, begin, session, caller):
    """It takes them all; others are called and call in between."""
    daemon = begin(evil())
    app, other = session.app(SERVICE).start(), session.app(OTHER).start()
    channel, another = registered(daemon, caller, app, "token"), registered(daemon, caller, other, "other")
    watch = Watch(daemon, session)
    texts = [notification(channel, f"v{n}", BODY) for n in range(1500)]
    texts.insert(1000, notification(another, "for the other"))
    daemon.evil.flood(texts)
    other.wait("Message", timeout=60)
    app.wait("Message", 1500, timeout=60)
    watch.finish(60000)
    wait_until(lambda: len(daemon.evil.acks) == 1501, 20, "the acknowledgements")
    assert_few_lines(daemon)


def test_a_flood_for_an_app_that_hangs(evil, begin, session, caller):
    """Cut off, time and again; the app of another is served all the while."""
    daemon = begin(evil())
    app, other = session.app(SERVICE, behaviour="hang").start(), session.app(OTHER).start()
    channel, another = registered(daemon, caller, app, "token"), registered(daemon, caller, other, "other")
    watch = Watch(daemon, session)
    numbers = itertools.count()
    for round_ in range(1, 4):
        wait_until(lambda: daemon.status()["state"] == "up" or daemon.reconnect(), 30, "a session")
        before = daemon.evil.connections
        daemon.evil.flood([notification(another, f"before {round_}")])
        daemon.evil.flood(notification(channel, f"v{next(numbers)}", BODY) for _ in range(6000))
        other.wait("Message", round_, timeout=30)
        daemon.evil.wait_closed(before)
    assert "without end" in daemon.process.log()
    wait_until(lambda: daemon.status()["state"] == "up" or daemon.reconnect(), 30, "a session")
    daemon.evil.flood([notification(another, "at the end")])
    other.wait("Message", 4, timeout=30)
    watch.finish(150000)
    assert daemon.status()["waiting"] <= 2048
    assert_few_lines(daemon)


def test_a_flood_for_nobody(evil, begin, session, caller):
    daemon = begin(evil())
    app = session.app(SERVICE).start()
    channel = registered(daemon, caller, app, "token")
    watch = Watch(daemon, session)
    count = daemon.evil.flood(notification(NOBODY, f"v{n}", BODY) for n in range(10000))
    assert count == 10000
    daemon.evil.flood([notification(channel, "for somebody")])
    app.wait("Message", timeout=60)
    watch.finish(40000)
    assert_few_lines(daemon)
    assert daemon.status()["received"] == 10001


def test_the_same_over_and_over(evil, begin, session, caller):
    """Taken once."""
    daemon = begin(evil())
    app = session.app(SERVICE).start()
    channel = registered(daemon, caller, app, "token")
    watch = Watch(daemon, session)
    daemon.evil.flood(notification(channel, "again", BODY) for _ in range(5000))
    daemon.evil.flood([notification(channel, "another")])
    app.wait("Message", 2, timeout=60)
    watch.finish(40000)
    assert len(app.events("Message")) == 2
    wait_until(lambda: {version for _, version in daemon.evil.acks} == {"again", "another"}, 20, "acknowledgements")
    assert_few_lines(daemon)
    history = daemon.tool("log", "--json").stdout.splitlines()
    assert len(history) <= 256


def sizes(channel):
    yield notification(channel, "empty", "")
    yield notification(channel, "one too many", base64.urlsafe_b64encode(bytes(4097)).decode())
    yield notification(channel, "half a megabyte", base64.urlsafe_b64encode(bytes(500000)).decode())
    yield notification(channel, "v" * 1000)
    yield notification(channel, "no base64", "****")
    yield notification("c" * 1000, "v")
    yield notification(channel, "headers", "aGk", headers={"encoding": "x" * 100000, "encryption": 7, "crypto_key": []})
    yield notification(channel, "ttl", "aGk", bellwire={"ttl_s": 2**62, "urgency": "x" * 1000, "topic": "t" * 1000})
    yield notification(channel, "negative", "aGk", bellwire={"ttl_s": -(2**63), "urgency": 7, "topic": []})


def test_odd_sizes(evil, begin, session, caller):
    """What an app can take arrives, the rest is dropped with few words."""
    daemon = begin(evil())
    app = session.app(SERVICE).start()
    channel = registered(daemon, caller, app, "token")
    watch = Watch(daemon, session)
    for _ in range(10):
        daemon.evil.flood(sizes(channel))
    daemon.evil.flood([notification(channel, "good")])
    app.wait("Message", 4, timeout=30)
    watch.finish(40000)
    assert [e["message"] for e in app.events("Message")] == [b"hi".hex()] * 3 + [b"hello".hex()]
    assert_few_lines(daemon)


@pytest.mark.parametrize(
    "text", ['{"data":"' + "A" * (2 << 20) + '"}', "[" * 900000, '{"a":' * 150000], ids=["too long", "too deep", "objects"]
)
def test_an_oversized_frame(evil, begin, session, caller, text):
    """The session ends, the next one is good; known apps do not notice."""
    daemon = begin(evil())
    app = session.app(SERVICE).start()
    channel = registered(daemon, caller, app, "token")
    watch = Watch(daemon, session)
    for _ in range(3):
        wait_until(lambda: daemon.status()["state"] == "up", 30, "a session")
        before = daemon.evil.connections
        daemon.evil.flood([text] * 101)  # so much nonsense ends a session, too
        daemon.evil.wait_closed(before)
        wait_until(lambda: daemon.status()["state"] == "up" or daemon.reconnect(), 30, "another session")
    daemon.evil.flood([notification(channel, "good")])
    app.wait("Message", timeout=30)
    watch.finish(60000)
    assert_few_lines(daemon)


def test_hellos_without_end(evil, begin, session, caller):
    """One is the answer, the others are nonsense."""
    hello = json.dumps({"messageType": "hello", "uaid": "f" * 32, "status": 200, "use_webpush": True})
    daemon = begin(evil({"hello": lambda message: [hello] * 5000}))
    watch = Watch(daemon, session)
    daemon.evil.wait_connected(2, timeout=60)
    daemon.manage("Pause")
    watch.finish(40000)
    assert "not the push protocol" in daemon.process.log()
    assert_few_lines(daemon)


def test_another_identity_each_time(evil, begin, session, caller):
    """Every endpoint is made anew each time: the app hears of it, one after the other, and nothing grows."""
    numbers = itertools.count(1)

    def hello(message):
        uaid = f"{next(numbers):032x}"
        return [json.dumps({"messageType": "hello", "uaid": uaid, "status": 200, "use_webpush": True})]

    daemon = begin(evil({"hello": hello}))
    app = session.app(SERVICE).start()
    registered(daemon, caller, app, "token")
    watch = Watch(daemon, session)
    for _ in range(5):
        before = daemon.evil.connections
        daemon.evil.endpoints.clear()
        daemon.evil.drop_current()
        daemon.evil.wait_closed(before)
        wait_until(lambda: daemon.status()["state"] == "up" or daemon.reconnect(), 30, "another session")
        wait_until(lambda: len(daemon.evil.endpoints) == 9, 20, "the pool and one endpoint")
    watch.finish(20000)
    assert_few_lines(daemon)


def test_it_hangs_up_at_once(evil, begin, session, caller):
    """Fewer and fewer attempts, with a reason."""
    daemon = begin(evil(hangs_up=True))
    daemon.evil.wait_connected(3)
    assert daemon.status()["reason"] != ""
    begin_s, before = time.monotonic(), daemon.evil.connections
    daemon.evil.wait_connected(before + 1)
    while time.monotonic() - begin_s < 5:
        time.sleep(0.1)
    assert daemon.evil.connections - before < 6
    assert_few_lines(daemon)


def test_it_redirects(evil, begin, session, caller):
    """Nobody is followed."""
    other = evil()
    daemon = begin(evil(refuses=302, headers=[("Location", f"http://127.0.0.1:{other.port}/")]))
    wait_until(lambda: "302" in daemon.status()["reason"], 20, "the reason")
    assert other.connections == 0
    assert daemon.status()["next_attempt_ms"] > 20000


def test_endpoints_that_are_none(evil, begin, session, caller):
    """An app is refused rather than given nonsense, and the relay is not asked without end."""
    asked = []

    def register(message):
        asked.append(message["channelID"])
        answer = {"messageType": "register", "channelID": message["channelID"], "status": 200}
        return [json.dumps({**answer, "pushEndpoint": "javascript:alert(1)" if len(asked) % 2 else "http://" + "x" * 5000})]

    daemon = begin(evil({"register": register}), pool=0)
    session.app(SERVICE).start()
    outcome, reason = caller.register(SERVICE, "token")
    assert outcome == "REGISTRATION_FAILED" and reason in ("NETWORK", "INTERNAL_ERROR", "ACTION_REQUIRED")
    assert len(asked) < 5
    assert_few_lines(daemon)
