# SPDX-License-Identifier: Apache-2.0
"""TTL is read strictly, kept, and capped (RFC 8030 section 5.2)."""

import time

import pytest
from harness.device import body_of
from harness.relay import assert_refused
from harness.stores import every_store

THIRTY_DAYS = 2592000


@every_store
def test_online_device_gets_it_at_once(relay):
    """Case 1."""
    device, channel, endpoint = relay.subscribed()
    body = bytes(range(100))
    assert relay.push(endpoint, body, 60)["ttl"] == "60"
    message = device.notification()
    assert message["channelID"] == channel and body_of(message) == body


@every_store
def test_offline_device_gets_it_at_its_return_within_the_ttl(relay):
    """Case 2, and device case 26: what expired in flight is not sent again."""
    device, _, endpoint = relay.subscribed()
    relay.push(endpoint, b"in flight", 1)
    assert body_of(device.notification()) == b"in flight"
    device.close()
    relay.push(endpoint, b"short", 1)
    relay.push(endpoint, b"long", 60)
    time.sleep(1.1)  # the time to live itself
    device = relay.device(device.uaid)
    assert device.bodies(1) == [b"long"]
    device.expect_nothing()


def test_missing_ttl_is_refused(relay):
    """Case 3; the sentence names the header (sender 13: curl users)."""
    _, _, endpoint = relay.subscribed()
    answer = relay.post(endpoint, b"x", None)
    assert_refused(answer, 400, 111)
    assert "TTL" in answer.json()["message"]


def test_missing_ttl_can_be_allowed(start_relay):
    """Case 3, with the operator's value."""
    relay = start_relay(missing_ttl=77)
    device, _, endpoint = relay.subscribed()
    device.close()
    assert relay.push(endpoint, b"old sender", None)["ttl"] == "77"
    assert relay.push(endpoint, b"new sender", 5)["ttl"] == "5"
    assert_refused(relay.post(endpoint, b"x", "abc"), 400, 112)
    assert relay.device(device.uaid).bodies(2) == [b"old sender", b"new sender"]


@every_store
def test_ttl_zero_is_now_or_never(relay):
    """Case 4 and device case 24: sent once to a connected device, never kept."""
    device, _, endpoint = relay.subscribed()
    assert relay.push(endpoint, b"now", 0)["ttl"] == "0"
    assert body_of(device.notification()) == b"now"
    device.close()
    device = relay.device(device.uaid)
    device.expect_nothing()
    device.close()
    assert relay.push(endpoint, b"never", 0)["ttl"] == "0"
    relay.device(device.uaid).expect_nothing()


@pytest.mark.parametrize(
    "ttl", ["2592001", "3000000", "2147483647", "2147483648", "4294967296", "1" * 40, "9" * 40]
)
def test_long_ttl_is_capped(relay, ttl):
    """Cases 5 and 6: no overflow, and the answer says what is really kept."""
    device, _, endpoint = relay.subscribed()
    assert relay.push(endpoint, b"x", ttl)["ttl"] == str(THIRTY_DAYS)
    assert device.take() == b"x"


@pytest.mark.parametrize(
    "ttl", ["-1", "+5", "1.5", "1e3", "abc", "", "60s", "0x10", "1 2", "10, 20", "\u00b2"]
)
def test_malformed_ttl_is_refused(relay, ttl):
    """Cases 7 and 8."""
    device, _, endpoint = relay.subscribed()
    assert_refused(relay.post(endpoint, b"x", ttl), 400, 112)
    device.expect_nothing(0)


def test_two_ttl_lines_are_refused(relay):
    """Case 8."""
    _, _, endpoint = relay.subscribed()
    assert_refused(relay.post(endpoint, b"x", 10, [("ttl", "10")]), 400, 112)


@pytest.mark.parametrize(
    "ttl, kept", [("00060", "60"), ("  60\t ", "60"), ("2592000", "2592000"), ("000", "0")]
)
def test_leading_zeros_and_blanks(relay, ttl, kept):
    """Case 9."""
    _, _, endpoint = relay.subscribed()
    assert relay.push(endpoint, b"x", ttl)["ttl"] == kept
