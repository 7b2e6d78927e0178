# SPDX-License-Identifier: Apache-2.0
"""Peers that lie, stall and hang up cost themselves their connection and nobody else anything."""

import json
import os
import random
import threading
import time

import pytest
from harness.device import Device, channel_id
from harness.process import wait_until
from harness.relay import assert_accepted, path_of
from harness.sender import Vapid
from harness.websocket import TEXT, Closed, frame

# for an answer that waits for nobody, on a busy machine
BUSY_SEC = 8


@pytest.fixture(autouse=True)
def everyone_else(request, relay):
    """A device and a sender that behave, before and after, fast."""
    device, _, endpoint = relay.subscribed()
    yield
    begin = time.monotonic()
    assert_accepted(relay.post(endpoint, b"x"))
    assert device.take() == b"x"
    assert time.monotonic() - begin < BUSY_SEC
    device.close()


def rss_kib(relay):
    with open(f"/proc/{relay.process.pid}/status", encoding="ascii") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmRSS"))


def test_connections_that_say_nothing(relay):
    """300 of them, idle; others are served."""
    idle = [relay.connect() for _ in range(300)]
    assert relay.get("/health").status == 200
    for connection in idle:
        connection.close()


def test_hang_up_at_every_byte(relay):
    """Of a POST: FIN or RST after each prefix; at most whole requests are stored."""
    device, _, endpoint = relay.subscribed()
    text = (
        f"POST {path_of(endpoint)} HTTP/1.1\r\nHost: a\r\nTTL: 60\r\nContent-Length: 5\r\n\r\nhello".encode()
    )
    for size in range(0, len(text)):
        connection = relay.connect()
        connection.send(text[:size])
        connection.reset() if size % 2 else connection.close()
    device.expect_nothing()


def test_hang_up_before_the_answer(relay):
    """A whole POST, then gone: stored or not, never twice, and the relay lives."""
    device, _, endpoint = relay.subscribed()
    text = f"POST {path_of(endpoint)} HTTP/1.1\r\nHost: a\r\nTTL: 60\r\nContent-Length: 2\r\n\r\n".encode()
    for i in range(50):
        connection = relay.connect()
        connection.send(text + b"%02d" % i)
        connection.reset() if i % 2 else connection.close()
    relay.push(endpoint, b"last")
    got = []
    while not got or got[-1] != b"last":
        got.append(device.take())
    device.settle()
    assert len(set(got)) == len(got)


def test_sender_that_does_not_read(relay):
    """Pipelines without reading its answers: bounded, then served or cut."""
    _, _, endpoint = relay.subscribed()
    before = rss_kib(relay)
    connection = relay.connect()
    connection.sock.settimeout(1.0)
    request = f"GET {path_of(endpoint)} HTTP/1.1\r\nHost: a\r\n\r\n".encode() * 200
    try:
        for _ in range(400):
            connection.send(request)
    except (TimeoutError, ConnectionError):
        pass
    assert rss_kib(relay) - before < 80000
    connection.reset()


def test_device_that_does_not_read(start_relay):
    """Bounded by bytes and cut in time; its messages are kept for its return."""
    relay = start_relay(queue_messages=5000, queue_bytes="64m")
    slow = Device(relay.port, shrink=4096)
    slow.hello()
    _, endpoint = slow.register()
    before = rss_kib(relay)
    with relay.connect() as connection:
        for i in range(600):
            answer = connection.request(
                "POST", path_of(endpoint), [("TTL", "600")], b"%04d" % i + bytes(16000)
            )
            assert_accepted(answer)
    assert rss_kib(relay) - before < 120000
    slow.reset()
    device = relay.device(slow.uaid)
    for i in range(600):
        assert device.take()[:4] == b"%04d" % i
    device.expect_nothing()


def test_device_that_acknowledges_what_it_never_read(relay):
    """It can only lose its own messages."""
    device, channel, endpoint = relay.subscribed()
    for _ in range(20):
        updates = [{"channelID": channel, "version": "A" * 22} for _ in range(100)]
        device.send_json({"messageType": "ack", "updates": updates})
    relay.push(endpoint, b"x")
    assert device.take() == b"x"


def test_flood_of_registers(relay):
    """A burst of 256 at once, the rest slowly; others wait for nothing."""
    device = relay.device()
    data = b"".join(
        frame(TEXT, '{"messageType":"register","channelID":"%08x-0000-4000-8000-000000000000"}' % i)
        for i in range(280)
    )
    sender = threading.Thread(target=device.send, args=(data,))
    sender.start()
    begin = time.monotonic()
    other, _, endpoint = relay.subscribed()
    relay.push(endpoint, b"x")
    assert other.take() == b"x" and time.monotonic() - begin < BUSY_SEC
    statuses = [device.read_json(30)["status"] for _ in range(280)]
    sender.join(30)
    assert statuses == [200] * 280


