# SPDX-License-Identifier: Apache-2.0
"""kill -9 at random moments while 16 senders post and devices drain: 201 means kept, acknowledged means gone.

ROUNDS sets how many times (20); every second round of the Redis kind kills redis-server too (appendfsync always).
"""

import os
import random
import sqlite3
import threading

import pytest
from harness import redis as redis_module
from harness.device import Device, body_of, channel_id
from harness.relay import Relay
from harness.websocket import Closed

ROUNDS = int(os.environ.get("ROUNDS", "20"))
SENDERS, DEVICES, CONFIRM_EVERY = 16, 6, 40


class Mailbox:
    """One device over all rounds: what it was sent, acknowledged, and knows to be acknowledged for good."""

    def __init__(self, name):
        self.name, self.uaid, self.endpoint = name, None, None
        self.received, self.confirmed, self.order, self.errors = set(), set(), {}, []

    def take(self, message, acked):
        body = body_of(message).decode()
        if body in self.confirmed:
            self.errors.append(f"{body} came again after its acknowledgement was confirmed")
        if body not in self.received:
            self.received.add(body)
            sender, number, _ = body.split(":")
            if self.order.get(sender, -1) >= int(number):
                self.errors.append(f"{body} came behind number {self.order[sender]} of the same sender")
            self.order[sender] = int(number)
        acked.append(body)

    def drain(self, port, until):
        """Reads and acknowledges until the relay dies, or, when until is set, until it says so and the queue is empty."""
        try:
            device = Device(port)
            device.hello(self.uaid)
            if device.uaid != self.uaid:
                self.errors.append(f"the relay forgot the device {self.name}")
                return
            acked, asked = [], None
            while True:
                try:
                    message = device.read_json(0.2 if until.is_set() else 5)
                except TimeoutError:
                    if until.is_set() and asked is None and not acked:
                        device.close()
                        return
                    message = None
                if message and message["messageType"] == "notification":
                    self.take(message, acked)
                    device.ack(message)
                elif message and message["messageType"] == "unregister":
                    if message["status"] == 200:  # 500: the store was killed first, and may not have the acks
                        self.confirmed.update(asked)
                    asked = None
                # the store runs a device's operations in order: this answer means that all acks before it are done
                if asked is None and (len(acked) >= CONFIRM_EVERY or (acked and message is None)):
                    asked, acked = acked, []
                    device.send_json({"messageType": "unregister", "channelID": channel_id()})
        except (Closed, OSError, EOFError):
            pass


class Sender:
    def __init__(self, number, mailboxes):
        self.number, self.mailboxes, self.count = number, mailboxes, 0
        self.accepted, self.statuses = [], set()

    def post(self, relay):
        try:
            with relay.connect() as connection:
                while True:
                    box = random.choice(self.mailboxes)
                    body = f"{self.number}:{self.count}:{box.name}"
                    self.count += 1
                    path = "/p/" + box.endpoint.rsplit("/", 1)[1]
                    status = connection.request("POST", path, [("TTL", "3600")], body.encode()).status
                    self.statuses.add(status)
                    if status == 201:
                        self.accepted.append((box, body))
        except (OSError, EOFError):
            pass


def run_round(relay, mailboxes, senders, kill):
    never = threading.Event()
    threads = [threading.Thread(target=box.drain, args=(relay.port, never)) for box in mailboxes]
    threads += [threading.Thread(target=sender.post, args=(relay,)) for sender in senders]
    for thread in threads:
        thread.start()
    timer = threading.Event()
    timer.wait(random.uniform(0.1, 0.7))  # the random moment
    kill()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()


def drain_all(relay, mailboxes):
    empty = threading.Event()
    empty.set()
    threads = [threading.Thread(target=box.drain, args=(relay.port, empty)) for box in mailboxes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
        assert not thread.is_alive()


@pytest.mark.parametrize("kind", ["sqlite", "redis"])
def test_every_201_is_delivered_and_every_ack_stays(kind, tmp_path):
    server = redis_module.Redis(tmp_path, appendfsync="always") if kind == "redis" else None
    database = tmp_path / "relay.db"
    relay = Relay(
        server.url if server else f"sqlite:{database}", tmp_path, queue_messages=1000000, queue_bytes="1g"
    )
    try:
        mailboxes = [Mailbox(n) for n in range(DEVICES)]
        for box in mailboxes:
            device, _, box.endpoint = relay.subscribed()
            box.uaid = device.uaid
            device.close()
        senders = [Sender(n, mailboxes) for n in range(SENDERS)]
        for number in range(ROUNDS):

            def kill(number=number):
                if server and number % 2:
                    server.kill()
                relay.kill()

            run_round(relay, mailboxes, senders, kill)
            if server and number % 2:
                server.start()
            if kind == "sqlite":
                with sqlite3.connect(database) as connection:
                    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
                connection.close()
            relay.start()
        drain_all(relay, mailboxes)
        accepted = [pair for sender in senders for pair in sender.accepted]
        lost = [body for box, body in accepted if body not in box.received]
        errors = [error for box in mailboxes for error in box.errors]
        print(
            f"{kind}: {len(accepted)} accepted, {sum(len(b.confirmed) for b in mailboxes)} confirmed, {ROUNDS} rounds"
        )
        assert not lost, f"{len(lost)} of {len(accepted)} accepted messages lost: {lost[:10]}"
        assert not errors, errors[:10]
        assert len(accepted) > ROUNDS * SENDERS
        # killing Redis shortly before the relay may be seen as 503; nothing else but 201 ever
        assert set().union(*(s.statuses for s in senders)) <= {201, 503}
        for box in mailboxes:
            relay.device(box.uaid).expect_nothing(0)
    finally:
        relay.finish()
        if server:
            server.stop()
