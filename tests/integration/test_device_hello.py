# SPDX-License-Identifier: Apache-2.0
"""The hello: who the device is, and what may come before and after it."""

import json
import uuid

import pytest
from harness.device import Device, body_of
from harness.process import wait_until
from harness.stores import every_store
from harness.websocket import BINARY, TEXT, frame


def test_first_hello(relay):
    """Case 3: the exact answer; nothing is stored of a device without subscription."""
    device = Device(relay.port)
    device.send_text('{"messageType":"hello"}')
    answer = device.read_hello()
    assert answer == {
        "messageType": "hello",
        "uaid": device.uaid,
        "status": 200,
        "use_webpush": True,
        "broadcasts": {},
    }
    device.close()
    assert relay.device(device.uaid).uaid != device.uaid


@pytest.mark.parametrize(
    "uaid",
    [
        uuid.uuid4().hex,
        "",
        None,
        "x",
        "ffffffffffffffffffffffffffffffff",
        "\u00e4" * 32,
        "a" * 128,
        "a" * 5000,
        7,
        True,
        [],
        {},
    ],
    ids=lambda u: repr(u)[:20],
)
def test_unknown_identities_get_a_new_one(relay, uaid):
    """Case 4: never an error."""
    device = Device(relay.port)
    device.send_json({"messageType": "hello", "uaid": uaid, "use_webpush": True})
    assert device.read_hello()["uaid"] != uaid


@every_store
def test_known_identity_gets_its_queue(relay):
    """Case 5: the identical text, then every queued message, oldest first."""
    device, _, endpoint = relay.subscribed()
    _, other = device.register()
    device.close()
    for i in range(20):
        relay.push(endpoint if i % 3 else other, b"%d" % i)
    again = relay.device(device.uaid)
    assert again.uaid == device.uaid
    assert again.bodies(20) == [b"%d" % i for i in range(20)]


@every_store
def test_other_spellings_of_a_known_identity(relay):
    """Case 6: the same device, answered with the text that was issued."""
    device, _, endpoint = relay.subscribed()
    device.close()
    relay.push(endpoint, b"x")
    for spelling in (str(uuid.UUID(device.uaid)), device.uaid.upper(), str(uuid.UUID(device.uaid)).upper()):
        again = relay.device(spelling)
        assert again.uaid == device.uaid
        assert again.bodies(1) == [b"x"]
        again.close()


def test_second_hello_is_not_answered(relay):
    """Case 9: ignored or 1002, never another hello answer (Firefox would stop for good)."""
    device = relay.device()
    device.send_json({"messageType": "hello", "uaid": device.uaid})
    device.send_json({"messageType": "unregister", "channelID": str(uuid.uuid4())})
    try:
        assert device.read_json()["messageType"] == "unregister"
    except Exception as closed:
        assert closed.code == 1002


@pytest.mark.parametrize(
    "message",
    [
        {"messageType": "register", "channelID": str(uuid.uuid4())},
        {"messageType": "unregister", "channelID": str(uuid.uuid4())},
        {"messageType": "ack", "updates": []},
        {"messageType": "urgency", "min": "low"},
        {"messageType": "broadcast_subscribe", "broadcasts": {}},
    ],
    ids=lambda m: m["messageType"],
)
def test_anything_else_before_hello(relay, message):
    """Case 10: 1002 without an answer."""
    device = Device(relay.port)
    device.send_json(message)
    assert device.close_code() == 1002


def test_ping_before_hello(relay):
    """Case 10: answered, and the relay goes on waiting."""
    device = Device(relay.port)
    device.send_text("{}")
    assert device.read_text() == "{}"
    device.hello()


@pytest.mark.parametrize(
    "broadcasts", [None, {}, {"remote-settings/monitor_changes": '"1790000000000"'}, [], 3]
)
def test_broadcasts(relay, broadcasts):
    """Case 13 (the empty answer is checked by hello())."""
    Device(relay.port).hello(broadcasts=broadcasts)


def test_old_fields_are_ignored(relay):
    """Section 2.2: long channelIDs lists of old clients; a missing or false use_webpush."""
    device = Device(relay.port)
    device.hello(channelIDs=[str(uuid.uuid4()) for _ in range(1000)], use_webpush=False, extra={"a": [1, 2]})
    device.register()


def test_spelling_of_json(relay):
    """Case 42: escapes, blanks, duplicate and extra keys."""
    device = Device(relay.port)
    device.send_text(
        ' {\n "x":1, "messageType" : "bye", "\\u006dessageType"\t:\t"h\\u0065llo", "uaid":null } '
    )
    device.read_hello()
    channel = str(uuid.uuid4())
    device.send_text('{"messageType":"register","channelID":"%s","a":{"b":[{}]},"key":null}\n' % channel)
    assert device.answer("register")["channelID"] == channel


@every_store
def test_identity_survives_without_channels_only_in_its_session(relay):
    """Section 3.2: a device that unregistered everything may be forgotten, and is never an error."""
    device, channel, _ = relay.subscribed()
    device.unregister(channel)
    _, endpoint = device.register()
    relay.push(endpoint, b"x")
    assert body_of(device.notification()) == b"x"


def test_device_that_breaks_the_protocol_at_hello_is_not_here(start_relay, start_redis):
    """The store learns that nobody holds the device, though it says so only after the end."""
    redis = start_redis()
    relay = start_relay(redis.url)
    device, _, _ = relay.subscribed()
    device.close()

    def is_attached():
        (key,) = [k for k in redis.command("KEYS", "bw:{*}") if k.endswith("}")]
        return redis.command("HGET", key, "d")[0] == "\x01"  # as redis_scripts/device.lua has it

    wait_until(lambda: not is_attached(), what="the device to be detached")
    for _ in range(5):
        broken = Device(relay.port)
        hello = json.dumps({"messageType": "hello", "use_webpush": True, "uaid": device.uaid})
        broken.send(frame(TEXT, hello) + frame(BINARY, b"x"))
        assert broken.close_code() == 1003
        wait_until(lambda: not is_attached(), what="the device to be detached")
        broken.close()
    back = relay.device(device.uaid)
    wait_until(is_attached, what="the device to be attached")
    assert back.uaid == device.uaid
