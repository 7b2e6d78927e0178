# SPDX-License-Identifier: Apache-2.0
"""No address takes all device sockets: beyond address_devices an upgrade gets 429, and others do not feel it."""

import contextlib

import pytest
from harness.device import Device
from harness.namespace import Inside
from harness.process import wait_until
from harness.street import ANN, ANN6, ANN6_AGAIN, BOB, BOB6, PROXY

FORWARDED = "X-Forwarded-For"


def sockets(relay):
    return relay.metrics()["bellwire_device_sockets"]


def assert_limited(device):
    assert device.response.status == 429, device.response
    assert int(device.response["retry-after"]) == 30
    assert device.is_closed()


def assert_exactly(relay, count, source):
    """So many devices find a place, and not one more."""
    with contextlib.ExitStack() as kept:
        for _ in range(count):
            kept.enter_context(relay.resident(source))
        with relay.knock(source) as device:
            assert_limited(device)


def test_beyond_it_429(start_on_street):
    relay = start_on_street(address_devices=3)
    kept = [relay.resident(ANN) for _ in range(3)]
    for _ in range(5):
        with relay.knock(ANN) as device:
            assert_limited(device)
    neighbour = relay.resident(BOB)
    for device in (*kept, neighbour):
        relay.push(device.register()[1], b"here")
        assert device.take() == b"here"
    with relay.call(ANN) as connection:
        assert connection.request("GET", "/health").status == 200, "other requests are not devices"
    assert relay.metrics()["bellwire_device_address_refused_total"] == 5
    lines = relay.said("setting=address_devices")
    assert len(lines) == 1 and f"address={ANN}" in lines[0]
    kept[0].close()
    kept[1].reset()
    wait_until(lambda: sockets(relay) == 2, 10, "the ends to be seen")
    assert_exactly(relay, 2, ANN)


def test_an_ipv6_64_is_one_address(start_on_street):
    relay = start_on_street(address_devices=2)
    with relay.resident(ANN6), relay.resident(ANN6_AGAIN):
        for source in (ANN6, ANN6_AGAIN):
            with relay.knock(source) as device:
                assert_limited(device)
        relay.resident(BOB6).close()
        relay.resident(ANN).close()
    wait_until(lambda: sockets(relay) == 0, 10, "the ends to be seen")
    assert_exactly(relay, 2, ANN6)


@pytest.mark.parametrize("mine, mine_again, other", [
    ("192.0.2.7", "192.0.2.7", "192.0.2.8"),
    ("2001:db8:c::1", "2001:db8:c::dead:beef", "2001:db8:d::1"),
], ids=["ipv4", "ipv6"])
def test_behind_a_trusted_proxy_the_forwarded_address_counts(start_relay, mine, mine_again, other):
    relay = start_relay(rate_limits="on", address_devices=2, trusted_proxies="127.0.0.1")

    def knock(*forwarded):
        return Device(relay.port, headers=[(FORWARDED, ", ".join(forwarded))] if forwarded else ())

    with knock(mine), knock("198.51.100.9", mine_again):
        with knock(mine) as device:
            assert_limited(device)
        with knock(other) as device:
            device.hello()
        with contextlib.ExitStack() as direct:  # the proxy speaks for itself
            for _ in range(5):
                direct.enter_context(knock()).hello()
    wait_until(lambda: sockets(relay) == 0, 10, "the ends to be seen")
    with knock(mine) as device:
        device.hello()


def test_a_proxy_without_the_header_is_exempt(start_on_street):
    relay = start_on_street(address_devices=1, trusted_proxies=PROXY)
    with contextlib.ExitStack() as kept:
        for _ in range(5):
            kept.enter_context(relay.resident(PROXY))
        kept.enter_context(relay.resident(PROXY, headers=[(FORWARDED, ANN)]))
        with relay.knock(ANN) as device:
            assert_limited(device)
        # a header of somebody who is not trusted names nobody else
        kept.enter_context(relay.resident(BOB, headers=[(FORWARDED, PROXY)]))
        with relay.knock(BOB, headers=[(FORWARDED, "192.0.2.55")]) as device:
            assert_limited(device)


BAD_UPGRADE = (
    "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Protocol: chat\r\n\r\n"
)


def test_nothing_is_left_after_1000_connects(start_on_street):
    """Whatever becomes of them: refused for their own fault, gone before or behind the hello."""
    relay = start_on_street(address_devices=3)
    for number in range(1000):
        source = (ANN, ANN6, ANN6_AGAIN, BOB)[number % 4]
        kind = number // 4 % 4
        device = relay.knock(source, request=BAD_UPGRADE if kind == 0 else None)
        assert device.response.status == (400 if kind == 0 else 101)
        if kind == 2:
            device.send_text("{}}")
        elif kind == 3:
            device.hello()
        device.reset() if number % 3 else device.close()
        wait_until(lambda: sockets(relay) < 3, 10, "an end to be seen")
    wait_until(lambda: sockets(relay) == 0, 10, "the ends to be seen")
    for source in (ANN, ANN6, BOB):
        assert_exactly(relay, 3, source)
        wait_until(lambda: sockets(relay) == 0, 10, "the ends to be seen")


def test_max_devices_and_the_address_are_apart(start_on_street):
    """What the one limit refuses does not count for the other."""
    relay = start_on_street(address_devices=2, max_devices=3)
    kept = [relay.resident(ANN), relay.resident(ANN), relay.resident(BOB)]
    for source, status in ((BOB, 503), (BOB6, 503), (ANN, 429)) * 3:
        with relay.knock(source) as device:
            assert device.response.status == status
    for device in kept:
        device.close()
    wait_until(lambda: sockets(relay) == 0, 10, "the ends to be seen")
    for source in (ANN, BOB, BOB6):
        assert_exactly(relay, 2, source)
        wait_until(lambda: sockets(relay) == 0, 10, "the ends to be seen")


def test_our_link_waits_as_long_as_it_is_told(start_on_street, start_link):
    relay = start_on_street(address_devices=1)
    with Inside(relay.router):
        link = start_link(relay.base.replace("http", "ws") + "/")
    link.await_state("up")
    with Inside(relay.router):
        second = start_link(relay.base.replace("http", "ws") + "/")
    event = second.await_state("waiting")
    assert "429" in event["reason"] and 29000 <= event["next_ms"] <= 39000, event


@pytest.mark.parametrize("flags", [{"address_devices": 0}, {"address_devices": 1, "rate_limits": "off"}],
                         ids=["0", "rate_limits off"])
def test_no_limit(start_on_street, flags):
    relay = start_on_street(**flags)
    with contextlib.ExitStack() as kept:
        for _ in range(10):
            kept.enter_context(relay.resident(ANN))
