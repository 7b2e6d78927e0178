# SPDX-License-Identifier: Apache-2.0
"""The link against relays that lie, stall, flood and hang up: a plain reason, a later attempt, bounded memory."""

import base64
import contextlib
import hashlib
import json
import struct
import time

import pytest

from harness.process import free_port
from harness.tcp_server import TcpServer, read_head

CHANNEL = "0d9a6d2e-52e1-4a3e-9a0e-3f8d3b3f2c11"
UAID = "0123456789abcdef0123456789abcdef"


def waiting(link, timeout=20):
    event = link.await_state("waiting", timeout)
    assert event["reason"], event
    return event


@pytest.fixture
def raw_server():
    servers = []

    def start(serve):
        servers.append(TcpServer(serve))
        return servers[-1]

    yield start
    for one in servers:
        one.stop()


def answer_with(text):
    def serve(connection):
        read_head(connection)
        connection.sendall(text)
        connection.close()

    return serve


def test_a_refused_connection_is_said(start_link):
    link = start_link(f"ws://127.0.0.1:{free_port()}/")
    assert "refused" in waiting(link)["reason"]


def test_an_unknown_name_is_said(start_link):
    link = start_link("wss://relay.invalid/")
    assert "relay.invalid" in waiting(link)["reason"]


@pytest.mark.parametrize(
    "status, headers, state, words, low, high",
    [
        (503, [("Retry-After", "20")], "waiting", "503", 19000, 27000),
        (429, [("Retry-After", "1")], "waiting", "429", 0, 1400),
        (503, [("Retry-After", "Wed, 21 Oct 2026 07:28:00 GMT")], "waiting", "503", 400, 2600),
        (503, [], "waiting", "503", 400, 2600),
        (500, [], "waiting", "500", 400, 2600),
        (403, [], "refused", "403", 3000000, 4200000),
        (401, [], "refused", "401", 3000000, 4200000),
        (404, [], "waiting", "404", 29000, 33000),
        (302, [("Location", "http://127.0.0.1:1/login")], "waiting", "login", 29000, 33000),
        (511, [], "waiting", "login", 29000, 33000),
        (200, [], "waiting", "200", 29000, 33000),
    ],
)
def test_a_refused_upgrade_has_its_class(fake_relay, start_link, status, headers, state, words, low, high):
    relay = fake_relay(refuses=status, headers=headers)
    link = start_link(relay.url)
    event = link.await_state(state)
    assert words in event["reason"] and low <= event["next_ms"] <= high, event


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: bm90IHRoZSByaWdodCBvbmU=\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 999 " + b"x" * 100000 + b"\r\n\r\n",
        b"\x00\xff" * 5000,
    ],
)
def test_what_is_no_websocket_is_survived(raw_server, start_link, text):
    server = raw_server(answer_with(text))
    link = start_link(f"ws://127.0.0.1:{server.port}/")
    waiting(link)
    assert link.status()["state"] in ("waiting", "connecting", "opening")


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "[]",
        "null",
        "not json",
        '{"messageType":"register"}',
        "{}",
        '{"messageType":"hello"}',
        '{"messageType":"hello","status":200}',
        '{"messageType":"hello","status":200,"uaid":"short"}',
        '{"messageType":"hello","status":200,"uaid":7}',
        '{"messageType":"hello","status":"200","uaid":"' + UAID + '"}',
        '{"messageType":"hello","status":503,"uaid":"' + UAID + '"}',
        '{"messageType":"hello","status":200,"uaid":"' + "a" * 500 + '"}',
        "[" * 5000,
        '{"messageType":"notification","channelID":"x","version":"y"}',
    ],
)
def test_a_wrong_answer_to_hello_ends_the_session(fake_relay, start_link, answer):
    relay = fake_relay()
    link = start_link(relay.url)
    peer = relay.peer()
    peer.read("hello")
    peer.send(answer)
    assert "hello" in waiting(link)["reason"]
    assert link.count("greeted") == 0


def test_a_hello_refused_for_good(fake_relay, start_link):
    relay = fake_relay()
    link = start_link(relay.url)
    peer = relay.peer()
    peer.read("hello")
    peer.send({"messageType": "hello", "status": 403})
    assert "403" in link.await_state("refused")["reason"]


