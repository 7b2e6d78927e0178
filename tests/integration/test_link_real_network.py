# SPDX-License-Identifier: Apache-2.0
"""Link and network monitor together, in namespaces: cables, routes, black holes, and how soon the link is back."""

import statistics
import subprocess
import time

import pytest

from harness.laptop import RELAY
from harness.link import learned
from harness.process import wait_until
from harness.relay import BINARY

PORT = 8080
CHANNEL = "0d9a6d2e-52e1-4a3e-9a0e-3f8d3b3f2c11"


@pytest.fixture
def far_relay(laptop, tmp_path):
    """A relay behind the router, reachable at RELAY."""
    (tmp_path / "state").mkdir(mode=0o700)
    with open(tmp_path / "relay.log", "wb") as log:
        child = subprocess.Popen(
            laptop.router.command(
                BINARY, "--listen", f"0.0.0.0:{PORT}", "--public-url", f"http://{RELAY}:{PORT}",
                "--store", "memory:", "--state-dir", str(tmp_path / "state"), "--drain-seconds", "0", "--insecure", "on",
            ),
            stdout=log, stderr=log,
        )

    def ready():
        assert child.poll() is None, (tmp_path / "relay.log").read_text()
        return f":{PORT}" in laptop.router.output("ss", "-ltn")

    wait_until(ready, 20, "the relay's port")
    yield child
    child.terminate()
    child.wait(20)


def push(laptop, endpoint, body="hello"):
    laptop.router.output(
        "curl", "-sf", "-X", "POST", "-H", "TTL: 60", "--data-binary", body, endpoint
    )


def start(laptop, start_link):
    laptop.plug(0)
    link = start_link(f"ws://{RELAY}:{PORT}/", namespace=laptop)
    link.up()
    return link


def test_a_new_address_is_followed_and_the_queue_drained_within_a_second(laptop, far_relay, start_link):
    took = []
    for _ in range(4):  # more than five moves in a minute are a flapping network, which is followed slowly
        link = start(laptop, start_link)
        link.do("register", text=CHANNEL)
        endpoint = link.await_event("registered")["endpoint"]
        for n in range(5):
            laptop.ip(f"addr flush dev eth{n % 2} scope global")
            link.await_state("offline", 10)
            push(laptop, endpoint, f"while away {n}")
            begin = time.monotonic()
            laptop.plug((n + 1) % 2)
            link.up()
            wanted = f"while away {n}".encode().hex()
            took.append(link.await_event("notified", body=wanted)["at"] - begin)
        link.do("quit")
        laptop.ip("addr flush dev eth1 scope global")
    assert statistics.median(took) < 1, took


def test_a_cable_pulled_and_put_back_keeps_the_session(laptop, far_relay, start_link):
    link = start(laptop, start_link)
    laptop.router.ip("link set gw0 down")
    link.await_state("offline")
    laptop.router.ip("link set gw0 up")
    link.await_state("up")
    if (reconnects := link.status()["reconnects"]) > 0:
        link.await_log("link is not answered")  # within 300 ms: only then another is made
    assert reconnects <= 1


def test_a_better_path_is_taken_when_it_lasts(laptop, far_relay, start_link):
    link = start(laptop, start_link)
    begin = time.monotonic()
    laptop.plug(1, metric=10)
    event = link.up()
    assert 4.5 < event["at"] - begin < 15
    assert link.count("entered", state="waiting") == 0 and link.count("entered", state="up") == 1


def test_a_path_that_goes_silent_with_data_on_its_way_is_left_within_25_s(laptop, far_relay, start_link):
    link = start(laptop, start_link)
    # the answers go nowhere; no message tells the laptop
    laptop.router.ip("route add blackhole 10.0.0.2/32")
    begin = time.monotonic()
    link.do("urgency", number=1)
    event = link.await_event("entered", 30)
    assert event["state"] != "up" and event["at"] - begin < 25, event


def test_a_modem_is_told_from_a_cable(laptop, far_relay, start_link, tmp_path):
    laptop.ip("link set eth1 down", "link set eth1 name wwan0", "link set wwan0 up")
    heartbeats = tmp_path / "heartbeats"
    keys = {}
    for device, network, ceiling_ms in (("eth0", 0, 900000), ("wwan0", 1, 1600000)):
        laptop.ip(f"addr add 10.0.{network}.2/24 dev {device}", f"route add default via 10.0.{network}.1 dev {device}")
        for is_known in (False, True):
            link = start_link(f"ws://{RELAY}:{PORT}/", learned(heartbeats, *keys.values()), namespace=laptop)
            link.up()
            link.do("thrift", number=2)
            status = link.status()
            keys[device] = status["key"]
            if is_known:
                assert status["heartbeat_ms"] == ceiling_ms, (device, status)
            link.do("quit")
        laptop.ip(f"addr flush dev {device} scope global")


def test_nothing_happens_while_nothing_changes(laptop, far_relay, start_link):
    link = start(laptop, start_link)
    before = link.switches_at_rest()  # the addresses of a new link settle
    time.sleep(5)
    assert link.switches() - before <= 1
    assert link.status()["reconnects"] == 0
