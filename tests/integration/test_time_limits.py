# SPDX-License-Identifier: Apache-2.0
"""Every wait for a peer ends. All of these run side by side, for the longest takes 75 s."""

import select
import time

import pytest
from harness.device import Device
from harness.relay import path_of


class Watch:
    """A connection, when it began to wait, and how it must end."""

    def __init__(self, name, connection, low, high, drip=None):
        self.name, self.connection, self.low, self.high, self.drip = name, connection, low, high, drip
        self.begin, self.ended, self.data = time.monotonic(), None, b""


def request_head(path, *lines):
    return "\r\n".join([f"POST {path} HTTP/1.1", "Host: a", "TTL: 60", *lines]) + "\r\n"


@pytest.fixture(scope="module")
def ended(relay):
    """name -> (seconds, bytes that came), after all have ended."""
    devices = [relay.subscribed() for _ in range(2)]
    path = path_of(devices[0][2])
    watches = []

    def watch(name, connection, low, high, drip=None, data=b""):
        connection.send(data)
        watches.append(Watch(name, connection, low, high, drip))

    watch("nothing", relay.connect(), 10, 95)
    watch("head stalls", relay.connect(), 13, 30, data=b"POST / HT")
    watch("head drips", relay.connect(), 13, 30, drip=b"X-A: b\r\n", data=request_head(path).encode())
    watch(
        "body stalls",
        relay.connect(),
        55,
        70,
        data=request_head(path, "Content-Length: 9", "").encode() + b"x",
    )
    watch(
        "body drips",
        relay.connect(),
        55,
        70,
        drip=b"x",
        data=request_head(path, "Content-Length: 900", "").encode(),
    )
    chunked = request_head(path, "Transfer-Encoding: chunked", "").encode()
    watch("chunks drip", relay.connect(), 55, 70, drip=b"1\r\nx\r\n", data=chunked)
    idle = relay.connect()
    idle.request("GET", "/health")
    watch("idle keep-alive", idle, 60, 90)
    watch("no hello", Device(relay.port), 25, 40)
    old = devices[1][0]
    relay.device(old.uaid)
    old.answers_pings = False
    watch("old socket that does not answer", old, 25, 45)
    deadline = time.monotonic() + 110
    while time.monotonic() < deadline and any(w.ended is None for w in watches):
        waiting = [w for w in watches if w.ended is None]
        readable, _, _ = select.select([w.connection.sock for w in waiting], [], [], 0.5)
        for w in waiting:
            try:
                if w.connection.sock in readable:
                    data = w.connection.sock.recv(65536)
                    w.data += data
                    if not data:
                        w.ended = time.monotonic() - w.begin
                elif w.drip:
                    w.connection.sock.send(w.drip)
            except OSError:
                w.ended = time.monotonic() - w.begin
    return {w.name: w for w in watches}


NAMES = [
    "nothing",
    "head stalls",
    "head drips",
    "body stalls",
    "body drips",
    "chunks drip",
    "idle keep-alive",
    "no hello",
    "old socket that does not answer",
]


@pytest.mark.parametrize("name", NAMES)
def test_ends_in_time(ended, name):
    """Cases 25 (push endpoint) and 11 (device), and the rulings on dripping and takeover."""
    watch = ended[name]
    assert watch.ended is not None and watch.low < watch.ended < watch.high, (
        name,
        watch.ended,
        watch.data[:200],
    )
    if name.startswith(("body", "chunks")):
        assert watch.data.startswith(b"HTTP/1.1 408 ") and b"connection: close" in watch.data.lower()
    if name in ("no hello", "old socket that does not answer"):
        assert b"\x88" not in watch.data[:1], "dropped without a Close frame"
