# SPDX-License-Identifier: Apache-2.0
"""registration = invite: a secret in the URL that a person types, with quotas, revocable."""

import json
import time

import pytest
from harness.device import Device, channel_id
from harness.process import wait_until
from harness.relay import assert_accepted, assert_refused, run_relay
from harness.websocket import WebSocket


@pytest.fixture(params=["memory", "sqlite", "redis"])
def relay(request, start_relay, start_redis, tmp_path):
    store = {
        "memory": lambda: "memory:",
        "sqlite": lambda: f"sqlite:{tmp_path}/r.db",
        "redis": lambda: start_redis().url,
    }
    return start_relay(store[request.param](), registration="invite")


def command(relay, *words):
    return run_relay("invite", *words, "--state-dir", relay.state_dir, "--public-url", relay.base)


def invite(relay, name, *words):
    """The path of a fresh invite's URL, once the relay knows it."""
    done = command(relay, "add", name, *words)
    assert done.returncode == 0, done.stderr
    url = done.stdout.split()[0]
    assert url.startswith(relay.base.replace("http", "ws", 1) + "/i/"), url
    path = url[len(relay.base.replace("http", "ws", 1)) :]
    wait_until(lambda: WebSocket(relay.port, path).response.status == 101, 10, "the invite at the relay")
    return path


def test_only_with_an_invite(relay):
    """Without, or with a wrong one: refused, and a browser's GET gives nothing away."""
    for path in ("/", "/i/", "/i/" + "A" * 22, "/i/x/y", "/i"):
        assert WebSocket(relay.port, path).response.status in (403, 404)
    path = invite(relay, "phone")
    device = Device(relay.port, path)
    device.hello()
    _, endpoint = device.register()
    assert_accepted(relay.post(endpoint, b"x"))
    assert device.take() == b"x"
    again = Device(relay.port, path + "/")
    assert again.hello(device.uaid)["uaid"] == device.uaid
    assert relay.get(path).status in (404, 405, 426)


def test_quota_of_devices(relay):
    """The third device of an invite for two is told so; the two go on."""
    path = invite(relay, "family", "--devices", "2")
    devices = [Device(relay.port, path) for _ in range(3)]
    for device in devices:
        device.hello()
    endpoints = [d.register()[1] for d in devices[:2]]
    answer = devices[2].ask_register(channel_id())
    assert answer["status"] == 429 and "pushEndpoint" not in answer
    devices[0].register()
    for endpoint in endpoints:
        assert_accepted(relay.post(endpoint, b"x"))


def test_quota_of_messages_a_day(relay):
    path = invite(relay, "guest", "--messages-per-day", "3")
    device = Device(relay.port, path)
    device.hello()
    _, endpoint = device.register()
    for _ in range(3):
        assert_accepted(relay.post(endpoint, b"x"))
    answer = relay.post(endpoint, b"x")
    assert_refused(answer, 429)
    left = 86400 - time.time() % 86400  # the next day begins at midnight, UTC
    assert abs(int(answer["retry-after"]) - left) < 10 or left > 86390


def test_devices_share_the_messages_of_a_day(relay):
    """The quota is the invite's: more devices do not make it larger."""
    path = invite(relay, "family", "--messages-per-day", "3")
    endpoints = []
    for _ in range(2):
        device = Device(relay.port, path)
        device.hello()
        endpoints.append(device.register()[1])
    for endpoint in (endpoints[0], endpoints[1], endpoints[0]):
        assert_accepted(relay.post(endpoint, b"x"))
    for endpoint in endpoints:
        assert_refused(relay.post(endpoint, b"x"), 429)


def test_revoked(relay):
    """Cases 44 and 45: its sockets end, its devices are gone, the others stay; the invite opens nothing any more."""
    path, other = invite(relay, "lost"), invite(relay, "kept")
    device, neighbour = Device(relay.port, path), Device(relay.port, other)
    device.hello()
    neighbour.hello()
    _, endpoint = device.register()
    _, kept = neighbour.register()
    assert command(relay, "revoke", "lost").returncode == 0
    assert device.close_code(15) in (None, 4774)
    wait_until(lambda: relay.post(endpoint, b"x").status in (404, 410), 10, "the end of the device")
    assert WebSocket(relay.port, path).response.status == 403
    assert_accepted(relay.post(kept, b"x"))
    assert neighbour.take() == b"x"
    moved = Device(relay.port, other)
    assert moved.hello(device.uaid)["uaid"] != device.uaid


def test_commands(relay):
    """list never shows the secret; names are unique; what is unknown is said."""
    path = invite(relay, "phone", "--devices", "3")
    secret = path.split("/i/")[1]
    for words in (["list"], ["list", "--json"]):
        done = command(relay, *words)
        assert done.returncode == 0 and "phone" in done.stdout and secret not in done.stdout
    assert json.loads(command(relay, "list", "--json").stdout)
    assert command(relay, "add", "phone").returncode == 1
    done = command(relay, "revoke", "nobody")
    assert done.returncode == 1 and "nobody" in done.stderr
    assert command(relay, "add").returncode == 2
    assert command(relay, "add", "x", "--devices", "many").returncode == 2
    mode = (relay.state_dir / "invites").stat().st_mode
    assert mode & 0o077 == 0
    assert secret not in (relay.state_dir / "invites").read_text()