def flood(device, messages):
    """Sends them until the relay has enough."""
    data = b"".join(frame(TEXT, json.dumps(m)) for m in messages)
    try:
        for start in range(0, len(data), 65536):
            device.send(data[start : start + 65536])
    except ConnectionError:
        pass


def registers(text, count, **fields):
    return ({"messageType": "register", "channelID": text(i), **fields} for i in range(count))


FLOODS = {
    "registers": lambda count: registers(lambda i: channel_id(), count),
    "no channels": lambda count: registers(lambda i: "nonsense%d" % i, count),
    "no keys": lambda count: registers(lambda i: channel_id(), count, key="nonsense"),
    "keys": lambda count: registers(lambda i: channel_id(), count, key=Vapid().key),
    "unregisters": lambda count: (
        {"messageType": "unregister", "channelID": channel_id()} for _ in range(count)
    ),
}


@pytest.mark.parametrize("kind", FLOODS)
def test_endless_requests(start_relay, kind):
    """Ten thousands, whatever is asked: some thousands wait, then the connection ends; others wait for nothing."""
    relay = start_relay()
    other, _, endpoint = relay.subscribed()
    device = relay.device()
    before = rss_kib(relay)
    # what waits keeps the answers of all behind it from being given
    first = list(FLOODS["registers"](1000))
    sender = threading.Thread(target=flood, args=(device, first + list(FLOODS[kind](30000))))
    sender.start()
    while sender.is_alive():
        begin = time.monotonic()
        relay.push(endpoint, b"x")
        assert other.take() == b"x" and time.monotonic() - begin < BUSY_SEC
        sender.join(0.05)
    assert device.close_code(20) is None, "dropped"
    assert relay.metrics()["bellwire_device_bad_total"] == 1
    assert rss_kib(relay) - before < 40000
    wait_until(lambda: relay.metrics()["bellwire_device_sockets"] == 1, 10, "the end of the socket")


def test_many_requests_wait(relay):
    """2500 of them are more than are taken, and no reason to end the connection."""
    device = relay.device()
    flood(device, registers(lambda i: channel_id(), 2500))
    device.ping()
    statuses = [answer["status"] for answer in device.waiting]
    assert 200 <= len(statuses) <= 300 and set(statuses) == {200}


def test_garbage_of_all_kinds(relay):
    """Random bytes at random places of good conversations."""
    dice = random.Random(7)
    _, _, endpoint = relay.subscribed()
    good = f"POST {path_of(endpoint)} HTTP/1.1\r\nHost: a\r\nTTL: 60\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n".encode()
    for _ in range(150):
        text = bytearray(good)
        for _ in range(dice.randint(1, 4)):
            text[dice.randrange(len(text))] = dice.randrange(256)
        with relay.connect() as connection:
            connection.send(bytes(text))
    for _ in range(60):
        device = relay.device()
        data = bytearray(frame(TEXT, '{"messageType":"register","channelID":"x"}') * 3)
        for _ in range(dice.randint(1, 6)):
            data[dice.randrange(len(data))] = dice.randrange(256)
        try:
            device.send(bytes(data))
            device.send(os.urandom(30))
        except (ConnectionError, Closed):
            pass
        device.close()


def test_upgrade_and_vanish(relay):
    """Sockets that upgrade and are gone, at each stage; none is left behind."""
    for i in range(60):
        device = Device(relay.port)
        if i % 3:
            device.send_json({"messageType": "hello"})
        if i % 3 == 2:
            device.read_hello()
        device.reset() if i % 2 else device.close()
    wait_until(lambda: relay.metrics()["bellwire_device_sockets"] <= 3, 10, "the sockets to be gone")


def test_too_many_connections(start_relay):
    """Beyond max_connections: 503 or not accepted, and well again when they go; devices do not count as HTTP."""
    relay = start_relay(max_connections=20)
    device, _, endpoint = relay.subscribed()
    idle = [relay.connect() for _ in range(40)]
    relay_full = False
    try:
        with relay.connect(timeout=1) as connection:
            relay_full = connection.request("GET", "/health").status == 503
    except (OSError, EOFError):
        relay_full = True
    assert relay_full
    device.ping()
    for connection in idle:
        connection.close()
    wait_until(lambda: accepted(relay, endpoint), 10, "room")
    assert device.take() == b"x"


def accepted(relay, endpoint):
    try:
        return relay.post(endpoint, b"x").status == 201
    except (OSError, EOFError):
        return False