def test_a_relay_that_never_answers_hello(fake_relay, start_link):
    relay = fake_relay()
    begin = time.monotonic()
    link = start_link(relay.url)
    relay.peer().read("hello")
    event = waiting(link, 30)
    assert "does not answer hello within 15 s" in event["reason"]
    assert 14.5 < event["at"] - begin < 25


def test_a_relay_that_accepts_and_says_nothing(raw_server, start_link):
    server = raw_server(lambda connection: read_head(connection) and connection.recv(1))
    link = start_link(f"ws://127.0.0.1:{server.port}/")
    event = waiting(link, 25)
    assert "within 15 s" in event["reason"]


def test_a_relay_that_drips_its_answer(raw_server, start_link):
    def drip(connection):
        read_head(connection)
        for byte in b"HTTP/1.1 101 Switching Protocols\r\nX: " + b"y" * 1000:
            connection.sendall(bytes([byte]))
            time.sleep(0.1)

    server = raw_server(drip)
    link = start_link(f"ws://127.0.0.1:{server.port}/")
    assert "within 15 s" in waiting(link, 25)["reason"]


def test_a_relay_that_closes_at_once_is_tried_ever_more_rarely(fake_relay, start_link):
    relay = fake_relay()
    link = start_link(relay.url)
    for n in range(3):
        peer = relay.peer(30)
        peer.greet(UAID)
        link.up()
        peer.drop()
        event = waiting(link)
        assert event["next_ms"] <= 500 + 2000 * 2**n, event
        assert link.status()["attempts"] == n + 1
        link.hint("now")


def test_the_close_code_4774_is_heeded(fake_relay, start_link):
    relay = fake_relay()
    link = start_link(relay.url)
    for state, low, high in (("waiting", 58000, 60000), ("refused", 3000000, 4200000)):
        peer = relay.peer()
        peer.greet(UAID)
        link.up()
        peer.close(4774, "stay away")
        event = link.await_state(state)
        assert "4774" in event["reason"] and low <= event["next_ms"] <= high, event
        link.hint("now")


def test_a_policy_close_needs_the_user(fake_relay, start_link):
    relay = fake_relay()
    link = start_link(relay.url)
    peer = relay.peer()
    peer.greet(UAID)
    link.up()
    peer.close(1008, "no more")
    assert "1008 no more" in link.await_state("refused")["reason"]


def open_and_greet(connection):
    """The server's side of a WebSocket by hand, up to the answer to hello."""
    lines = [line.split(b":", 1) for line in read_head(connection).split(b"\r\n") if b":" in line]
    key = {name.lower(): value.strip() for name, value in lines}[b"sec-websocket-key"]
    accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
    connection.sendall(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
    )
    hello = json.dumps({"messageType": "hello", "uaid": UAID, "status": 200}).encode()
    connection.sendall(b"\x81" + bytes([len(hello)]) + hello)


def private_kb(pid):
    with open(f"/proc/{pid}/smaps_rollup") as f:
        return sum(int(line.split()[1]) for line in f if line.startswith(("Private_Dirty", "Private_Clean")))


def test_an_oversized_message_ends_the_session_before_it_is_read(raw_server, start_link):
    def serve(connection):
        open_and_greet(connection)
        connection.sendall(b"\x81\x7f" + struct.pack(">Q", 1 << 40))
        while True:
            connection.sendall(b"x" * 65536)

    server = raw_server(serve)
    link = start_link(f"ws://127.0.0.1:{server.port}/")
    link.up()
    assert "too long" in waiting(link)["reason"]


def test_pieces_without_end_are_bounded(raw_server, start_link):
    def serve(connection):
        open_and_greet(connection)
        connection.sendall(b"\x01\x05hello")
        while True:
            connection.sendall((b"\x00\x7e" + struct.pack(">H", 60000) + b"x" * 60000) * 10)

    server = raw_server(serve)
    link = start_link(f"ws://127.0.0.1:{server.port}/")
    link.up()
    assert "too long" in waiting(link)["reason"]


