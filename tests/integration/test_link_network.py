# SPDX-License-Identifier: Apache-2.0
"""The link and news from the network: probe, move before breaking, wait without a route, find silent death."""

import contextlib
import queue
import select
import socket
import threading
import time

import pytest

from harness.link import learned

UAID = "0123456789abcdef0123456789abcdef"


class Wire:
    """Carries TCP to a relay until told to swallow everything; nobody is told of that."""

    def __init__(self, port):
        self.target = port
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.url = f"ws://127.0.0.1:{self.port}/"
        self.lock = threading.Lock()
        self.pairs = []  # [client, server, is dead]
        self.accepted = 0
        self.ended = False
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self):
        while not self.ended:
            with self.lock:
                live = [(s, pair) for pair in self.pairs if not pair[2] for s in pair[:2]]
            ready, _, _ = select.select([self.listener, *[s for s, _ in live]], [], [], 0.05)
            for one in ready:
                if one is self.listener:
                    client, _ = one.accept()
                    self.accepted += 1
                    with self.lock:
                        self.pairs.append([client, socket.create_connection(("127.0.0.1", self.target)), False])
                    continue
                pair = next(p for s, p in live if s is one)
                self._carry(one, pair)

    def _carry(self, source, pair):
        sink = pair[1] if source is pair[0] else pair[0]
        try:
            piece = source.recv(65536)
            if piece:
                sink.sendall(piece)
                return
        except OSError:
            pass
        self._close(pair)

    def _close(self, pair):
        with self.lock:
            pair[2] = True
        for one in pair[:2]:
            with contextlib.suppress(OSError):
                one.close()

    def swallow(self):
        """What stands now is dead from here on, new connections work."""
        with self.lock:
            for pair in self.pairs:
                pair[2] = True

    def stop(self):
        self.ended = True
        self.thread.join()
        self.listener.close()
        for pair in self.pairs:
            for one in pair[:2]:
                one.close()


@pytest.fixture
def wire(fake_relay):
    relay = fake_relay()
    wires = [Wire(relay.port)]
    wires[0].relay = relay
    yield wires[0]
    wires[0].stop()


def test_a_hint_on_the_same_path_is_a_ping(fake_relay, start_link):
    relay = fake_relay()
    link = start_link(relay.url, "network")
    relay.peer().greet(UAID)
    link.up()
    assert link.status()["round_trip_ms"] == -1
    link.await_silence()
    link.hint("network")
    link.await_pong()
    assert link.status()["reconnects"] == 0 and relay.peers.empty()


def test_another_path_is_a_new_session_before_the_old_one_ends(fake_relay, start_link):
    relay = fake_relay()
    link = start_link(relay.url, "network")
    old = relay.peer()
    old.greet(UAID)
    link.up()
    link.do("network", key="cafe")
    link.hint("network")
    new = relay.peer(5)
    hello = new.read("hello")
    assert hello["uaid"] == UAID
    assert link.status()["state"] == "up"  # the old one carries on
    old.notify("0d9a6d2e-52e1-4a3e-9a0e-3f8d3b3f2c11", "late")
    assert link.await_event("notified")["version"] == "late"
    new.send({"messageType": "hello", "uaid": UAID, "status": 200})
    link.up()
    assert old.read_close() == 1000
    assert link.count("entered", state="waiting") == 0
    status = link.status()
    assert status["key"] == "cafe" and status["reconnects"] == 1


def test_the_old_session_stays_when_the_new_one_fails(wire, start_link):
    link = start_link(wire.url, "network")
    peer = wire.relay.peer()
    peer.greet(UAID)
    link.up()
    link.do("network", key="cafe")
    link.hint("network")
    wire.relay.peer(5).drop()
    peer.notify("0d9a6d2e-52e1-4a3e-9a0e-3f8d3b3f2c11", "here")
    assert link.await_event("notified")["version"] == "here"
    assert link.status()["state"] == "up"


def test_without_a_route_there_are_no_attempts(wire, start_link):
    link = start_link(wire.url, "network")
    peer = wire.relay.peer()
    peer.greet(UAID)
    link.up()
    link.do("network", usable=0)
    link.hint("network")
    event = link.await_state("offline")
    assert "route" in event["reason"] and event["next_ms"] == -1
    link.do("register", text="x")
    link.await_event("not-up")
    peer.drop()  # the socket that was kept ends meanwhile
    for _ in range(20):
        link.hint("network")
        link.hint("now")
    assert link.status()["state"] == "offline" and wire.accepted == 1
    link.do("network", usable=1)
    begin = time.monotonic()
    link.hint("network")
    wire.relay.peer(5).greet(UAID)
    assert link.up()["at"] - begin < 3


def test_a_cable_put_back_keeps_the_session(fake_relay, start_link):
    relay = fake_relay()
    link = start_link(relay.url, "network")
    peer = relay.peer()
    peer.greet(UAID)
    link.up()
    link.do("network", usable=0)
    link.hint("network")
    link.await_state("offline")
    link.do("network", usable=1)
    link.hint("network")
    link.await_state("up")
    assert link.up()["is_new"] is False  # told again, so that what was unanswered is sent again
    assert link.status()["reconnects"] == 0
    if not relay.peers.empty():
        link.await_log("link is not answered")  # within 300 ms: only then another is tried


