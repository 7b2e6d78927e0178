# SPDX-License-Identifier: Apache-2.0
"""A newer message of the same topic takes the older one's place (RFC 8030 section 5.4)."""

from harness.device import body_of
from harness.relay import assert_refused
from harness.stores import every_store


@every_store
def test_only_the_newer_is_delivered(relay):
    """Case 17: two different messages, the first is no more."""
    device, _, endpoint = relay.subscribed()
    device.close()
    first = relay.push(endpoint, b"old", topic="t")
    second = relay.push(endpoint, b"new", topic="t")
    assert first["location"] != second["location"]
    assert_refused(relay.request("DELETE", first["location"]), 404)
    device = relay.device(device.uaid)
    assert device.take() == b"new"
    device.expect_nothing()


@every_store
def test_a_replacement_counts_as_new_in_the_order(relay):
    """Order is arrival order over the whole device, plain and topic messages alike."""
    device, _, endpoint = relay.subscribed()
    _, other = device.register()
    device.close()
    relay.push(endpoint, b"1", topic="t")
    relay.push(other, b"2")
    relay.push(endpoint, b"3")
    relay.push(endpoint, b"4", topic="t")
    relay.push(other, b"5", topic="t")
    assert relay.device(device.uaid).bodies(4) == [b"2", b"3", b"4", b"5"]


@every_store
def test_topics_are_told_apart(relay):
    """Case 18: another subscription, another case and other padding are other topics."""
    device, _, endpoint = relay.subscribed()
    _, other = device.register()
    device.close()
    for url, topic in [(endpoint, "t"), (other, "t"), (endpoint, "T"), (endpoint, "t="), (endpoint, "t==")]:
        relay.push(url, topic.encode(), topic=topic)
    assert relay.device(device.uaid).bodies(5) == [b"t", b"t", b"T", b"t=", b"t=="]


@every_store
def test_one_in_flight_is_not_recalled(relay):
    """Case 19 and device case 25: both are sent; the old one's late ack is ignored; a new session has only the new one."""
    device, _, endpoint = relay.subscribed()
    relay.push(endpoint, b"old", topic="t")
    old = device.notification()
    relay.push(endpoint, b"new", topic="t")
    new = device.notification()
    assert body_of(new) == b"new" and new["version"] != old["version"]
    device.close()
    device = relay.device(device.uaid)
    again = device.notification()
    assert (again["version"], body_of(again)) == (new["version"], b"new")
    device.ack(old)
    device.expect_nothing()
    device.close()
    device = relay.device(device.uaid)
    assert device.take() == b"new"
    device.expect_nothing()


@every_store
def test_ttl_zero_replaces_and_keeps_nothing(relay):
    """Case 20."""
    device, _, endpoint = relay.subscribed()
    device.close()
    relay.push(endpoint, b"plain")
    relay.push(endpoint, b"old", topic="t")
    assert relay.push(endpoint, b"new", 0, topic="t")["ttl"] == "0"
    device = relay.device(device.uaid)
    assert device.take() == b"plain"
    device.expect_nothing()


@every_store
def test_ttl_and_urgency_are_those_of_the_newer(relay):
    device, _, endpoint = relay.subscribed()
    device.urgency("normal")
    device.close()
    relay.push(endpoint, b"old", topic="t", urgency="high")
    relay.push(endpoint, b"new", topic="t", urgency="low")
    device = relay.device(device.uaid)
    device.expect_nothing()
    device.urgency("very-low")
    assert device.take() == b"new"
