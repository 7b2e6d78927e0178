# SPDX-License-Identifier: Apache-2.0
"""Firefox as it was seen on the wire: header for header, frame for frame."""

import pytest
from harness.device import Device, body_of
from harness.relay import assert_accepted, assert_refused
from harness.sender import Subscriber, Vapid
from harness.stores import every_store

UPGRADE = (
    "GET {PATH} HTTP/1.1\r\n"
    "Host: 127.0.0.1:{PORT}\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:153.0) Gecko/20100101 Firefox/153.0\r\n"
    "Accept: */*\r\n"
    "Accept-Language: en-US,en;q=0.9\r\n"
    "Accept-Encoding: gzip, deflate, br, zstd\r\n"
    "Sec-WebSocket-Version: 13\r\n"
    "Origin: ws://127.0.0.1:{PORT}{PATH}\r\n"
    "Sec-WebSocket-Protocol: push-notification\r\n"
    "Sec-WebSocket-Extensions: permessage-deflate\r\n"
    "Sec-WebSocket-Key: {KEY}\r\n"
    "Connection: Upgrade\r\n"
    "Sec-Fetch-Dest: empty\r\n"
    "Sec-Fetch-Mode: websocket\r\n"
    "Sec-Fetch-Site: none\r\n"
    "Pragma: no-cache\r\n"
    "Cache-Control: no-cache\r\n"
    "Upgrade: websocket\r\n\r\n"
)
BROADCASTS = '"broadcasts":{"remote-settings/monitor_changes":"\\"0\\""}'
CHANNEL = "82a347c4-c63a-4a17-bf08-2c0a89da0280"


def firefox(relay, path="/"):
    device = Device(relay.port, request=UPGRADE.replace("{PORT}", str(relay.port)).replace("{PATH}", path))
    assert device.response["sec-websocket-protocol"] == "push-notification"
    return device


def first_start(relay):
    device = firefox(relay)
    device.send_text('{"messageType":"hello","broadcasts":{},"use_webpush":true}')
    device.read_hello()
    return device


def next_start(relay, uaid):
    device = firefox(relay)
    device.send_text('{"messageType":"hello",' + BROADCASTS + ',"use_webpush":true,"uaid":"' + uaid + '"}')
    assert device.read_hello()["uaid"] == uaid, "Firefox would drop all its subscriptions"
    return device


def subscribe(device, key=None, channel=CHANNEL):
    tail = f',"key":"{key}="' if key else ""
    device.send_text('{"channelID":"' + channel + '","messageType":"register"' + tail + "}")
    answer = device.answer("register")
    assert answer["channelID"] == channel and answer["status"] == 200
    return answer["pushEndpoint"]


def ack(device, message, code=100):
    device.send_text(
        '{"messageType":"ack","updates":[{"channelID":"%s","version":"%s","code":%d}]}'
        % (message["channelID"], message["version"], code)
    )


@every_store
def test_a_subscription_from_first_start_to_unsubscribe(relay):
    """Hello without identity, register with the padded key, push, ack, nack, restart, unregister."""
    sender, page = Vapid(), Subscriber()
    device = first_start(relay)
    endpoint = subscribe(device, sender.key)
    device.send_text('{"messageType":"broadcast_subscribe",' + BROADCASTS + "}")
    headers = [
        sender.header(endpoint),
        ("Content-Encoding", "aes128gcm"),
        ("Content-Type", "application/octet-stream"),
    ]
    assert_accepted(
        relay.post(endpoint, page.encrypt(b"hello page"), 2419200, headers=headers, urgency="normal")
    )
    message = device.notification()
    assert message["channelID"] == CHANNEL and message["headers"] == {"encoding": "aes128gcm"}
    assert page.decrypt(body_of(message)) == b"hello page"
    ack(device, message)
    device.send_text('{"messageType":"nack","version":"%s","code":301}' % message["version"])
    device.settle()
    device.send_frame(8)
    device.close()
    device = next_start(relay, device.uaid)
    device.expect_nothing()
    device.send_text('{"channelID":"' + CHANNEL + '","messageType":"unregister","code":200}')
    assert device.answer("unregister") == {"messageType": "unregister", "channelID": CHANNEL, "status": 200}
    assert_refused(relay.post(endpoint, b"x", headers=[sender.header(endpoint)]), 410)


def test_identities_without_subscription_are_forgotten(relay):
    """Each connection of a Firefox without subscription asks for a new identity; nothing stays of them."""
    before = relay.metrics()["bellwire_store_devices"]
    identities = set()
    for _ in range(5):
        device = first_start(relay)
        identities.add(device.uaid)
        device.close()
    assert len(identities) == 5 and relay.metrics()["bellwire_store_devices"] == before


@every_store
def test_register_repeated_after_a_loss(relay):
    """The same frame with the same channelID on the next connection."""
    device = first_start(relay)
    endpoint = subscribe(device)
    device.vanish()
    device = next_start(relay, device.uaid)
    assert subscribe(device) == endpoint


@every_store
def test_ack_of_the_old_connection_on_the_new_one(relay):
    """Right behind its hello, in one go; then nothing comes again."""
    device = first_start(relay)
    endpoint = subscribe(device)
    relay.push(endpoint, b"x")
    message = device.notification()
    device.vanish()
    device = next_start(relay, device.uaid)
    ack(device, message)
    device.settle()
    device.close()
    next_start(relay, device.uaid).expect_nothing()


@pytest.mark.parametrize("code", [101, 102])
def test_codes_that_mean_undeliverable(relay, code):
    """All three mean: do not send it again."""
    device = first_start(relay)
    endpoint = subscribe(device)
    relay.push(endpoint, b"x")
    ack(device, device.notification(), code)
    device.settle()
    device.close()
    next_start(relay, device.uaid).expect_nothing()


def test_thirty_at_once_keep_their_order(relay):
    device = first_start(relay)
    endpoint = subscribe(device)
    for i in range(30):
        relay.push(endpoint, b"%d" % i)
    for i in range(30):
        message = device.notification()
        assert body_of(message) == b"%d" % i
        ack(device, message)
    device.expect_nothing()


def test_idle_ping(relay):
    """After 30 quiet minutes: `{}` and 10 s for the answer."""
    device = first_start(relay)
    device.send_text("{}")
    assert device.read_text() == "{}"


def test_legacy_message_of_a_page(relay):
    """aesgcm: `crypto_key` with an underscore, salt and dh unpadded."""
    page = Subscriber()
    device = first_start(relay)
    endpoint = subscribe(device)
    body, salt, dh = page.encrypt_aesgcm(b"legacy")
    headers = [("Content-Encoding", "aesgcm"), ("Encryption", f"salt={salt}"), ("Crypto-Key", f"dh={dh}")]
    relay.push(endpoint, body, headers=headers)
    message = device.notification()
    assert page.decrypt_aesgcm(body_of(message), message["headers"]) == b"legacy"
