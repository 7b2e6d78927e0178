# SPDX-License-Identifier: Apache-2.0
"""The message URL: DELETE takes a message back (RFC 8030 section 6)."""

import time

import pytest
from harness.relay import assert_refused
from harness.stores import every_store


@every_store
def test_pending_message_is_taken_back(relay):
    """Case 38: 204 once, then 404; the neighbours stay."""
    device, _, endpoint = relay.subscribed()
    device.close()
    urls = [relay.push(endpoint, bytes([n]))["location"] for n in range(3)]
    answer = relay.request("DELETE", urls[1])
    assert answer.status == 204 and answer.body == b""
    assert_refused(relay.request("DELETE", urls[1]), 404)
    assert relay.device(device.uaid).bodies(2) == [b"\0", b"\2"]


@every_store
def test_delivered_and_acknowledged(relay):
    """Case 38."""
    device, _, endpoint = relay.subscribed()
    url = relay.push(endpoint, b"x")["location"]
    device.take()
    device.settle()
    assert_refused(relay.request("DELETE", url), 404)


@every_store
def test_replaced_expired_transient_unsubscribed(relay):
    """Case 38: each is no more."""
    device, channel, endpoint = relay.subscribed()
    device.close()
    replaced = relay.push(endpoint, b"x", topic="t")["location"]
    relay.push(endpoint, b"x", topic="t")
    transient = relay.push(endpoint, b"x", 0)["location"]
    expired = relay.push(endpoint, b"x", 1)["location"]
    time.sleep(1.1)  # the time to live itself
    queued = relay.push(endpoint, b"x")["location"]
    device = relay.device(device.uaid)
    device.unregister(channel)
    for url in (replaced, transient, expired, queued):
        assert_refused(relay.request("DELETE", url), 404)


@every_store
def test_while_the_device_holds_it(relay):
    """Case 39: 204; the late ack is ignored and nothing comes again."""
    device, _, endpoint = relay.subscribed()
    url = relay.push(endpoint, b"x")["location"]
    message = device.notification()
    assert relay.request("DELETE", url).status == 204
    device.ack(message)
    device.expect_nothing()
    device.close()
    relay.device(device.uaid).expect_nothing()


@pytest.mark.parametrize("tail", ["", "A" * 66, "A", "x/y", "%41" * 22])
def test_unknown(relay, tail):
    """Case 38."""
    assert_refused(relay.request("DELETE", "/m/" + tail), 404)


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "OPTIONS"])
def test_other_methods(relay, method):
    """Case 38."""
    _, _, endpoint = relay.subscribed()
    answer = relay.request(method, relay.push(endpoint, b"x")["location"], [("TTL", "1")])
    assert answer.status == 405 and answer["allow"] == "DELETE", answer
