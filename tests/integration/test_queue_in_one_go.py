# SPDX-License-Identifier: Apache-2.0
"""What waits for a device leaves gathered: whatever the sizes, and however slowly it is read, it comes whole and in order."""

import pytest
from harness.device import Device, body_of
from harness.process import wait_until

FLAGS = {"body_limit": 100000, "queue_bytes": 16 << 20}
SIZES = [0, 1, 300, 16384, 16384, 5, 90000, 24000, 24300, 512, 90000, 90000, 7] + [512] * 40 + [16384] * 5


def bodies():
    return [bytes([65 + i % 26]) * size for i, size in enumerate(SIZES)]


@pytest.fixture
def queued(relay):
    """The UAID of a device for which all of bodies() wait."""
    device, _, endpoint = relay.subscribed()
    device.close()
    for body in bodies():
        relay.push(endpoint, body)
    return device.uaid


def test_all_sizes_in_order(relay, queued):
    device = relay.device(queued)
    assert [device.take() for _ in SIZES] == bodies()
    device.expect_nothing()


def test_a_window_without_acks_is_complete(relay, queued):
    """Nothing of what was gathered stays behind when the window is full."""
    device = relay.device(queued)
    messages = device.notifications(32)
    assert [body_of(message) for message in messages] == bodies()[:32]
    device.expect_nothing()
    device.ack(*messages)
    assert [device.take() for _ in SIZES[32:]] == bodies()[32:]


def test_a_slow_reader_gets_them_whole(relay, queued):
    """The socket takes a part of what was gathered; the rest follows it, once."""
    before = relay.metrics()["bellwire_device_sent_total"]
    device = Device(relay.port, shrink=4096)
    device.hello(queued)
    wait_until(lambda: relay.metrics()["bellwire_device_sent_total"] > before)
    assert [device.take() for _ in SIZES] == bodies()
    device.expect_nothing()
