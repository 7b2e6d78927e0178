# SPDX-License-Identifier: Apache-2.0
"""One key must not both identify the sender and encrypt the message (RFC 8292 section 3.2)."""

import pytest
from harness.relay import assert_accepted, assert_refused
from harness.sender import Subscriber, Vapid


@pytest.mark.parametrize("is_restricted", [False, True])
def test_aes128gcm(relay, is_restricted):
    """Case 50."""
    sender, app = Vapid(), Subscriber()
    _, _, endpoint = relay.subscribed(sender.key if is_restricted else None)
    headers = [("Content-Encoding", "aes128gcm"), sender.header(endpoint)]
    assert_refused(relay.post(endpoint, app.encrypt(b"x", sender=sender.private), headers=headers), 400, 110)
    assert_accepted(relay.post(endpoint, app.encrypt(b"x"), headers=headers))


def test_aesgcm(relay):
    """Case 50, legacy."""
    sender = Vapid()
    _, _, endpoint = relay.subscribed(sender.key)
    headers = [
        ("Content-Encoding", "aesgcm"),
        ("Encryption", "salt=lngarbyKfMoi9Z75xYXmkg"),
        ("Authorization", f"WebPush {sender.token(relay.base)}"),
    ]
    same, other = f"dh={sender.key};p256ecdsa={sender.key}", f"dh={Vapid().key};p256ecdsa={sender.key}"
    assert_refused(relay.post(endpoint, b"x", headers=[*headers, ("Crypto-Key", same)]), 400, 110)
    assert_accepted(relay.post(endpoint, b"x", headers=[*headers, ("Crypto-Key", other)]))
