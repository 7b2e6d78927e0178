# SPDX-License-Identifier: Apache-2.0
"""strict_encryption = on takes only messages that have the form of RFC 8291."""

import pytest
from harness.device import body_of
from harness.relay import assert_refused
from harness.sender import Subscriber

FLAGS = {"strict_encryption": "on"}
CODING = ("Content-Encoding", "aes128gcm")


def test_real_messages_pass(relay):
    """An encrypted one, a legacy one with both headers, and an empty one without coding."""
    device, _, endpoint = relay.subscribed()
    app = Subscriber()
    relay.push(endpoint, app.encrypt(b"new"), headers=[CODING])
    assert app.decrypt(body_of(device.notification())) == b"new"
    body, salt, dh = app.encrypt_aesgcm(b"old")
    headers = [("Content-Encoding", "aesgcm"), ("Encryption", f"salt={salt}"), ("Crypto-Key", f"dh={dh}")]
    relay.push(endpoint, body, headers=headers)
    message = device.notification()
    assert app.decrypt_aesgcm(body_of(message), message["headers"]) == b"old"
    relay.push(endpoint, b"")
    assert body_of(device.notification()) == b""


@pytest.mark.parametrize(
    "headers", [[], [("Content-Encoding", "gzip")], [("Content-Encoding", "aes128gcm, gzip")]]
)
def test_other_codings_get_415(relay, headers):
    """Case 26."""
    _, _, endpoint = relay.subscribed()
    assert_refused(relay.post(endpoint, b'{"a":1}', headers=headers), 415, accept_encoding="aes128gcm")


GOOD = bytes(16) + (4096).to_bytes(4, "big") + b"\x41\x04" + bytes(64) + bytes(17)


@pytest.mark.parametrize(
    "body",
    [
        b"x",
        b"{}",
        GOOD[:102],
        GOOD[:20] + b"\x40" + GOOD[21:],
        GOOD[:21] + b"\x02" + GOOD[22:],
        GOOD[:16] + b"\0\0\0\x11" + GOOD[20:],
    ],
)
def test_malformed_header_gets_400(relay, body):
    """Section 3.5: body too short, idlen not 65, no uncompressed point, rs below 18."""
    device, _, endpoint = relay.subscribed()
    relay.push(endpoint, GOOD, headers=[CODING])
    assert_refused(relay.post(endpoint, body, headers=[CODING]), 400, 110)
    assert body_of(device.notification()) == GOOD


@pytest.mark.parametrize("headers", [[], [("Encryption", "salt=AAAA")], [("Crypto-Key", "dh=BAAA")]])
def test_aesgcm_needs_both_headers(relay, headers):
    """Case 28, strict."""
    _, _, endpoint = relay.subscribed()
    assert_refused(
        relay.post(endpoint, b"x" * 40, headers=[("Content-Encoding", "aesgcm"), *headers]), 400, 110
    )
