# SPDX-License-Identifier: Apache-2.0
"""At least once, then never again: what removes a message and what does not."""

import pytest
from harness.device import body_of, channel_id
from harness.stores import every_store


@pytest.mark.parametrize("code", [100, 101, 102, None, 0, 999, "100", 1.5])
@every_store
def test_any_code_removes(relay, code):
    """Case 27: and there is no answer."""
    device, channel, endpoint = relay.subscribed()
    relay.push(endpoint, b"x")
    update = {"channelID": channel, "version": device.notification()["version"]}
    device.send_json(
        {"messageType": "ack", "updates": [update if code is None else {**update, "code": code}]}
    )
    device.expect_nothing()
    device.close()
    relay.device(device.uaid).expect_nothing()


@every_store
def test_wrong_acks_are_ignored(relay):
    """Case 28: unknown version, another channel, another device's message, malformed: no answer, no close, no removal."""
    device, channel, endpoint = relay.subscribed()
    other, _ = device.register()
    stranger, _, _ = relay.subscribed()
    relay.push(endpoint, b"x")
    message = device.notification()
    version = message["version"]
    for update in [
        {"channelID": other, "version": version},
        {"channelID": channel_id(), "version": version},
        {"channelID": channel, "version": version[:-1]},
        {"channelID": channel, "version": version + "A"},
        {"channelID": channel, "version": ""},
        {"channelID": channel, "version": "\u00e4" * 30},
        {"channelID": channel, "version": 7},
        {"channelID": channel},
        {"version": version},
        {},
    ]:
        device.send_json({"messageType": "ack", "updates": [update]})
    for updates in (None, [], {}, "x", [1], [None], [[]]):
        device.send_json({"messageType": "ack", "updates": updates})
    device.send_json({"messageType": "ack"})
    stranger.ack(message)
    stranger.settle()
    device.expect_nothing()
    device.close()
    device = relay.device(device.uaid)
    assert device.notification()["version"] == version
    device.ack(message)
    device.ack(message)
    device.settle()
    device.close()
    relay.device(device.uaid).expect_nothing()


@every_store
def test_many_updates_in_one_ack(relay):
    """Case 29: each counts, one of them twice, wrong ones between."""
    device, _, endpoint = relay.subscribed()
    for i in range(6):
        relay.push(endpoint, b"%d" % i)
    messages = device.notifications(6)
    device.ack(
        messages[0], messages[2], {"channelID": channel_id(), "version": "x"}, messages[2], messages[5]
    )
    device.settle()
    device.close()
    assert relay.device(device.uaid).bodies(3) == [b"1", b"3", b"4"]


@every_store
def test_ack_on_a_later_connection(relay):
    """Case 30: Firefox sends it right behind its hello; the other messages stay in order."""
    device, _, endpoint = relay.subscribed()
    for i in range(40):
        relay.push(endpoint, b"%d" % i)
    messages = device.notifications(32)
    device.close()
    device = relay.device(device.uaid)
    device.ack(*messages[:31])
    device.settle()
    device.close()
    assert relay.device(device.uaid).bodies(9) == [b"%d" % i for i in range(31, 40)]


def test_nack_changes_nothing(relay):
    """Case 31."""
    device, _, endpoint = relay.subscribed()
    relay.push(endpoint, b"x")
    message = device.notification()
    for nack in (
        {"version": message["version"], "code": 301},
        {"version": message["version"]},
        {"version": 3},
        {},
    ):
        device.send_json({"messageType": "nack", **nack})
    device.expect_nothing()
    device.close()
    assert body_of(relay.device(device.uaid).notification()) == b"x"


@every_store
def test_never_acknowledged_is_never_given_up(relay):
    """Not case 33: no poison rule; 25 sessions later it still comes, first in order, with the same version (case 23)."""
    device, _, endpoint = relay.subscribed()
    relay.push(endpoint, b"first")
    relay.push(endpoint, b"second")
    versions = None
    for _ in range(25):
        device.close()
        device = relay.device(device.uaid)
        messages = device.notifications(2)
        assert [body_of(m) for m in messages] == [b"first", b"second"]
        versions = versions or [m["version"] for m in messages]
        assert [m["version"] for m in messages] == versions


@every_store
def test_versions_are_unique(relay):
    """Case 22: over channels, topics, repeats, TTL 0 and restarts of the session."""
    device, _, endpoint = relay.subscribed()
    _, other = device.register()
    versions = []
    for i in range(20):
        relay.push(
            [endpoint, other][i % 2], b"same", [60, 0][i % 3 == 0], **({"topic": "t"} if i % 4 == 1 else {})
        )
        message = device.notification()
        versions.append(message["version"])
        device.ack(message)
    assert len(set(versions)) == 20


def test_window_of_unacknowledged_messages(relay):
    """32 in flight; each ack lets the next one through, in order; the acknowledged need not be the first."""
    device, _, endpoint = relay.subscribed()
    for i in range(40):
        relay.push(endpoint, b"%d" % i)
    messages = device.notifications(32)
    device.expect_nothing()
    device.ack(messages[31], messages[5])
    assert device.bodies(2) == [b"32", b"33"]
    device.expect_nothing()
    device.ack(*messages)
    assert device.bodies(6) == [b"%d" % i for i in range(34, 40)]


@every_store
def test_drain_of_a_long_queue(relay):
    """300 queued while away, in order, each once; new ones during the drain come behind."""
    device, _, endpoint = relay.subscribed()
    device.close()
    with relay.connect() as connection:
        for i in range(300):
            connection.request("POST", "/p/" + endpoint.rsplit("/", 1)[1], [("TTL", "60")], b"%d" % i)
    device = relay.device(device.uaid)
    got = [device.take() for _ in range(100)]
    for i in range(300, 310):
        relay.push(endpoint, b"%d" % i)
    got += [device.take() for _ in range(210)]
    assert got == [b"%d" % i for i in range(310)]
    device.expect_nothing()
