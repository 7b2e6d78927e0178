# SPDX-License-Identifier: Apache-2.0
"""A message that nobody acknowledges does not hold up the others for ever."""

import time

from harness.device import body_of


def test_window_place_is_freed_after_a_minute(start_relay):
    """32 unacknowledged messages hold up the rest for 60 s only; they stay queued all the same."""
    relay = start_relay(ping_interval=10)
    device, _, endpoint = relay.subscribed()
    mute = relay.device()
    mute.answers_pings = False
    begin = time.monotonic()
    for i in range(34):
        relay.push(endpoint, b"%d" % i, 600)
    device.notifications(32)
    late = device.notifications(2, timeout=75)
    assert [body_of(n) for n in late] == [b"32", b"33"]
    assert 55 < time.monotonic() - begin < 75
    assert device.pings >= 3, "a silent device is pinged every ping_interval"
    assert mute.close_code(1) is None, "and dropped when it does not answer, long ago"
    device.close()
    assert relay.device(device.uaid).bodies(32) == [b"%d" % i for i in range(32)]
