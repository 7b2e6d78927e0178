# SPDX-License-Identifier: Apache-2.0
"""Sunup (and Prism) on OkHttp: strict about which members are there, silent about everything else."""

from harness.device import Device, body_of, channel_id
from harness.relay import assert_accepted, assert_refused
from harness.sender import Vapid
from harness.stores import every_store

UPGRADE = (
    "GET {PATH} HTTP/1.1\r\n"
    "Upgrade: websocket\r\n"
    "Connection: Upgrade\r\n"
    "Sec-WebSocket-Key: {KEY}\r\n"
    "Sec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Extensions: permessage-deflate\r\n"
    "Host: 127.0.0.1:{PORT}\r\n"
    "Accept-Encoding: gzip\r\n"
    "User-Agent: okhttp/4.12.0\r\n\r\n"
)


def sunup(relay, uaid=None):
    """Its hello leaves before it has read anything, and never says use_webpush."""
    device = Device(relay.port, request=UPGRADE.replace("{PORT}", str(relay.port)).replace("{PATH}", "/"))
    assert (
        "sec-websocket-protocol" not in device.response and "sec-websocket-extensions" not in device.response
    )
    device.send_text('{"messageType":"hello"' + (f',"uaid":"{uaid}"' if uaid else "") + "}")
    device.read_hello()
    return device


def register(device, channel, key=None):
    device.send_text(
        '{"messageType":"register","channelID":"' + channel + '"' + (f',"key":"{key}"' if key else "") + "}"
    )
    answer = device.answer("register")
    assert answer["status"] == 200 and answer["channelID"] == channel
    return answer["pushEndpoint"]


def ack(device, message):
    """Without code."""
    device.send_text(
        '{"messageType":"ack","updates":[{"channelID":"%s","version":"%s"}]}'
        % (message["channelID"], message["version"])
    )


@every_store
def test_register_push_restart(relay):
    device = sunup(relay)
    channel = channel_id()
    endpoint = register(device, channel)
    relay.push(endpoint, b"1")
    relay.push(endpoint, b"")
    for expected in (b"1", b""):
        message = device.notification()
        assert body_of(message) == expected
        ack(device, message)
    device.settle()
    device.vanish()
    relay.push(endpoint, b"2")
    device = sunup(relay, device.uaid)
    assert body_of(device.notification()) == b"2"


@every_store
def test_key_change_on_the_same_channel(relay):
    """An app with a new VAPID key registers the same channel again and expects the URL to use."""
    old, new = Vapid(), Vapid()
    device = sunup(relay)
    channel = channel_id()
    first = register(device, channel, old.key)
    second = register(device, channel, new.key)
    assert_accepted(relay.post(second, b"x", headers=[new.header(second)]))
    assert_refused(relay.post(first, b"x", headers=[old.header(first)]), 410)
    assert body_of(device.notification()) == b"x"


def test_new_identity_registers_everything_at_once(relay):
    """It is robust against a lost identity: a burst of registers, each answered."""
    device = sunup(relay, "0123456789abcdef0123456789abcdef")
    assert device.uaid != "0123456789abcdef0123456789abcdef"
    channels = [channel_id() for _ in range(30)]
    for channel in channels:
        device.send_text('{"messageType":"register","channelID":"' + channel + '"}')
    assert [device.answer("register")["channelID"] for _ in channels] == channels


def test_failed_register_has_no_endpoint(relay):
    """It looks at pushEndpoint and not at status."""
    device = sunup(relay)
    device.send_text('{"messageType":"register","channelID":"' + channel_id() + '","key":"bad"}')
    assert "pushEndpoint" not in device.answer("register")


def test_pings(relay):
    """A WS PING a minute, `{}` now and then: only the latter has an answer in text."""
    device = sunup(relay)
    for _ in range(3):
        device.ping(b"")
    device.send_text("{}")
    assert device.read_text() == "{}"
    device.expect_nothing()
