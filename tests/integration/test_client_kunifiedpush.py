# SPDX-License-Identifier: Apache-2.0
"""KUnifiedPush as it was seen on the wire: bare upgrade, two sockets, acks on the later one."""

import time

from harness.device import Device, body_of, channel_id
from harness.stores import every_store

UPGRADE = (
    "GET {PATH} HTTP/1.1\r\n"
    "Host: 127.0.0.1:{PORT}\r\n"
    "Upgrade: websocket\r\n"
    "Connection: Upgrade\r\n"
    "Sec-WebSocket-Key: {KEY}\r\n"
    "Sec-WebSocket-Version: 13\r\n\r\n"
)


def kunifiedpush(relay, uaid=None, path="/"):
    device = Device(relay.port, request=UPGRADE.replace("{PORT}", str(relay.port)).replace("{PATH}", path))
    assert "sec-websocket-protocol" not in device.response, "it would neither say hello nor close"
    device.send_text('{"messageType":"hello"' + (f',"uaid":"{uaid}"' if uaid else "") + "}")
    device.read_hello()
    return device


def register(device, channel):
    device.send_text('{"channelID":"' + channel + '","messageType":"register"}')
    answer = device.answer("register")
    assert answer["channelID"] == channel and answer["status"] == 200
    return answer["pushEndpoint"]


def ack(device, message):
    device.send_text(
        '{"messageType":"ack","updates":[{"channelID":"%s","version":"%s"}]}'
        % (message["channelID"], message["version"])
    )


@every_store
def test_second_socket_while_registering(relay):
    """It listens on both and sends its registers on either; neither is closed."""
    first = kunifiedpush(relay)
    one = register(first, channel_id())
    second = kunifiedpush(relay, first.uaid)
    two = register(first, channel_id())
    three = register(second, channel_id())
    for url in (one, two, three):
        relay.push(url, b"x")
    for _ in range(3):
        ack(second, second.notification())
    second.expect_nothing()
    first.expect_nothing()


@every_store
def test_acks_of_the_first_socket_on_the_second(relay):
    """Some milliseconds behind that one's hello: nothing comes twice."""
    first = kunifiedpush(relay)
    endpoint = register(first, channel_id())
    for i in range(5):
        relay.push(endpoint, b"%d" % i)
    held = first.notifications(5)
    second = kunifiedpush(relay, first.uaid)
    time.sleep(0.05)  # as seen: the acks come a little later
    for message in held:
        ack(second, message)
    second.expect_quiet(2.5)
    second.expect_nothing()


@every_store
def test_one_app_that_never_acks_holds_up_nobody(relay):
    """A failing app's message is never acknowledged in a session; others' go on, and it comes again later."""
    device = kunifiedpush(relay)
    bad, good = channel_id(), channel_id()
    bad_url, good_url = register(device, bad), register(device, good)
    relay.push(bad_url, b"stuck")
    for i in range(50):
        relay.push(good_url, b"%d" % i)
        message = device.notification()
        if message["channelID"] == bad:
            message = device.notification()
        ack(device, message)
    device.settle()
    device.close()
    device = kunifiedpush(relay, device.uaid)
    assert body_of(device.notification()) == b"stuck"
    device.expect_nothing()


def test_thousand_queued_messages(relay):
    """One ack frame each, in order."""
    device = kunifiedpush(relay)
    endpoint = register(device, channel_id())
    device.close()
    path = "/p/" + endpoint.rsplit("/", 1)[1]
    with relay.connect() as connection:
        for i in range(1000):
            connection.request("POST", path, [("TTL", "600")], b"%d" % i)
    device = kunifiedpush(relay, device.uaid)
    for i in range(1000):
        message = device.notification()
        assert body_of(message) == b"%d" % i
        ack(device, message)
    device.expect_nothing()