def back_within(link, wire, seconds):
    """The route goes and comes: a session that stays silent is replaced so soon."""
    link.do("network", usable=0)
    link.hint("network")
    link.await_state("offline")
    link.do("network", usable=1)
    begin = time.monotonic()
    link.hint("network")
    wire.relay.peer(9).greet(UAID)
    assert link.up()["at"] - begin < seconds


def test_a_probe_from_before_does_not_delay_the_return(wire, start_link):
    link = start_link(wire.url, "network")
    wire.relay.peer().greet(UAID)
    link.up()
    wire.swallow()
    link.await_silence()
    link.hint("network")  # a ping that may take five seconds
    back_within(link, wire, 4.5)


def test_one_return_after_another_is_no_sign_of_load(wire, start_link):
    link = start_link(wire.url, "network")
    wire.relay.peer().greet(UAID)
    link.up()
    for _ in range(5):
        wire.swallow()
        back_within(link, wire, 4.5)


def test_silence_after_a_hint_is_death(wire, start_link):
    link = start_link(wire.url, "network")
    wire.relay.peer().greet(UAID)
    link.up()
    wire.swallow()
    link.await_silence()
    begin = time.monotonic()
    link.hint("network")
    wire.relay.peer(15).greet(UAID)
    assert 4.5 < link.up()["at"] - begin < 15


def test_after_a_long_sleep_a_new_session_is_made_at_once(wire, start_link):
    link = start_link(wire.url, "network")
    wire.relay.peer().greet(UAID)
    link.up()
    wire.swallow()
    link.hint("sleeping")
    begin = time.monotonic()
    link.hint("resumed", 3600000)
    wire.relay.peer(5).greet(UAID)
    assert link.up()["at"] - begin < 2.9  # sooner than a ping is given up


def test_after_a_short_sleep_the_session_is_kept(fake_relay, start_link):
    relay = fake_relay()
    link = start_link(relay.url, "network")
    relay.peer().greet(UAID)
    link.up()
    link.hint("resumed", 2000)
    link.await_pong()
    assert relay.peers.empty()


def test_a_hint_on_the_same_path_does_not_cut_the_backoff_short(fake_relay, start_link):
    relay = fake_relay(refuses=503, headers=[("Retry-After", "30")])
    link = start_link(relay.url, "network")
    assert link.await_state("waiting")["next_ms"] > 29000
    for _ in range(20):
        link.hint("network")
    assert link.status()["next_ms"] > 25000
    link.do("network", key="cafe")
    link.hint("network")
    link.await_state("waiting")  # anew


def test_a_flapping_network_is_followed_slowly(fake_relay, start_link):
    relay = fake_relay()
    link = start_link(relay.url, "network")
    relay.peer().greet(UAID)
    link.up()
    connects, begin = 0, time.monotonic()
    for n in range(40):
        link.do("network", key=f"net{n}")
        link.hint("network")
        with contextlib.suppress(queue.Empty):
            while True:
                relay.peer(10 if connects <= n < 5 else 0.05).greet(UAID)
                connects += 1
                link.up()
    assert 5 <= connects <= 7 + (time.monotonic() - begin) / 10, connects
    assert link.status()["state"] == "up"


def test_unanswered_data_is_noticed_within_25_s(wire, start_link):
    """Half-open below TCP's sight: the far kernel acknowledges, the relay is silent."""
    link = start_link(wire.url, "network")
    wire.relay.peer().greet(UAID)
    link.up()
    wire.swallow()
    link.do("thrift", number=0, mains=1)
    begin = time.monotonic()
    link.await_silence()
    link.hint("network")  # any hint leads to a ping
    wire.relay.peer(25).greet(UAID)
    assert link.up()["at"] - begin < 25


def test_a_mobile_network_is_asked_more_rarely(fake_relay, start_link, tmp_path):
    """When thrift is wished and nothing is plugged in; the relay is told how rarely."""
    relay = fake_relay()
    link = start_link(relay.url, "network", learned(tmp_path / "heartbeats", "home", "away"))
    hello = relay.peer().greet(UAID)
    link.up()
    link.do("thrift", number=2)
    assert link.status()["heartbeat_ms"] == 900000 and hello["bellwire"]["keepalive_s"] == 900
    link.do("network", key="away", cellular=1)
    link.hint("network")
    hello = relay.peer().greet(UAID)
    assert hello["bellwire"]["keepalive_s"] == 28 * 60
    link.up()
    assert link.status()["heartbeat_ms"] == 1600000
    link.do("thrift", number=1)
    assert link.status()["heartbeat_ms"] == 900000
    link.do("thrift", number=2, mains=1)
    assert link.status()["heartbeat_ms"] == 240000


def test_an_idle_link_wakes_nobody(relay, start_link):
    link = start_link(relay.base)
    link.up()
    before, switches = link.status(), link.switches_at_rest()
    time.sleep(12)
    switches = link.switches() - switches
    after = link.status()
    assert after["wakeups"] == before["wakeups"]
    assert switches <= 1, switches
    assert after["sent"] == before["sent"] and after["received"] == before["received"]
