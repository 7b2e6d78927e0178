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
        self.received, self.confirmed, self.errors = {}, set(), []  # received: a dict for its order

    def take(self, message, acked):
        body = body_of(message).decode()
        if body in self.confirmed:
            self.errors.append(f"{body} came again after its acknowledgement was confirmed")
        if body not in self.received:
            self.received[body] = True
        acked.append(body)

    def check_order(self, accepted):
        """What a sender was told to be accepted comes in its order. What was not answered may be stored or not, and late:
        a Redis that was killed in the middle of a write can bring it back at a later start."""
        last = {}
        for body in self.received:
            sender, number, _ = body.split(":")
            if body in accepted:
                if last.get(sender, -1) > int(number):
                    self.errors.append(f"{body} came behind number {last[sender]} of the same sender")
                last[sender] = int(number)

    def drain(self, port, until):
        """Reads and acknowledges until the relay dies, or, when until is set, until the relay says that nothing is left.

        The store runs a device's operations in order: an answer means that all acks before it are done. If no message
        came since it was asked for, nothing is left but what a fetch under way brings, which the next answer follows.
        """
        try:
            device = Device(port)
            device.hello(self.uaid)
            if device.uaid != self.uaid:
                self.errors.append(f"the relay forgot the device {self.name}")
                return
            acked, asked, quiet = [], None, 0
            while True:
                try:
                    message = device.read_json(0.2 if until.is_set() else 5)
                except TimeoutError:
                    message = None
                    if until.is_set() and quiet >= 2:
                        device.close()
                        return
                if message and message["messageType"] == "notification":
                    self.take(message, acked)
                    device.ack(message)
                    quiet = 0
                elif message and message["messageType"] == "unregister":
                    is_done = message["status"] == 200  # 500: the store was killed first, and may not have the acks
                    if is_done:
                        self.confirmed.update(asked)
                    quiet = quiet + 1 if is_done and not acked else 0
                    asked = None
                if asked is None and (len(acked) >= CONFIRM_EVERY or message is None):
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
    bodies = {body for _, body in accepted}
    for box in mailboxes:
        if box.ordered:
            box.check_order(bodies)
    errors = [error for box in mailboxes for error in box.errors]
    print(f"{len(accepted)} accepted, {sum(len(box.confirmed) for box in mailboxes)} acknowledged for good")
    assert not lost, f"{len(lost)} of {len(accepted)} accepted messages lost: {lost[:10]}"
    assert not errors, errors[:10]
    assert len(accepted) > least
    assert set().union(*(sender.statuses for sender in senders)) <= {201, 503}
