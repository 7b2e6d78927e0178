# SPDX-License-Identifier: Apache-2.0
"""What a device may send wrongly, and which close code follows."""

import os
import struct

import pytest
from harness.device import Device
from harness.websocket import BINARY, CLOSE, CONTINUATION, TEXT, frame


@pytest.fixture(autouse=True)
def others_do_not_notice(relay):
    """Another device and another sender go on during all of this."""
    device, _, endpoint = relay.subscribed()
    yield
    relay.push(endpoint, b"x")
    assert device.take() == b"x"


@pytest.mark.parametrize(
    "message",
    [
        '{"messageType":"shout"}',
        '{"messageType":""}',
        '{"messageType":"notification","channelID":"x"}',
        '{"messageType":"HELLO2","a":[1]}',
    ],
)
def test_unknown_types_are_ignored(relay, message):
    """Case 41."""
    device = relay.device()
    device.send_text(message)
    device.expect_nothing(0)


@pytest.mark.parametrize("kind", ["broadcast_subscribe", "broadcastsubscribe"])
def test_broadcast_subscribe(relay, kind):
    """Case 39: nothing comes back."""
    device = relay.device()
    device.send_json({"messageType": kind, "broadcasts": {"remote-settings/monitor_changes": '"0"'}})
    device.expect_nothing()


@pytest.mark.parametrize(
    "text", ["", "x", "{", '{"messageType":', "{}{}", "[" * 5000, '{"a":"\\ud800"}', "\0", '{"a":1,}']
)
@pytest.mark.parametrize("greeted", [True, False])
def test_invalid_json(relay, text, greeted):
    """Case 41: 1007, and the relay ends the TCP connection itself (Firefox does not answer a Close)."""
    device = relay.device() if greeted else Device(relay.port)
    device.send_text(text)
    assert device.close_code() == 1007
    assert device.is_closed(3)


def test_invalid_utf8(relay):
    """RFC 6455: 1007."""
    device = relay.device()
    device.send_frame(TEXT, b'{"messageType":"\xff\xfe"}')
    assert device.close_code() == 1007


@pytest.mark.parametrize("greeted", [True, False])
def test_binary_frame(relay, greeted):
    """Case 41."""
    device = relay.device() if greeted else Device(relay.port)
    device.send_frame(BINARY, b'{"messageType":"hello"}')
    assert device.close_code() == 1003
    assert device.is_closed(3)


@pytest.mark.parametrize("text", ["[]", "null", "7", '"x"', "true"])
def test_json_that_is_no_object(relay, text):
    """Ignored or closed with a code of the protocol."""
    device = relay.device()
    device.send_text(text)
    device.send_json({"messageType": "unregister", "channelID": "11111111-2222-4333-8444-555555555555"})
    try:
        assert device.read_json()["messageType"] == "unregister"
    except Exception as closed:
        assert closed.code in (1002, 1003, 1007)


def test_hello_may_be_large(relay):
    """Section 10.5: 64 KiB for a hello …"""
    device = Device(relay.port)
    device.hello(filler="x" * 60000)
    device.register()


def test_oversized_messages(relay):
    """Case 41: … and not more; 16 KiB for anything else; also when the length alone says so, or in fragments."""
    device = Device(relay.port)
    device.send_text('{"messageType":"hello","x":"' + "x" * 66000 + '"}')
    assert device.close_code() == 1009
    device = relay.device()
    device.send_json({"messageType": "shout", "x": "x" * 15000})
    device.expect_nothing(0)
    device.send_json({"messageType": "shout", "x": "x" * 17000})
    assert device.close_code() == 1009
    device = relay.device()
    device.send(b"".join(frame(CONTINUATION if i else TEXT, b"x" * 1000, fin=False) for i in range(20)))
    assert device.close_code() == 1009


def test_fragmented_message(relay):
    """Clients may fragment, with control frames between."""
    device = Device(relay.port)
    text = b'{"messageType":"hello"}'
    for i, byte in enumerate(text):
        device.send_frame(CONTINUATION if i else TEXT, bytes([byte]), fin=i == len(text) - 1)
        if i == 5:
            device.ping(b"between")
    device.read_hello()


BROKEN = {
    "reserved bit": frame(TEXT, "{}", rsv=4),
    "reserved opcode": frame(3, "{}"),
    "continuation of nothing": frame(CONTINUATION, "{}"),
    "fragmented ping": frame(9, "x", fin=False),
    "long ping": frame(9, b"x" * 126),
    "huge length": frame(TEXT, b"x" * 30000, length=1 << 40),
    "length with the top bit": frame(TEXT, b"x", length=(1 << 63) + 5),
    "text within fragments": frame(TEXT, "{", fin=False) + frame(TEXT, "}"),
    "noise": os.urandom(3000),
}


@pytest.mark.parametrize("data", BROKEN.values(), ids=BROKEN.keys())
def test_broken_frames(relay, data):
    """RFC 6455: the connection ends, with a code of its own or without."""
    device = relay.device()
    device.send(data)
    if data is not BROKEN["noise"]:
        assert device.close_code() in (None, 1002, 1007, 1009, 1011)
    device.close()


@pytest.mark.parametrize(
    "payload",
    [b"", struct.pack(">H", 1000), struct.pack(">H", 1001) + b"going away", b"\x03", struct.pack(">H", 7)],
)
def test_close_by_the_client(relay, payload):
    """Firefox ends with an empty Close. Answered or not, TCP ends soon."""
    device = relay.device()
    device.send_frame(CLOSE, payload)
    device.close_code()
    assert device.is_closed(3)


def test_nothing_but_noise_instead_of_http(relay):
    with relay.connect() as connection:
        connection.send(os.urandom(5000).replace(b"\r", b"x"))
        connection.send(b"\r\n\r\n")
        try:
            assert connection.read_response().status in (400, 414, 431)
        except (EOFError, ConnectionError):
            pass
