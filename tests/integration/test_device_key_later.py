# SPDX-License-Identifier: Apache-2.0
"""A channel of our own client whose VAPID key is not known yet: senders wait, the endpoint stays."""

import pytest
from harness.device import Device, channel_id
from harness.relay import assert_refused
from harness.sender import Vapid
from harness.stores import every_store

LATER = {"bellwire": {"key": "later"}}


def ours(relay, uaid=None):
    device = Device(relay.port)
    device.hello(uaid, bellwire={"v": 1, "keepalive_s": 900})
    return device


def take(device):
    message = device.waiting.pop(0) if device.waiting else device.read_json()
    device.ack(message)
    return message["data"]


@every_store
def test_senders_wait_until_the_key_is_known(relay):
    sender, stranger = Vapid(), Vapid()
    device = ours(relay)
    channel, endpoint = device.register(**LATER)
    for headers in ([], [sender.header(endpoint)], [("Authorization", "vapid t=a, k=b")], [("Authorization", "Basic x")]):
        assert_refused(relay.post(endpoint, b"x", headers=headers), 503, 201)
        assert_refused(relay.post(endpoint, b"x", ttl=0, headers=headers), 503, 201)
    assert relay.get(endpoint).status == 200
    assert device.register(channel, **LATER) == (channel, endpoint)
    assert device.register(channel) == (channel, endpoint)
    assert device.register(channel, sender.key) == (channel, endpoint)
    relay.push(endpoint, b"hi", headers=[sender.header(endpoint)])
    assert take(device) == "aGk"
    assert_refused(relay.post(endpoint, b"x", headers=[stranger.header(endpoint)]), 403, 109)
    assert_refused(relay.post(endpoint, b"x"), 401, 109)
    assert device.register(channel, **LATER) == (channel, endpoint)
    relay.push(endpoint, b"ho", headers=[sender.header(endpoint)])
    assert take(device) == "aG8"


@pytest.mark.parametrize("relay", ["sqlite", "redis"], indirect=True)
def test_it_outlives_a_restart(relay):
    sender = Vapid()
    device = ours(relay)
    channel, endpoint = device.register(**LATER)
    relay.restart()
    assert_refused(relay.post(endpoint, b"x", headers=[sender.header(endpoint)]), 503, 201)
    device = ours(relay, device.uaid)
    assert device.register(channel, sender.key) == (channel, endpoint)
    relay.restart()
    device = ours(relay, device.uaid)
    relay.push(endpoint, b"hi", headers=[sender.header(endpoint)])
    assert take(device) == "aGk"


def test_another_key_makes_another_endpoint(relay):
    device = ours(relay)
    channel, endpoint = device.register(**LATER)
    device.register(channel, Vapid().key)
    assert device.register(channel, Vapid().key)[1] != endpoint
    assert_refused(relay.post(endpoint, b"x"), 410)


def test_unregister_while_waiting(relay):
    device = ours(relay)
    channel, endpoint = device.register(**LATER)
    device.unregister(channel)
    assert_refused(relay.post(endpoint, b"x"), 410)


def test_other_clients_get_a_plain_channel(relay):
    device = relay.device()
    _, endpoint = device.register(channel_id(), **LATER)
    relay.push(endpoint, b"hi")
    assert device.notification()["data"] == "aGk"
