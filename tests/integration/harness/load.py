# SPDX-License-Identifier: Apache-2.0
"""Many senders and devices at once, with a record of what was promised and what came."""

import random
import threading

from .device import Device, body_of, channel_id
from .websocket import Closed

CONFIRM_EVERY = 40


class Mailbox:
    """One device over all rounds: what it was sent, acknowledged, and knows to be acknowledged for good."""

    def __init__(self, name, relay, ordered=True):
        device, _, self.endpoint = relay.subscribed()
        self.name, self.uaid, self.ordered = name, device.uaid, ordered
        device.close()
        self.received, self.confirmed, self.order, self.errors = set(), set(), {}, []

    def take(self, message, acked):
        body = body_of(message).decode()
        if body in self.confirmed:
            self.errors.append(f"{body} came again after its acknowledgement was confirmed")
        if body not in self.received:
            self.received.add(body)
            sender, number, _ = body.split(":")
            if self.ordered and self.order.get(sender, -1) >= int(number):
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

    def post(self, relay, until):
        try:
            with relay.connect() as connection:
                while not until.is_set():
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


def run_round(assignments, kill):
    """assignments: (relay, mailboxes, senders); kill() ends one of the relays, then the others' peers leave."""
    done = threading.Event()
    threads = []
    for relay, mailboxes, senders in assignments:
        threads += [threading.Thread(target=box.drain, args=(relay.port, done)) for box in mailboxes]
        threads += [threading.Thread(target=sender.post, args=(relay, done)) for sender in senders]
    for thread in threads:
        thread.start()
    done.wait(random.uniform(0.1, 0.7))  # the random moment
    kill()
    done.set()
    join(threads)


def drain_all(relay, mailboxes):
    empty = threading.Event()
    empty.set()
    threads = [threading.Thread(target=box.drain, args=(relay.port, empty)) for box in mailboxes]
    for thread in threads:
        thread.start()
    join(threads)


def join(threads):
    for thread in threads:
        thread.join(120)
        assert not thread.is_alive()


def assert_promises_kept(mailboxes, senders, least):
    """Every 201 was delivered, nothing confirmed came again, no answer but 201 and 503 was ever seen."""
    accepted = [pair for sender in senders for pair in sender.accepted]
    lost = [body for box, body in accepted if body not in box.received]
    errors = [error for box in mailboxes for error in box.errors]
    print(f"{len(accepted)} accepted, {sum(len(box.confirmed) for box in mailboxes)} acknowledged for good")
    assert not lost, f"{len(lost)} of {len(accepted)} accepted messages lost: {lost[:10]}"
    assert not errors, errors[:10]
    assert len(accepted) > least
    assert set().union(*(sender.statuses for sender in senders)) <= {201, 503}
