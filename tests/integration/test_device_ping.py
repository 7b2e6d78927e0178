# SPDX-License-Identifier: Apache-2.0
"""Both kinds of ping."""

import pytest
from harness.device import Device
from harness.websocket import TEXT, frame


@pytest.mark.parametrize("text", ["{}", '{"messageType":"ping"}', " { } "])
def test_json_ping(relay, text):
    """Case 35: exactly two characters come back."""
    device = relay.device()
    device.send_text(text)
    assert device.read_text() == "{}"


def test_relay_sends_none_by_itself(relay):
    """Case 36."""
    relay.device().expect_quiet(0.5)


def test_second_ping_within_ten_seconds(relay):
    """Case 37: ignored, and the socket stays."""
    device = relay.device()
    device.send_text("{}")
    assert device.read_text() == "{}"
    for _ in range(5):
        device.send_text("{}")
    device.expect_nothing(0.1)


def test_ping_flood(relay):
    """Case 37: more than 20 a minute end it with 4774."""
    device = relay.device()
    device.send(frame(TEXT, "{}") * 40)  # at once: soon after the 21st the relay reads no more
    assert device.close_code() == 4774
    assert relay.get("/health").status == 200


@pytest.mark.parametrize("payload", [b"", b"x", bytes(125)])
def test_websocket_ping(relay, payload):
    """Case 38: the same payload comes back, before the hello too."""
    device = Device(relay.port)
    device.ping(payload)
    device.hello()
    device.ping(payload)


def test_websocket_ping_during_a_drain(relay):
    """Case 38: at once, though much is waiting to be sent (Firefox probes for 10 s after a network change)."""
    device, _, endpoint = relay.subscribed()
    device.close()
    for _ in range(60):
        relay.push(endpoint, bytes(16000))
    device = relay.device(device.uaid)
    assert device.ping() < 8
    for _ in range(60):
        device.take()
    assert device.ping() < 8


def test_many_websocket_pings(relay):
    """Section 2.6: never limited."""
    device = relay.device()
    for i in range(100):
        device.ping(b"%d" % i)
    device.expect_nothing(0)
