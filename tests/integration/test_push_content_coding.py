# SPDX-License-Identifier: Apache-2.0
"""Content codings pass through as they came; what the device may see of the crypto headers, and what not."""

import pytest
from harness.device import body_of
from harness.stores import every_store


@pytest.mark.parametrize(
    "coding, body",
    [
        (None, b'{"@type":"StateChange"}'),
        ("aes128gcm", b'{"notification":{}}'),
        ("aes128gcm", b"\x00garbage\xff"),
        ("gzip", b"\x1f\x8b\x08\x00not really"),
        ("identity", b"as it is"),
        ("aesgcm128", b"older still"),
        ("gzip, aes128gcm", b"stacked"),
    ],
)
def test_passed_through(relay, coding, body):
    """Cases 26, 27 and 29, device case 21: untouched bytes; without a coding the headers are an empty object."""
    device, _, endpoint = relay.subscribed()
    relay.push(endpoint, body, headers=[("Content-Encoding", coding)] if coding else [])
    message = device.notification()
    assert body_of(message) == body
    assert message["headers"] == ({"encoding": coding} if coding else {})


SALT, DH, VAPID = (
    "lngarbyKfMoi9Z75xYXmkg",
    "BNoRDbb84JGm8g5Z5CFxurSqsXWJ11ItfXEWYVLE85Y7CYkDjXsIEc4aqxYaQ1G8BqkXCJ6DPpDrWtdWj_mugHU",
    "BA" + "x" * 85,
)


@pytest.mark.parametrize(
    "encryption, crypto_key, expected",
    [
        (f"salt={SALT}", f"dh={DH}", {"encryption": f"salt={SALT}", "crypto_key": f"dh={DH}"}),
        (f'salt="{SALT}=="', f'dh="{DH}="', {"encryption": f"salt={SALT}", "crypto_key": f"dh={DH}"}),
        (
            f"salt={SALT}",
            f"dh={DH};p256ecdsa={VAPID}",
            {"encryption": f"salt={SALT}", "crypto_key": f"dh={DH}"},
        ),
        (
            f"salt={SALT}",
            f"p256ecdsa={VAPID};dh={DH}",
            {"encryption": f"salt={SALT}", "crypto_key": f"dh={DH}"},
        ),
        (
            f"salt={SALT}",
            f"p256ecdsa={VAPID},dh={DH}",
            {"encryption": f"salt={SALT}", "crypto_key": f"dh={DH}"},
        ),
        (
            f"salt={SALT}",
            f"dh={DH}, p256ecdsa={VAPID}",
            {"encryption": f"salt={SALT}", "crypto_key": f"dh={DH}"},
        ),
        (
            f"keyid=p256dh;salt={SALT};rs=4096",
            f"keyid=p256dh;dh={DH};p256ecdsa={VAPID}",
            {"encryption": f"keyid=p256dh;salt={SALT};rs=4096", "crypto_key": f"keyid=p256dh;dh={DH}"},
        ),
    ],
)
@every_store
def test_aesgcm(relay, encryption, crypto_key, expected):
    """Case 28 and device case 21: quotes and padding go, and the VAPID key never reaches the device."""
    device, _, endpoint = relay.subscribed()
    headers = [("Content-Encoding", "aesgcm"), ("Encryption", encryption), ("Crypto-Key", crypto_key)]
    for _ in range(2):
        relay.push(endpoint, b"ciphertext", headers=headers)
    message = device.notification()
    assert message["headers"] == {"encoding": "aesgcm", **expected}
    device.close()
    assert relay.device(device.uaid).notification()["headers"] == {"encoding": "aesgcm", **expected}


def test_aesgcm_without_encryption_header(relay):
    """Case 28: taken unless strict."""
    device, _, endpoint = relay.subscribed()
    relay.push(endpoint, b"x", headers=[("Content-Encoding", "aesgcm")])
    message = device.notification()
    assert message["headers"] == {"encoding": "aesgcm"}


@every_store
def test_empty_message(relay):
    """Case 22 and device case 20: both members are there, data empty and headers null."""
    device, channel, endpoint = relay.subscribed()
    for _ in range(2):
        relay.push(endpoint, b"")
    message = device.notification()
    assert (message["channelID"], message["data"], message["headers"]) == (channel, "", None)
    device.close()
    message = relay.device(device.uaid).notification()
    assert (message["data"], message["headers"]) == ("", None)


def test_nothing_of_the_sender_reaches_the_device(relay):
    """Rule 6 of the contract: no Authorization, Topic, Urgency or TTL (the shape is checked by notification())."""
    device, _, endpoint = relay.subscribed()
    relay.push(
        endpoint,
        b"x",
        86400,
        topic="secret-topic",
        urgency="high",
        headers=[
            ("Authorization", "Basic c2VjcmV0"),
            ("Crypto-Key", f"p256ecdsa={VAPID}"),
            ("Content-Encoding", "aes128gcm"),
        ],
    )
    message = device.notification()
    assert message["headers"] == {"encoding": "aes128gcm"}


def test_largest_usual_body_is_one_frame(relay):
    """Device case 34: 4096 bytes are 5462 characters in one text message."""
    device, _, endpoint = relay.subscribed()
    relay.push(endpoint, bytes(4096), headers=[("Content-Encoding", "aes128gcm")])
    message = device.notification()
    assert len(message["data"]) == 5462
