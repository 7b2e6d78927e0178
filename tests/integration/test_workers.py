# SPDX-License-Identifier: Apache-2.0
"""workers = 2: two processes on one port that meet in Redis."""

import os
import signal

import pytest
from harness.device import body_of
from harness.process import wait_until
from harness.relay import run_relay


@pytest.fixture
def relay(start_relay, start_redis):
    return start_relay(start_redis().url, workers=2)


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as f:
        return [int(p) for p in f.read().split()]


def test_any_socket_reaches_any_device(relay):
    """Enough connections that both workers have some of each."""
    assert len(children(relay.process.pid)) == 2
    devices = [relay.subscribed() for _ in range(16)]
    for number, (_, _, endpoint) in enumerate(devices):
        for copy in range(4):
            relay.push(endpoint, b"%d.%d" % (number, copy))
    for number, (device, _, _) in enumerate(devices):
        assert [device.take() for _ in range(4)] == [b"%d.%d" % (number, c) for c in range(4)]
    assert relay.metrics()["bellwire_push_accepted_total"] == 64


def test_killed_worker_is_replaced(relay):
    """Its devices come back to either; nothing is lost; the other worker's never notice."""
    devices = [relay.subscribed() for _ in range(24)]
    victim = children(relay.process.pid)[0]
    for device, _, endpoint in devices:
        relay.push(endpoint, b"1")
        assert body_of(device.notification()) == b"1"
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: len(set(children(relay.process.pid)) - {victim}) == 2, 15, "a new worker")
    relay.wait_ready()
    kept = 0
    for device, _, endpoint in devices:
        wait_until(lambda e=endpoint: accepted(relay, e), 10, "201")
        try:
            assert body_of(device.notification(5)) == b"2"
            kept += 1
        except Exception:
            again = relay.device(device.uaid)
            assert again.bodies(2) == [b"1", b"2"]
    assert kept < 24


def accepted(relay, endpoint):
    try:
        return relay.post(endpoint, b"2").status == 201
    except (OSError, EOFError):
        return False


def test_graceful_end_of_all(relay):
    device = relay.device()
    pids = children(relay.process.pid)
    relay.stop()
    assert device.close_code() is None
    assert not any(os.path.exists(f"/proc/{pid}") for pid in pids)


@pytest.mark.parametrize("store", ["sqlite:/tmp/x.db", "memory:"])
def test_a_store_for_one_process_is_refused(tmp_path, store):
    """With the reason, before anything is opened."""
    done = run_relay(
        "--workers", 2, "--store", store, "--state-dir", tmp_path, "--public-url", "http://127.0.0.1:1"
    )
    assert done.returncode == 2 and "workers" in done.stderr and "redis" in done.stderr
    assert list(tmp_path.iterdir()) == []
