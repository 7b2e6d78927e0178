# SPDX-License-Identifier: Apache-2.0
"""SIGTERM: requests under way are answered, devices are dropped without a Close frame, the end is clean."""

import os
import signal
import time

import pytest
from harness.process import wait_until
from harness.relay import assert_accepted, assert_refused, path_of


def test_request_under_way_is_answered(start_relay, durable):
    """Case 57: its body comes after the signal; the message is kept."""
    relay = start_relay(durable)
    device, _, endpoint = relay.subscribed()
    device.close()
    connection = relay.connect()
    connection.send_request("POST", path_of(endpoint), [("TTL", "60"), ("Content-Length", "4")])
    relay.get("/health")
    relay.process.signal(signal.SIGTERM)
    wait_until(lambda: "stopping" in relay.process.log(), 5, "the log line")
    connection.send(b"body")
    assert_accepted(connection.read_response())
    assert connection.is_closed()
    relay.stop()
    relay.start()
    assert relay.device(device.uaid).bodies(1) == [b"body"]


def test_devices_are_dropped_without_close_frame(start_relay):
    """Device case 43: OkHttp would not notice a Close frame for minutes."""
    relay = start_relay()
    devices = [relay.device() for _ in range(10)]
    relay.process.signal(signal.SIGTERM)
    assert [d.close_code() for d in devices] == [None] * 10
    relay.stop()


def test_drops_are_spread(start_relay):
    """Over drain_seconds; what comes in meanwhile is refused with Retry-After or not accepted at all."""
    relay = start_relay(drain_seconds=2)
    devices = [relay.subscribed() for _ in range(8)]
    kept = relay.connect()
    assert kept.request("GET", "/health").status == 200
    begin = time.monotonic()
    relay.process.signal(signal.SIGTERM)
    ends = []
    for device, _, _ in devices:
        device.close_code()
        ends.append(time.monotonic() - begin)
    try:
        answer = kept.request("POST", path_of(devices[0][2]), [("TTL", "60")], b"x")
        assert_refused(answer, 503)
    except (EOFError, ConnectionError):
        pass
    relay.stop()
    assert 1.0 < max(ends) < 7


def test_keep_alive_connections_do_not_hold_it_up(start_relay):
    relay = start_relay()
    idle = [relay.connect() for _ in range(5)]
    for connection in idle[:3]:
        connection.request("GET", "/health")
    relay.stop()
    assert "cut off" not in relay.process.log(), "it did not wait for its deadline"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_status_zero(start_relay, number):
    relay = start_relay()
    relay.device()
    relay.process.signal(number)
    assert relay.process.wait(10) == 0


def test_stalled_request_does_not_hold_it_up_for_ever(start_relay):
    """A body that never comes is given a few seconds."""
    relay = start_relay()
    _, _, endpoint = relay.subscribed()
    connection = relay.connect()
    connection.send_request("POST", path_of(endpoint), [("TTL", "60"), ("Content-Length", "4")])
    relay.get("/health")
    relay.stop()
    assert "requests cut off at the end count=1" in relay.process.log()


def test_port_is_free_at_once(start_relay):
    relay = start_relay()
    for _ in range(3):
        connection = relay.connect()
        connection.request("GET", "/health")
        relay.restart()


def test_ctrl_c_with_workers(start_relay, start_redis):
    """A terminal sends SIGINT to every process of a job, and the first of them passes it on as well: once is once."""
    redis = start_redis()
    relay = start_relay(f"fault:{redis.url}?put=delay-500", workers=2)
    _, _, endpoint = relay.subscribed()
    connections = [relay.connect() for _ in range(4)]
    for connection in connections:
        connection.send_request("POST", path_of(endpoint), [("TTL", "60")], b"x")

    def queued():
        return sum(redis.command("ZCARD", key) for key in redis.command("KEYS", "bw:*:q"))

    wait_until(lambda: queued() == 4, 5, "all requests under way")
    with open(f"/proc/{relay.process.pid}/task/{relay.process.pid}/children", encoding="ascii") as children:
        workers = [int(pid) for pid in children.read().split()]
    assert len(workers) == 2
    for pid in [*workers, relay.process.pid]:
        os.kill(pid, signal.SIGINT)
    for connection in connections:
        assert_accepted(connection.read_response())
    relay.stop()
