# SPDX-License-Identifier: Apache-2.0
"""The WebSocket upgrade of a device: subprotocol, paths, handed over with what was read already."""

import pytest
from harness.device import Device
from harness.relay import path_of
from harness.websocket import TEXT, WebSocket, frame


def test_subprotocol_is_echoed(relay):
    """Case 1."""
    assert (
        Device(relay.port, protocol="push-notification").response["sec-websocket-protocol"]
        == "push-notification"
    )
    offered = Device(relay.port, protocol="chat, push-notification").response
    assert offered["sec-websocket-protocol"] == "push-notification"


def test_no_subprotocol_no_header(relay):
    """Case 1: a name that was not offered makes clients hang."""
    assert "sec-websocket-protocol" not in Device(relay.port).response


@pytest.mark.parametrize("protocol", ["chat", "Push-Notification", "chat, superchat", "push-notification2"])
def test_unknown_subprotocols(relay, protocol):
    """Case 2."""
    assert WebSocket(relay.port, protocol=protocol).response.status == 400


@pytest.mark.parametrize(
    "extensions", ["permessage-deflate", "permessage-deflate; client_max_window_bits", "x-unknown"]
)
def test_extensions_are_declined(relay, extensions):
    """Section 1.3 (the absence of the answer's header is checked by WebSocket)."""
    device = Device(relay.port, request=upgrade(relay, f"Sec-WebSocket-Extensions: {extensions}\r\n"))
    device.hello()


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "ws://127.0.0.1/"])
def test_origin_is_not_looked_at(relay, origin):
    """Section 1.3."""
    Device(relay.port, request=upgrade(relay, f"Origin: {origin}\r\n")).hello()


def test_query_is_accepted(relay):
    """Clients keep path and query of the configured URL."""
    Device(relay.port, "/?a=b").hello()


@pytest.mark.parametrize("path", ["/p/x", "/m/x", "/nowhere", "/_matrix/push/v1/notify"])
def test_no_upgrade_elsewhere(relay, path):
    assert WebSocket(relay.port, path).response.status in (400, 404, 405)


def test_plain_get_of_the_root(relay):
    """A person with a browser gets an answer, not a hanging connection."""
    assert relay.get("/").status in (200, 404, 426)


@pytest.mark.parametrize(
    "without, instead",
    [
        ("Sec-WebSocket-Key", ""),
        ("Sec-WebSocket-Version", "Sec-WebSocket-Version: 12\r\n"),
        ("Sec-WebSocket-Key", "Sec-WebSocket-Key: short\r\n"),
    ],
)
def test_broken_upgrade(relay, without, instead):
    """It is refused or dropped, and nobody else notices."""
    lines = [line for line in upgrade(relay).split("\r\n") if not line.startswith(without)]
    text = "\r\n".join(lines[:-2]) + "\r\n" + instead + "\r\n"
    with relay.connect() as connection:
        connection.send(text.replace("{KEY}", "dGhlIHNhbXBsZSBub25jZQ=="))
        try:
            assert connection.read_response().status in (400, 426)
        except EOFError:
            pass
    relay.device()


def test_frames_right_behind_the_request(relay):
    """What was read with the upgrade is not lost."""
    device = Device(relay.port, early=frame(TEXT, '{"messageType":"hello"}') + frame(TEXT, "{}"))
    device.read_hello()
    assert device.read_json() == {}


def test_upgrade_on_a_used_connection(relay):
    """After a POST on the same connection, pipelined behind it."""
    _, _, endpoint = relay.subscribed()
    post = f"POST {path_of(endpoint)} HTTP/1.1\r\nHost: a\r\nTTL: 60\r\nContent-Length: 1\r\n\r\nx"
    device = Device(relay.port, request=post + "GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
    assert device.response.status == 201
    assert device.read_response().status == 200
    device.send(upgrade(relay).replace("{KEY}", device.key).encode() + frame(TEXT, '{"messageType":"hello"}'))
    assert device.read_head().status == 101
    device.read_hello()
    device.register()


def test_upgrade_in_pieces(relay):
    device = Device(relay.port, request="GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
    text = upgrade(relay).replace("{KEY}", device.key).encode()
    for i in range(0, len(text), 7):
        device.send(text[i : i + 7])
    assert device.read_head().status == 101
    device.hello()


def upgrade(relay, more=""):
    return (
        f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{relay.port}\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"
        f"{more}Sec-WebSocket-Key: {{KEY}}\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
