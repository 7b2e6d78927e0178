# SPDX-License-Identifier: Apache-2.0
"""Several relays on one Redis: a POST to any of them reaches the device on any other."""

import contextlib
import statistics
import time

import pytest
from harness.device import Device, body_of
from harness.relay import assert_refused, run_relay


@pytest.fixture
def pair(start_relay, start_redis, tmp_path):
    """Two relays with the same keys and public URL, as machines behind one name have them."""
    url = start_redis().url
    first = start_relay(url, directory=tmp_path / "shared")
    second = start_relay(url, directory=tmp_path / "second", state_dir=first.state_dir, public_url=first.base)
    second.base = first.base
    return first, second


def test_push_to_one_arrives_at_the_other(pair):
    """In order, fast, headers and all; each once; acknowledged there, gone everywhere."""
    a, b = pair
    device, _, endpoint = b.subscribed()
    times = []
    for i in range(100):
        begin = time.monotonic()
        a.push(endpoint, b"%d" % i, headers=[("Content-Encoding", "aes128gcm")])
        message = device.notification()
        times.append(time.monotonic() - begin)
        assert body_of(message) == b"%d" % i and message["headers"] == {"encoding": "aes128gcm"}
        device.ack(message)
    assert statistics.median(times) < 1.0 and max(times) < 8
    device.expect_nothing()
    device.close()
    a.device(device.uaid).expect_nothing()


def test_quota_of_an_invite_holds_over_all_relays(start_relay, start_redis, tmp_path):
    """Devices of one invite on two relays, posts to both: together they get what the invite allows a day."""
    url = start_redis().url
    a = start_relay(url, directory=tmp_path / "shared", registration="invite")
    b = start_relay(
        url, directory=tmp_path / "second", state_dir=a.state_dir, public_url=a.base, registration="invite"
    )
    b.base = a.base
    flags = ("--state-dir", a.state_dir, "--public-url", a.base)
    added = run_relay("invite", "add", "guests", "--messages-per-day", "5", *flags)
    path = "/i/" + added.stdout.split()[0].rsplit("/", 1)[1]
    endpoints = []
    for relay in (a, b):
        device = Device(relay.port, path)
        device.hello()
        endpoints.append(device.register()[1])
    statuses = [(a, b)[i % 2].post(endpoints[i // 2 % 2], b"x").status for i in range(8)]
    assert statuses == [201] * 5 + [429] * 3


def test_order_when_posts_alternate(pair):
    """A message posted at the device's own node does not overtake one accepted earlier at the other."""
    a, b = pair
    device, _, endpoint = b.subscribed()
    with a.connect() as first, b.connect() as second:
        path = "/p/" + endpoint.rsplit("/", 1)[1]
        for i in range(200):
            answer = (first, second)[i % 2].request("POST", path, [("TTL", "60")], b"%d" % i)
            assert answer.status == 201
            if i % 10 == 9:
                assert [device.take() for _ in range(10)] == [b"%d" % n for n in range(i - 9, i + 1)]


def test_ttl_zero_over_two_nodes(pair):
    a, b = pair
    device, _, endpoint = b.subscribed()
    a.push(endpoint, b"now", 0)
    assert body_of(device.notification()) == b"now"
    device.close()
    a.device(device.uaid).expect_nothing()


def test_everything_of_a_device_is_shared(pair):
    """Registered here, used there: endpoints, message URLs, minimum urgency, tombstones."""
    a, b = pair
    device, channel, endpoint = b.subscribed()
    device.urgency("normal")
    a.push(endpoint, b"low", urgency="low")
    device.expect_nothing()
    location = a.push(endpoint, b"cancelled", topic="t")["location"]
    held = device.notification()
    assert b.request("DELETE", location).status == 204
    device.ack(held)
    device.urgency("low")
    assert device.take() == b"low"
    device.unregister(channel)
    assert_refused(a.post(endpoint, b"x"), 410)


def test_device_moves_to_the_other_node(pair):
    """Its old socket still lives there: the new one gets what comes, the old one's unacknowledged follow after 2 s."""
    a, b = pair
    old, _, endpoint = b.subscribed()
    a.push(endpoint, b"held")
    assert body_of(old.notification()) == b"held"
    new = a.device(old.uaid)
    b.push(endpoint, b"1")
    a.push(endpoint, b"2")
    got = [new.take(timeout=6) for _ in range(3)]
    assert sorted(got) == [b"1", b"2", b"held"] and got.index(b"1") < got.index(b"2")
    new.expect_nothing()
    old.expect_quiet()


def test_ack_on_the_old_node(pair):
    """It counts."""
    a, b = pair
    old, _, endpoint = b.subscribed()
    a.push(endpoint, b"x")
    held = old.notification()
    new = a.device(old.uaid)
    old.ack(held)
    old.settle()
    again = []
    with contextlib.suppress(TimeoutError):
        while len(again) < 2:
            again.append(new.notification(3)["version"])
    assert again in ([], [held["version"]]), "once, if the old node was slow to say what it holds"
    new.close()
    a.device(old.uaid).expect_nothing()


def test_killed_node(pair):
    """Senders go on at the other; the device gets everything, acknowledged ones never again."""
    a, b = pair
    device, _, endpoint = b.subscribed()
    for i in range(10):
        a.push(endpoint, b"%d" % i)
    messages = device.notifications(10)
    device.ack(*messages[:5])
    device.settle()
    b.kill()
    for i in range(10, 20):
        a.push(endpoint, b"%d" % i)
    a.push(endpoint, b"transient", 0)
    device = a.device(device.uaid)
    assert device.bodies(15, timeout=5) == [b"%d" % i for i in range(5, 20)]
    device.expect_nothing()
    b.start()
    moved = b.device(device.uaid)
    device.close()
    assert moved.bodies(15, timeout=6) == [b"%d" % i for i in range(5, 20)]


def test_two_devices_back_and_forth(pair):
    """Hopping devices lose nothing and get nothing twice after its ack."""
    nodes = pair
    device, _, endpoint = nodes[0].subscribed()
    got = []
    for i in range(12):
        nodes[i % 2].push(endpoint, b"%d" % i)
        got.append(device.take())
        device.settle()
        device.close()
        device = nodes[(i + 1) % 2].device(device.uaid)
    assert got == [b"%d" % i for i in range(12)]
    device.expect_nothing()
