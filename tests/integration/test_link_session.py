# SPDX-License-Identifier: Apache-2.0
"""The distributor's link against the real relay: greet, register, receive, acknowledge, come back."""

import uuid

from harness.device import Device

CHANNEL = "0d9a6d2e-52e1-4a3e-9a0e-3f8d3b3f2c11"


def registered(link, channel=CHANNEL, **fields):
    link.do("register", text=channel, **fields)
    answer = link.await_event("registered", channel=channel)
    assert answer["status"] == 200, answer
    return answer["endpoint"]


def test_greets_registers_receives_and_acknowledges(relay, start_link):
    link = start_link(relay.base)
    greeting = link.up()
    assert greeting["is_new"] is True and greeting["missed"] == 0
    endpoint = registered(link)
    relay.push(endpoint, b"\x00hello\xff", headers=[("Content-Encoding", "aes128gcm")])
    pushed = link.await_event("notified")
    assert pushed["channel"] == CHANNEL and pushed["body"] == b"\x00hello\xff".hex()
    assert pushed["encoding"] == "aes128gcm"
    # acknowledged: another socket of the device is sent nothing
    link.do("unregister", text=str(uuid.uuid4()))  # comes after the ack
    link.await_event("unregistered")
    link.do("stop")
    link.await_state("stopped")
    device = Device(relay.port)
    device.hello(greeting["uaid"])
    device.expect_nothing()


def test_says_why_and_comes_back_with_its_identity(start_relay, tmp_path, start_link):
    relay = start_relay(f"sqlite:{tmp_path}/relay.db")
    link = start_link(relay.base)
    uaid = link.up()["uaid"]
    endpoint = registered(link)
    relay.stop()
    waiting = link.await_state("waiting")
    assert waiting["reason"] and waiting["next_ms"] >= 0
    relay.start()
    relay.push(endpoint, b"while away")
    link.hint("now")
    again = link.up(40)
    assert again["uaid"] == uaid and again["is_new"] is False
    assert bytes.fromhex(link.await_event("notified")["body"]) == b"while away"
    status = link.status()
    assert status["state"] == "up" and status["reconnects"] == 1 and status["reason"] == ""
    assert status["peer"] == f"127.0.0.1 port {relay.port}"


def test_what_was_not_acknowledged_comes_again_with_the_same_version(relay, start_link):
    link = start_link(relay.base, "noack")
    greeting = link.up()
    relay.push(registered(link), b"twice")
    first = link.await_event("notified")
    link.do("stop")
    link.await_state("stopped")
    link.do("start")
    assert link.up()["uaid"] == greeting["uaid"]
    assert link.await_event("notified")["version"] == first["version"]


def test_hundreds_of_queued_messages_drain_in_order(relay, start_link):
    link = start_link(relay.base)
    link.up()
    endpoint = registered(link)
    link.do("stop")
    link.await_state("stopped")
    for i in range(300):
        relay.push(endpoint, str(i).encode())
    link.do("start")
    link.up()
    bodies = [bytes.fromhex(link.await_event("notified")["body"]) for _ in range(300)]
    assert bodies == [str(i).encode() for i in range(300)]


def test_the_urgency_is_told_after_each_greeting(relay, start_link):
    link = start_link(relay.base)
    link.up()
    endpoint = registered(link)
    link.do("urgency", number=3)
    link.do("unregister", text=str(uuid.uuid4()))
    link.await_event("unregistered")
    relay.push(endpoint, b"held", urgency="low")
    relay.push(endpoint, b"at once", urgency="high")
    assert bytes.fromhex(link.await_event("notified")["body"]) == b"at once"
    link.do("urgency", number=0)
    assert bytes.fromhex(link.await_event("notified")["body"]) == b"held"


def test_nothing_is_sent_while_it_is_not_up(start_link):
    link = start_link("ws://127.0.0.1:9/")
    link.await_state("waiting")
    link.do("register", text=CHANNEL)
    link.await_event("not-up", do="register")