def test_nonsense_is_passed_over_then_ends_the_session(fake_relay, start_link):
    relay = fake_relay()
    link = start_link(relay.url)
    peer = relay.peer()
    peer.greet(UAID)
    link.up()
    for text in ("", "[]", "{", '{"messageType":"hello"}', '{"messageType":7}', '{"messageType":"nope"}'):
        peer.send(text)
    for bad in (
        {"channelID": CHANNEL},
        {"version": "v"},
        {"channelID": CHANNEL, "version": "v" * 101},
        {"channelID": CHANNEL, "version": "v", "data": 7},
        {"channelID": CHANNEL, "version": "v", "data": "***"},
        {"channelID": 1, "version": 2},
    ):
        peer.send({"messageType": "notification", **bad})
    peer.send(b"binary")
    peer.send("{}")
    peer.notify(CHANNEL, "good")
    assert link.await_event("notified")["version"] == "good"
    assert link.count("notified") == 1
    for _ in range(100):
        with contextlib.suppress(Exception):
            peer.send("nonsense")
    assert "not the push protocol" in waiting(link)["reason"]
    assert sum("without meaning" in line for line in link.log) == 1


def test_a_flood_of_notifications_is_cut_off(fake_relay, start_link):
    relay = fake_relay()
    link = start_link(relay.url, "noack", env={"ASAN_OPTIONS": "quarantine_size_mb=1"})
    peer = relay.peer()
    peer.greet(UAID)
    link.up()
    before = private_kb(link.child.pid)
    with contextlib.suppress(Exception):
        for n in range(6000):
            peer.notify(CHANNEL, f"v{n}")
    assert "without end" in waiting(link, 40)["reason"]
    assert link.count("notified") == 4096
    assert private_kb(link.child.pid) - before < 12000  # the sanitizer's own books too


def test_a_missing_endpoint_is_a_failed_registration(fake_relay, start_link):
    relay = fake_relay()
    link = start_link(relay.url)
    peer = relay.peer()
    peer.greet(UAID)
    link.up()
    for fields, status in (({"status": 200}, 500), ({"status": 409}, 409), ({"status": -3}, 500), ({}, 500)):
        link.do("register", text=CHANNEL)
        peer.read("register")
        peer.send({"messageType": "register", "channelID": CHANNEL, **fields})
        answer = link.await_event("registered")
        assert answer["status"] == status and answer["endpoint"] == "", answer


def test_the_extension_is_spoken_and_understood(fake_relay, start_link):
    relay = fake_relay()
    link = start_link(relay.url, f"uaid={UAID}")
    peer = relay.peer()
    hello = peer.greet(UAID, bellwire={"v": 1, "missed": 3})
    instance = hello["bellwire"].pop("instance")
    assert 0 < instance < 1 << 53
    assert hello["uaid"] == UAID and hello["bellwire"] == {"v": 1, "keepalive_s": 900}
    greeting = link.up()
    assert greeting["missed"] == 3 and greeting["is_new"] is False
    link.do("register", text=CHANNEL, number=4096, key="BKey")
    assert peer.read("register")["bellwire"] == {"max_body": 4096}
    link.do("register", text=CHANNEL, number=-1)
    assert peer.read("register")["bellwire"] == {"key": "later"}
    peer.send(
        {
            "messageType": "notification",
            "channelID": CHANNEL,
            "version": "1",
            "data": "aGk",
            "headers": {"encoding": "aes128gcm"},
            "bellwire": {"ttl_s": 60, "urgency": "high", "topic": "t1"},
        }
    )
    pushed = link.await_event("notified")
    assert pushed["ttl"] == 60 and pushed["urgency"] == 3 and pushed["topic"] == "t1", pushed
    peer.send(
        {
            "messageType": "notification",
            "channelID": CHANNEL,
            "version": "2",
            "bellwire": {"ttl_s": "x", "urgency": 1, "topic": {}},
        }
    )
    pushed = link.await_event("notified")
    assert pushed["ttl"] == -1 and pushed["urgency"] == 2 and pushed["topic"] == "", pushed
    link.do("stop")
    updates = []
    while len(updates) < 2:  # collected, and sent before the goodbye
        updates += peer.read("ack")["updates"]
    assert [(u["channelID"], u["version"]) for u in updates] == [(CHANNEL, "1"), (CHANNEL, "2")]
    assert peer.read_close() == 1000


def test_another_identity_is_told_as_new(fake_relay, start_link):
    relay = fake_relay()
    link = start_link(relay.url, f"uaid={'f' * 32}")
    relay.peer().greet(UAID)
    greeting = link.up()
    assert greeting["uaid"] == UAID and greeting["is_new"] is True
    assert UAID not in "\n".join(link.log) and "f" * 32 not in "\n".join(link.log)
