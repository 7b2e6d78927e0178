# SPDX-License-Identifier: Apache-2.0
"""A full queue drops by policy, never the sender's answer, and the device learns that it missed something."""

import pytest
from harness.device import Device

STORES = ["memory", "sqlite", "redis"]


@pytest.fixture(params=STORES)
def store(request, tmp_path, start_redis):
    if request.param == "redis":
        return start_redis().url
    return f"sqlite:{tmp_path}/relay.db" if request.param == "sqlite" else "memory:"


def hello_with_extension(relay, uaid):
    device = Device(relay.port)
    return device, device.hello(uaid, bellwire={"v": 1, "keepalive_s": 300})


def test_lowest_urgency_then_oldest_goes(start_relay, store):
    """Case 54."""
    relay = start_relay(store, queue_messages=5)
    device, _, endpoint = relay.subscribed()
    device.close()
    for body, urgency in [
        (b"h1", "high"),
        (b"l1", "low"),
        (b"n1", "normal"),
        (b"l2", "low"),
        (b"n2", "normal"),
    ]:
        relay.push(endpoint, body, urgency=urgency)
    relay.push(endpoint, b"n3")
    relay.push(endpoint, b"h2", urgency="high")
    relay.push(endpoint, b"n4")
    relay.push(endpoint, b"v1", urgency="very-low")
    again, answer = hello_with_extension(relay, device.uaid)
    assert again.bodies(5) == [b"h1", b"n2", b"n3", b"h2", b"n4"]
    again.expect_nothing()
    assert answer["bellwire"]["v"] == 1 and answer["bellwire"]["missed"] == 4
    again.ack(*[])
    again.close()
    again, answer = hello_with_extension(relay, device.uaid)
    assert answer["bellwire"]["missed"] == 0
    metrics = relay.metrics()
    assert metrics["bellwire_messages_evicted_total"] == 4
    assert metrics["bellwire_push_unfit_total"] == 1


def test_expired_ones_go_first(start_relay, store):
    """The expired one makes room, nothing else is dropped; what expired counts as missed."""
    import time

    relay = start_relay(store, queue_messages=3)
    device, _, endpoint = relay.subscribed()
    device.close()
    relay.push(endpoint, b"expires", 1, urgency="high")
    relay.push(endpoint, b"low", urgency="very-low")
    relay.push(endpoint, b"normal")
    time.sleep(1.1)  # the time to live itself
    relay.push(endpoint, b"new")
    again, answer = hello_with_extension(relay, device.uaid)
    assert again.bodies(3) == [b"low", b"normal", b"new"]
    assert answer["bellwire"]["missed"] == 1


def test_limit_in_bytes(start_relay, store):
    relay = start_relay(store, queue_bytes=65536)
    device, _, endpoint = relay.subscribed()
    device.close()
    for i in range(20):
        relay.push(endpoint, bytes([i]) * 8000)
    again, answer = hello_with_extension(relay, device.uaid)
    missed = answer["bellwire"]["missed"]
    assert 12 <= missed <= 14
    assert [b[0] for b in again.bodies(20 - missed)] == list(range(missed, 20))


def test_old_clients_are_not_told(relay):
    """Extensions go only to a client that announced them (the shapes are checked by hello())."""
    device, _, _ = relay.subscribed()
    again = Device(relay.port)
    assert "bellwire" not in again.hello(device.uaid)


def test_message_conservation(start_relay, store):
    """accepted = delivered + expired + evicted + replaced + cancelled + unsubscribed + queued + transient."""
    import time

    relay = start_relay(store, queue_messages=6)
    device, channel, endpoint = relay.subscribed()
    _, other = device.register()
    relay.push(endpoint, b"delivered")
    relay.push(endpoint, b"transient", 0)
    for _ in range(2):
        message = device.notification()
        device.ack(message)
    device.settle()
    device.close()
    relay.push(endpoint, b"expires", 1)
    relay.request("DELETE", relay.push(endpoint, b"cancelled")["location"])
    for _ in range(3):
        relay.push(other, b"replaced", topic="t")
    for i in range(8):
        relay.push(other, b"%d" % i)
    relay.push(other, b"unfit", urgency="very-low")
    time.sleep(1.1)  # the time to live itself
    device = relay.device(device.uaid)
    device.notification()
    device.unregister(channel)
    names = ("delivered", "expired", "evicted", "replaced", "cancelled", "unsubscribed")
    m = relay.metrics()
    ends = {name: m[f"bellwire_messages_{name}_total"] for name in names}
    queued = 6 if m["bellwire_messages_queued"] < 0 else m["bellwire_messages_queued"]
    assert (
        m["bellwire_push_accepted_total"] == sum(ends.values()) + queued + m["bellwire_push_transient_total"]
    ), (ends, m)
    assert ends["delivered"] == 1 and ends["cancelled"] == 1 and ends["replaced"] == 2
