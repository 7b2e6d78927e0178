# SPDX-License-Identifier: Apache-2.0
"""Graceful restart or kill -9: devices, subscriptions, keys, queues, minimum urgency and tombstones are as before."""

import pytest
from harness.device import body_of
from harness.relay import assert_accepted, assert_refused
from harness.sender import Vapid


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_all_of_it(start_relay, durable, end):
    """Cases 55, 57 and 58, device case 43: a restart is nothing that a sender or device must know about."""
    relay = start_relay(durable)
    sender = Vapid()
    device, channel, endpoint = relay.subscribed()
    removed, gone = device.register()
    restricted, guarded = device.register(key=sender.key)
    device.unregister(removed)
    device.urgency("normal")
    urls = [relay.push(endpoint, b"1", topic="t")["location"], relay.push(endpoint, b"2")["location"]]
    acked, unacked = device.notifications(2)
    device.ack(acked)
    device.settle()
    device.close()
    relay.push(endpoint, b"low", urgency="low")
    relay.push(endpoint, b"old", topic="u")
    assert_accepted(
        relay.post(
            guarded, bytes(range(256)), headers=[sender.header(guarded), ("Content-Encoding", "aes128gcm")]
        )
    )
    cancelled = relay.push(endpoint, b"cancelled")["location"]
    getattr(relay, end)()
    relay.start()
    assert relay.request("DELETE", cancelled).status == 204
    assert_refused(relay.request("DELETE", urls[0]), 404)
    assert_refused(relay.post(gone, b"x"), 410)
    assert_refused(relay.post(guarded, b"x"), 401)
    relay.push(endpoint, b"new", topic="u")
    device = relay.device(device.uaid)
    messages = device.notifications(3)
    assert [body_of(m) for m in messages] == [b"2", bytes(range(256)), b"new"]
    assert messages[0]["version"] == unacked["version"]
    assert (messages[1]["channelID"], messages[1]["headers"]) == (restricted, {"encoding": "aes128gcm"})
    device.expect_nothing()
    device.urgency("very-low")
    assert device.take() == b"low"
    assert device.register(channel)[1] == endpoint
    assert device.register(restricted, key=sender.key)[1] == guarded


def test_nothing_of_a_device_without_subscription(start_relay, durable):
    relay = start_relay(durable)
    uaids = [relay.device().uaid for _ in range(3)]
    relay.restart()
    assert all(relay.device(u).uaid != u for u in uaids)


def test_device_is_back_while_the_relay_starts(start_relay, durable):
    """Case 57: during the restart a sender sees a refused connection, 503, or 201; never 4xx."""
    import threading

    relay = start_relay(durable)
    device, _, endpoint = relay.subscribed()
    device.close()
    statuses, accepted, done = set(), [], threading.Event()

    def post():
        number = 0
        while not done.is_set():
            number += 1
            try:
                answer = relay.post(endpoint, b"%d" % number)
            except (OSError, EOFError):
                continue
            statuses.add(answer.status)
            if answer.status == 201:
                accepted.append(b"%d" % number)

    thread = threading.Thread(target=post)
    thread.start()
    try:
        for _ in range(3):
            relay.restart()
    finally:
        done.set()
        thread.join(20)
    assert statuses <= {201, 503}
    device = relay.device(device.uaid)
    got = []
    while not set(accepted) <= set(got):
        got.append(device.take())
    assert set(accepted) <= set(got) and len(set(got)) == len(got)
