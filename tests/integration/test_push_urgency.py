# SPDX-License-Identifier: Apache-2.0
"""Urgency is read leniently, never passed on, and a device's minimum holds messages back (RFC 8030 section 5.3)."""

import pytest
from harness.relay import assert_refused
from harness.stores import every_store


@pytest.mark.parametrize(
    "headers, rank",
    [
        ([], 2),
        ([("Urgency", "very-low")], 0),
        ([("Urgency", "low")], 1),
        ([("Urgency", "normal")], 2),
        ([("Urgency", "high")], 3),
        ([("Urgency", "High")], 3),
        ([("Urgency", "VERY-LOW")], 0),
        ([("urgency", " low ")], 1),
        ([("Urgency", "urgent")], 2),
        ([("Urgency", "")], 2),
    ],
)
def test_reading(relay, headers, rank):
    """Cases 10 and 12: what each spelling means, seen by the minimum that still lets it through."""
    device, _, endpoint = relay.subscribed()
    names = ["very-low", "low", "normal", "high"]
    if rank < 3:
        assert device.urgency(names[rank + 1])["status"] == 200
        relay.push(endpoint, b"x", headers=headers)
        device.expect_nothing(0)
    assert device.urgency(names[rank])["status"] == 200
    if rank == 3:
        relay.push(endpoint, b"x", headers=headers)
    assert device.take() == b"x"


@pytest.mark.parametrize("headers", [[("Urgency", "low, high")], [("Urgency", "low"), ("Urgency", "low")]])
def test_more_than_one_value_is_refused(relay, headers):
    """Case 11."""
    _, _, endpoint = relay.subscribed()
    assert_refused(relay.post(endpoint, b"x", headers=headers), 400)


@every_store
def test_held_back_until_the_minimum_falls(relay):
    """Case 13 and device case 40: the answer first, then the held messages in order; over a reconnect too."""
    device, _, endpoint = relay.subscribed()
    assert device.urgency("normal") == {"messageType": "urgency", "status": 200}
    for body, urgency in [(b"1", "low"), (b"2", "normal"), (b"3", "very-low"), (b"4", "high")]:
        relay.push(endpoint, body, urgency=urgency)
    assert [device.take(), device.take()] == [b"2", b"4"]
    device.expect_nothing()
    device.close()
    device = relay.device(device.uaid)
    device.expect_nothing()
    assert device.urgency("low")["status"] == 200
    assert device.take() == b"1"
    device.expect_nothing()
    assert device.urgency("very-low")["status"] == 200
    assert device.take() == b"3"
    device.close()
    relay.device(device.uaid).expect_nothing()


@every_store
def test_minimum_falls_on_the_older_socket(relay):
    """What was held back goes to the newest socket, without waiting for anything else."""
    old, _, endpoint = relay.subscribed()
    old.urgency("normal")
    new = relay.device(old.uaid)
    relay.push(endpoint, b"1", urgency="low")
    relay.push(endpoint, b"2", urgency="normal")
    assert new.take() == b"2"
    assert old.urgency("very-low")["status"] == 200
    assert new.take() == b"1"
    old.expect_nothing()


@every_store
def test_ttl_zero_below_the_minimum_is_dropped(relay):
    """It is not delivered when the minimum falls, nor kept."""
    device, _, endpoint = relay.subscribed()
    device.urgency("high")
    relay.push(endpoint, b"x", 0, urgency="normal")
    device.urgency("very-low")
    device.expect_nothing()


@pytest.mark.parametrize("least", ["urgent", "", None, 3, [], "HIGHEST"])
def test_bad_minimum_gets_400(relay, least):
    """Device case 40: the session goes on, the old minimum stays."""
    device, _, endpoint = relay.subscribed()
    device.urgency("normal")
    assert device.urgency(least) == {"messageType": "urgency", "status": 400}
    relay.push(endpoint, b"x", urgency="low")
    device.expect_nothing(0)


def test_minimum_before_any_register_holds_for_the_session(relay):
    """Device case 40: nothing is stored of the device yet, and still it counts."""
    device = relay.device()
    assert device.urgency("high") == {"messageType": "urgency", "status": 200}
    _, endpoint = device.register()
    relay.push(endpoint, b"low", urgency="low")
    relay.push(endpoint, b"high", urgency="high")
    assert device.take() == b"high"
    device.expect_nothing()
