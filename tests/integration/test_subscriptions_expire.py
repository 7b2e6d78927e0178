# SPDX-License-Identifier: Apache-2.0
"""A device that was away for device_days is forgotten; a removed subscription for tombstone_days is.

Nobody waits 90 days: what the store noted is moved into the past while no relay runs.
"""

import sqlite3

from harness.process import wait_until
from harness.relay import assert_refused

DAY_MS = 86400 * 1000


def edit(path, *statements):
    connection = sqlite3.connect(path)
    for statement in statements:
        assert connection.execute(statement).rowcount > 0, statement
    connection.commit()
    connection.close()


def test_device_in_sqlite(start_relay, tmp_path):
    """Cases 32 and 55: until then accepted, then 404; device case 45: a new identity at its hello; others stay."""
    path = tmp_path / "relay.db"
    relay = start_relay(f"sqlite:{path}")
    device, _, endpoint = relay.subscribed()
    device.close()
    relay.push(endpoint, b"x", 30 * 86400)
    relay.stop()
    edit(path, f"UPDATE device SET contact_ms = contact_ms - {89 * DAY_MS}")
    relay.start()
    neighbour, _, other = relay.subscribed()
    relay.push(endpoint, b"y", 30 * 86400)
    relay.stop()
    edit(path, f"UPDATE device SET contact_ms = contact_ms - {2 * DAY_MS}")
    relay.start()
    wait_until(lambda: relay.post(endpoint, b"x").status == 404, 15, "the end of the device")
    assert_refused(relay.post(endpoint, b"x", None), 404, 102)
    assert_refused(relay.get(endpoint), 404)
    assert relay.device(device.uaid).uaid != device.uaid
    relay.push(other, b"x")
    assert relay.device(neighbour.uaid).take() == b"x"


def test_tombstone_in_sqlite(start_relay, tmp_path):
    path = tmp_path / "relay.db"
    relay = start_relay(f"sqlite:{path}")
    device, channel, endpoint = relay.subscribed()
    device.register()
    device.unregister(channel)
    assert_refused(relay.post(endpoint, b"x"), 410)
    relay.stop()
    edit(path, f"UPDATE tombstone SET expires_ms = expires_ms - {31 * DAY_MS}")
    relay.start()
    wait_until(lambda: relay.post(endpoint, b"x").status == 404, 15, "the end of the tombstone")


def test_device_in_redis(start_relay, start_redis):
    """Redis expires the keys by itself."""
    redis = start_redis()
    relay = start_relay(redis.url)
    device, channel, endpoint = relay.subscribed()
    _, other = device.register()
    relay.push(other, b"x")
    device.unregister(channel)
    device.close()

    def have_expired():
        # again, for the relay may only now note that the device has gone, which sets the time anew
        for key in redis.command("KEYS", "bw:*"):
            redis.command("PEXPIRE", key, "1")
        return not redis.command("KEYS", "bw:*")

    wait_until(have_expired, what="the end of all keys")
    for url in (endpoint, other):
        wait_until(lambda u=url: relay.post(u, b"x").status == 404, 5, "404")
    assert relay.device(device.uaid).uaid != device.uaid
