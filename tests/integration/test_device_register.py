# SPDX-License-Identifier: Apache-2.0
"""register and unregister."""

import base64
import uuid

import pytest
from harness.device import Device, body_of, channel_id
from harness.relay import assert_accepted, assert_refused
from harness.sender import Vapid, b64, unb64
from harness.stores import every_store


@pytest.mark.parametrize("fields", [{}, {"key": None}])
def test_without_key(relay, fields):
    """Case 14: the exact answer, an unrestricted URL built from the public URL."""
    device = relay.device()
    channel = channel_id()
    answer = device.ask_register(channel, **fields)
    assert set(answer) == {"messageType", "channelID", "status", "pushEndpoint"} and answer["status"] == 200
    assert answer["pushEndpoint"].startswith(relay.base + "/p/")
    assert_accepted(relay.post(answer["pushEndpoint"], b"x"))


def padded(key):
    return key + "="


def standard(key):
    return base64.b64encode(unb64(key)).decode()


@pytest.mark.parametrize(
    "spell",
    [str, padded, standard, lambda k: standard(k).rstrip("=")],
    ids=["87", "88", "base64", "base64 87"],
)
@every_store
def test_with_key(relay, spell):
    """Case 15: Firefox pads, the others do not; the subscription is restricted from then on."""
    device, sender = relay.device(), Vapid()
    _, endpoint = device.register(key=spell(sender.key))
    assert_refused(relay.post(endpoint, b"x"), 401)
    assert_refused(relay.post(endpoint, b"x", headers=[Vapid().header(endpoint)]), 403)
    assert_accepted(relay.post(endpoint, b"x", headers=[sender.header(endpoint)]))
    assert device.take() == b"x"


GOOD = Vapid().public


@pytest.mark.parametrize(
    "key",
    [
        "!",
        "AAAA",
        b64(GOOD[:64]),
        b64(GOOD + b"\0"),
        b64(b"\2" + GOOD[1:33]),
        b64(b"\5" + GOOD[1:]),
        b64(b"\4" + b"\1" * 64),
        b64(b"\4" + bytes(64)),
        7,
        {},
        "A" * 5000,
    ],
    ids=lambda k: str(k)[:12],
)
def test_bad_key(relay, key):
    """Case 16: 400 without an endpoint; not on the curve counts as bad; the socket stays."""
    device = relay.device()
    channel = channel_id()
    answer = device.ask_register(channel, key=key)
    assert answer == {"messageType": "register", "channelID": channel, "status": 400}
    device.register(channel)


@every_store
def test_same_channel_again(relay):
    """Case 17: the same key in any spelling gives the same URL; Firefox repeats a register after a loss."""
    device, sender = relay.device(), Vapid()
    channel, endpoint = device.register(key=sender.key)
    assert device.register(channel, key=padded(sender.key))[1] == endpoint
    plain, url = device.register()
    assert device.register(plain)[1] == url
    device.close()
    device = relay.device(device.uaid)
    assert device.register(plain)[1] == url and device.register(channel, key=sender.key)[1] == endpoint


@every_store
def test_key_change(relay):
    """Case 17: the new key is in force, the old URL is gone, messages already accepted stay and are delivered."""
    device, old, new = relay.device(), Vapid(), Vapid()
    channel, first = device.register(key=old.key)
    device.close()
    assert_accepted(relay.post(first, b"accepted", headers=[old.header(first)]))
    device = relay.device(device.uaid)
    held = device.notification()
    _, second = device.register(channel, key=new.key)
    assert second != first
    assert_refused(relay.post(first, b"x", headers=[old.header(first)]), 410)
    assert_refused(relay.post(second, b"x", headers=[old.header(second)]), 403)
    assert_accepted(relay.post(second, b"new", headers=[new.header(second)]))
    assert body_of(held) == b"accepted" and held["channelID"] == channel
    device.close()
    device = relay.device(device.uaid)
    assert device.bodies(2) == [b"accepted", b"new"]
    _, third = device.register(channel)
    assert_refused(relay.post(second, b"x"), 410)
    assert_accepted(relay.post(third, b"x"))


