# SPDX-License-Identifier: Apache-2.0
"""A full disk: 503 and Retry-After, nothing accepted is lost, nothing refused is delivered, and it recovers by itself."""

import subprocess

import pytest
from harness.device import channel_id
from harness.process import wait_until
from harness.relay import assert_refused

SIZE_KIB = 2048


@pytest.fixture
def small_disk(tmp_path):
    path = tmp_path / "disk"
    path.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SIZE_KIB}k,mode=0700", "tmpfs", path],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        pytest.skip(f"needs the right to mount a tmpfs: {done.stderr.strip()}")
    yield path
    subprocess.run(["umount", "-l", path], check=True)


def fill(relay, endpoint):
    """Posts until the disk is full; the bodies that were accepted."""
    accepted = []
    for number in range(2000):
        body = b"%06d" % number + bytes(4000)
        answer = relay.post(endpoint, body)
        if answer.status != 201:
            assert_refused(answer, 503)
            return accepted, body
        accepted.append(body)
    raise AssertionError("the disk never became full")


def test_full_and_larger_again(start_relay, small_disk):
    """Case 56: room comes from outside."""
    relay = start_relay(f"sqlite:{small_disk}/relay.db", queue_messages=100000, queue_bytes="1g")
    device, channel, endpoint = relay.subscribed()
    device.close()
    accepted, refused = fill(relay, endpoint)
    assert len(accepted) > 50
    for _ in range(5):
        answer = relay.post(endpoint, refused)
        assert answer.status in (201, 503)
        if answer.status == 201:
            accepted.append(refused)
    subprocess.run(["mount", "-o", f"remount,size={SIZE_KIB * 4}k", small_disk], check=True)
    wait_until(lambda: relay.post(endpoint, b"room").status == 201, 15, "recovery")
    device = relay.device(device.uaid)
    got = [device.take() for _ in range(len(accepted) + 1)]
    assert got == accepted + [b"room"]
    device.expect_nothing()
    assert device.register(channel)[1] == endpoint


def test_full_and_drained(start_relay, small_disk):
    """Room comes from the device, which takes its messages; then all goes on, and the file does not grow for ever."""
    relay = start_relay(f"sqlite:{small_disk}/relay.db", queue_messages=100000, queue_bytes="1g")
    device, _, endpoint = relay.subscribed()
    device.close()
    accepted, _ = fill(relay, endpoint)
    device = relay.device(device.uaid)
    assert [device.take() for _ in accepted] == accepted
    wait_until(lambda: relay.post(endpoint, b"room").status == 201, 20, "recovery")
    assert device.take() == b"room"
    for number in range(300):
        answer = relay.post(endpoint, b"%d" % number + bytes(4000))
        if answer.status == 201:
            device.take()
    device.expect_nothing()


def test_full_at_registration(start_relay, small_disk):
    """Device case 19: a register that cannot be kept gets 500 without an endpoint; the socket stays."""
    relay = start_relay(f"sqlite:{small_disk}/relay.db", queue_messages=100000, queue_bytes="1g")
    device, _, endpoint = relay.subscribed()
    fill(relay, endpoint)
    other = relay.device()
    statuses = set()
    for _ in range(200):
        answer = other.ask_register(channel_id())
        statuses.add(answer["status"])
        assert ("pushEndpoint" in answer) == (answer["status"] == 200)
    assert statuses <= {200, 500}
    assert relay.get("/health").status in (200, 503)
