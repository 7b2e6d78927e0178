# SPDX-License-Identifier: Apache-2.0
"""What a client with our extension is told beside a message, and nobody else is."""

from harness.device import Device, body_of
from harness.stores import every_store


def ours(relay, uaid=None, **fields):
    device = Device(relay.port)
    device.hello(uaid, bellwire={"v": 1, "keepalive_s": 900, **fields})
    return device


def told(device):
    """The next message's bytes and what came beside it."""
    message = device.waiting.pop(0) if device.waiting else device.read_json()
    device.ack(message)
    extra = message.pop("bellwire")
    assert set(message) == {"messageType", "channelID", "version", "data", "headers"}, message
    return body_of(message), extra


@every_store
def test_live_message(relay):
    device = ours(relay)
    _, endpoint = device.register()
    relay.push(endpoint, b"x", ttl=60, urgency="high", topic="mail")
    body, extra = told(device)
    assert body == b"x" and 50 < extra.pop("ttl_s") <= 60
    assert extra == {"urgency": "high", "topic": "mail"}
    relay.push(endpoint, b"y", ttl=0)
    assert told(device) == (b"y", {"ttl_s": 0, "urgency": "normal"})


@every_store
def test_queued_message(relay):
    device = ours(relay)
    _, endpoint = device.register()
    device.close()
    relay.push(endpoint, b"a", ttl=5000, urgency="very-low", topic="a_topic-of_exactly-32_characters")
    relay.push(endpoint, b"", ttl=100)
    again = ours(relay, device.uaid)
    body, extra = told(again)
    assert body == b"a" and 4900 < extra.pop("ttl_s") <= 5000
    assert extra == {"urgency": "very-low", "topic": "a_topic-of_exactly-32_characters"}
    body, extra = told(again)
    assert body == b"" and 0 < extra.pop("ttl_s") <= 100
    assert extra == {"urgency": "normal"}


def test_other_clients_are_told_nothing(relay):
    device, channel, endpoint = relay.subscribed()
    relay.push(endpoint, b"hi", ttl=60, urgency="high", topic="mail")
    text = device.read_text()
    version = text.split('"version":"')[1][:22]
    assert text == (
        '{"messageType":"notification","channelID":"%s","version":"%s","data":"aGk","headers":{}}'
        % (channel, version)
    )