@pytest.mark.parametrize(
    "channel",
    [
        "",
        "x",
        "A" * 64,
        str(uuid.uuid4()).upper(),
        uuid.uuid4().hex,
        "{%s}" % uuid.uuid4(),
        str(uuid.uuid4()) + "0",
        "g" + str(uuid.uuid4())[1:],
        '\u00e4"\\',
    ],
)
def test_bad_channel(relay, channel):
    """Case 18: echoed with 400."""
    device = relay.device()
    assert device.ask_register(channel) == {"messageType": "register", "channelID": channel, "status": 400}
    device.register()


@pytest.mark.parametrize(
    "message", [{}, {"channelID": 7}, {"channelID": None}, {"channelID": ["x"]}, {"channelID": "a" * 65}]
)
def test_no_channel(relay, message):
    """Case 18: dropped; the socket stays."""
    device = relay.device()
    device.send_json({"messageType": "register", **message})
    device.expect_nothing(0)


@every_store
def test_unregister(relay):
    """Case 19a: known or unknown, the same answer; its queue goes with it, the others' stays; case 32: a late ack."""
    device, channel, endpoint = relay.subscribed()
    _, other = device.register()
    relay.push(endpoint, b"goes")
    relay.push(other, b"stays")
    gone, kept = device.notifications(2)
    device.unregister(channel)
    device.unregister(channel, code=202)
    device.ack(gone)
    assert_refused(relay.post(endpoint, b"x"), 410)
    device.expect_nothing()
    device.close()
    device = relay.device(device.uaid)
    assert [n["version"] for n in device.notifications(1)] == [kept["version"]]
    device.expect_nothing()


def test_unregister_without_code_and_with_bad_channel(relay):
    device = relay.device()
    channel = channel_id()
    device.send_json({"messageType": "unregister", "channelID": channel})
    assert device.answer("unregister") == {"messageType": "unregister", "channelID": channel, "status": 200}
    device.send_json({"messageType": "unregister"})
    device.send_json({"messageType": "unregister", "channelID": 3})
    device.expect_nothing(0)


@pytest.mark.parametrize("kind", ["memory", "sqlite", "redis"])
def test_too_many_subscriptions(start_relay, start_redis, tmp_path, kind):
    """Case 19: beyond the quota 429 without an endpoint, and always an answer."""
    store = {
        "memory": lambda: "memory:",
        "sqlite": lambda: f"sqlite:{tmp_path}/x.db",
        "redis": lambda: start_redis().url,
    }[kind]()
    relay = start_relay(store, subscriptions=3)
    device = relay.device()
    channels = [device.register()[0] for _ in range(3)]
    answer = device.ask_register(channel_id())
    assert answer["status"] == 429 and "pushEndpoint" not in answer
    device.register(channels[0])
    device.unregister(channels[1])
    device.register()


def test_many_registers_in_a_row(relay):
    """Section 10.5: a client that changed its identity registers everything at once; answers in order."""
    device = relay.device()
    channels = [channel_id() for _ in range(256)]
    for channel in channels:
        device.send_json({"messageType": "register", "channelID": channel})
    answers = [device.read_json() for _ in channels]
    assert [a["channelID"] for a in answers] == channels
    assert {a["status"] for a in answers} == {200}
    assert len({a["pushEndpoint"] for a in answers}) == 256


def test_body_limit_of_a_subscription(relay):
    """Our extension: a subscription that takes no more than UnifiedPush apps do."""
    device = Device(relay.port)
    device.hello(bellwire={"v": 1, "keepalive_s": 300})
    _, endpoint = device.register(bellwire={"max_body": 4096})
    assert_accepted(relay.post(endpoint, bytes(4096)))
    assert_refused(relay.post(endpoint, bytes(4097)), 413, 104)
    _, endpoint = device.register()
    assert_accepted(relay.post(endpoint, bytes(4097)))
