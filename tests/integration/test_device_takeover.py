# SPDX-License-Identifier: Apache-2.0
"""A device with two sockets: the newest gets the deliveries, the old one lives on silently."""

import time

import pytest
from harness.device import Device, body_of
from harness.process import wait_until
from harness.relay import assert_accepted
from harness.stores import every_store
from harness.websocket import PING, PONG, Closed


@every_store
def test_newest_socket_gets_the_deliveries(relay):
    """Instead of case 7: the old socket is pinged, not closed, and falls silent."""
    old, _, endpoint = relay.subscribed()
    new = relay.device(old.uaid)
    for i in range(5):
        relay.push(endpoint, b"%d" % i)
    assert [new.take() for _ in range(5)] == [b"%d" % i for i in range(5)]
    old.expect_quiet()
    assert old.pings >= 1
    old.expect_nothing(0)  # it still has its requests answered


@every_store
def test_registers_and_acks_on_the_old_socket_count(relay):
    """KUnifiedPush holds two sockets and uses both."""
    old, _, endpoint = relay.subscribed()
    new = relay.device(old.uaid)
    _, other = old.register()
    relay.push(other, b"1")
    relay.push(endpoint, b"2")
    first, second = new.notifications(2)
    old.ack(first)
    old.settle()
    new.close()
    old.close()
    again = relay.device(old.uaid)
    assert [n["version"] for n in again.notifications(1)] == [second["version"]]
    again.expect_nothing()


@every_store
def test_unacknowledged_messages_follow_after_two_seconds(relay):
    """Queued ones at once with the hello, those in flight on the old socket 2 s later, unless acknowledged meanwhile."""
    old, _, endpoint = relay.subscribed()
    for i in range(4):
        relay.push(endpoint, b"%d" % i)
    held = old.notifications(4)
    begin = time.monotonic()
    new = relay.device(old.uaid)
    new.ack(held[1])
    old.ack(held[2])
    again = [new.notification()]
    assert time.monotonic() - begin > 1.5
    again.append(new.notification())
    assert [n["version"] for n in again] == [held[0]["version"], held[3]["version"]]
    new.ack(*again)
    new.expect_nothing()


def test_client_with_our_extension_gets_them_at_once(relay):
    """It deduplicates."""
    old, _, endpoint = relay.subscribed()
    relay.push(endpoint, b"x")
    held = old.notification()
    new = relay.device()
    new.close()
    new = type(new)(relay.port)
    new.hello(old.uaid, bellwire={"v": 1, "keepalive_s": 300})
    new.settle()
    assert [n["version"] for n in new.waiting] == [held["version"]]


@every_store
def test_messages_during_the_two_seconds_are_not_lost_nor_doubled(relay):
    """What arrives while the old socket's messages wait comes exactly once."""
    old, _, endpoint = relay.subscribed()
    relay.push(endpoint, b"old")
    old.notification()
    new = relay.device(old.uaid)
    for i in range(10):
        relay.push(endpoint, b"%d" % i)
    got = [new.take() for _ in range(11)]
    assert sorted(got) == sorted([b"old"] + [b"%d" % i for i in range(10)])
    assert [g for g in got if g != b"old"] == [b"%d" % i for i in range(10)]
    new.expect_nothing()


def test_old_socket_that_goes_ends_the_wait(start_relay):
    """When the old socket has ended already, nothing is held back."""
    relay = start_relay()
    old, _, endpoint = relay.subscribed()
    relay.push(endpoint, b"x")
    old.notification()
    old.close()
    wait_until(lambda: relay.metrics()["bellwire_device_sockets"] == 0, 10, "the end of the old socket")
    new = relay.device(old.uaid)
    new.settle()
    assert [body_of(n) for n in new.waiting] == [b"x"]


def test_more_than_two_sockets(relay):
    """The oldest go, without a Close frame."""
    sockets = [relay.subscribed()]
    device, _, endpoint = sockets[0]
    others = [relay.device(device.uaid) for _ in range(3)]
    assert device.close_code() is None
    assert others[0].close_code() is None
    relay.push(endpoint, b"x")
    assert others[2].take() == b"x"
    others[1].expect_nothing(0)


def test_newest_socket_goes_while_the_old_one_lives(relay):
    """The old one is the device's socket again, or at least nothing is lost."""
    old, _, endpoint = relay.subscribed()
    new = relay.device(old.uaid)
    relay.push(endpoint, b"1")
    assert body_of(new.notification()) == b"1"
    new.close()
    relay.push(endpoint, b"2")
    old.close()
    again = relay.device(old.uaid)
    assert again.bodies(2) == [b"1", b"2"]


@pytest.mark.parametrize("count", [9])
def test_ordinary_reconnects_are_no_flapping(relay, count):
    """Devices that come back after their socket ended are never refused."""
    device, _, endpoint = relay.subscribed()
    for _ in range(count * 3):
        device.close()
        device = relay.device(device.uaid)
    assert_accepted(relay.post(endpoint, b"x"))
    assert device.take() == b"x"


def test_a_traveller_is_no_copied_profile(relay):
    """From network to network, each time without a word on the socket before: never refused."""
    device, _, endpoint = relay.subscribed()
    for _ in range(25):
        device.answers_pings = False
        device = relay.device(device.uaid)
    relay.push(endpoint, b"x")
    assert device.take() == b"x"


def answer_ping(device):
    """It was taken over, is asked whether it lives, and does."""
    opcode, payload = device.read_frame()
    assert opcode == PING
    device.send_frame(PONG, payload)
    device.ping()


def test_flapping_copied_profile(start_relay):
    """Case 8: sockets that live take the device from each other; after 10 times in 5 minutes the newer one is closed
    with 4774, the older one kept."""
    relay = start_relay()
    device, _, endpoint = relay.subscribed()
    last = device
    for _ in range(11):
        before, last = last, relay.device(device.uaid)
        answer_ping(before)
    refused = None
    for _ in range(3):
        newer = type(device)(relay.port)
        newer.send_json({"messageType": "hello", "uaid": device.uaid})
        try:
            newer.read_hello()
            answer_ping(last)
            last = newer
        except Closed as closed:
            refused = closed
            break
    assert refused is not None and refused.code == 4774
    relay.push(endpoint, b"x")
    assert last.take() == b"x"


def hello_of_ours(relay, instance, uaid=None):
    device = Device(relay.port)
    device.hello(uaid, bellwire={"v": 1, **({"instance": instance} if instance else {})})
    return device


@pytest.mark.parametrize("first,second", [(7, 8), (7, 7), (7, None), (None, 8)])
def test_two_machines_with_one_state(relay, first, second):
    """Both live: the older one is told, for it would get nothing and not know it. One machine may have two sockets."""
    device = hello_of_ours(relay, first)
    _, endpoint = device.register()
    newer = hello_of_ours(relay, second, device.uaid)
    opcode, payload = device.read_frame()
    assert opcode == PING
    device.send_frame(PONG, payload)
    if first and second and first != second:
        assert device.close_code() == 4774
    else:
        device.ping()
    relay.push(endpoint, b"x")
    assert newer.take() == b"x"
