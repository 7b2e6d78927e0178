# SPDX-License-Identifier: Apache-2.0
"""A device: the autopush protocol over a raw WebSocket."""

import base64
import json
import socket
import time
import uuid

from .websocket import PONG, Closed, WebSocket


def channel_id():
    return str(uuid.uuid4())


def body_of(notification):
    """The bytes that the sender posted."""
    text = notification["data"]
    assert "=" not in text, notification
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Device(WebSocket):
    """Notifications that come while an answer is awaited are kept for notification()."""

    def __init__(self, target, path="/", **kw):
        super().__init__(target, path, **kw)
        self.uaid = None
        self.is_ours = False  # it speaks our extension
        self.waiting = []

    def send_json(self, message):
        self.send_text(json.dumps(message))

    def read_json(self, timeout=10):
        return json.loads(self.read_text(timeout))

    def answer(self, kind, timeout=10):
        """The next message that is no notification, which must be of this kind."""
        deadline = time.monotonic() + timeout
        while True:
            message = self.read_json(max(deadline - time.monotonic(), 0.01))
            if message.get("messageType") == "notification":
                self.waiting.append(message)
                continue
            assert message.get("messageType") == kind, message
            return message

    def hello(self, uaid=None, **fields):
        """Says hello and checks the answer, before which nothing may come."""
        message = {"messageType": "hello", "use_webpush": True, **fields}
        self.is_ours = "bellwire" in fields
        if uaid is not None:
            message["uaid"] = uaid
        self.send_json(message)
        return self.read_hello()

    def read_hello(self, timeout=10):
        answer = self.read_json(timeout)
        assert answer["messageType"] == "hello" and answer["status"] == 200, answer
        assert answer["use_webpush"] is True and answer["broadcasts"] == {}, answer
        assert len(answer["uaid"]) == 32 and set(answer["uaid"]) <= set("0123456789abcdef"), answer
        self.uaid = answer["uaid"]
        return answer

    def ask_register(self, channel, **fields):
        self.send_json({"channelID": channel, "messageType": "register", **fields})
        answer = self.answer("register")
        assert answer["channelID"] == channel, answer
        return answer

    def register(self, channel=None, key=None, **fields):
        """(channel, endpoint) of a registration that must succeed."""
        channel = channel or channel_id()
        if key is not None:
            fields["key"] = key
        answer = self.ask_register(channel, **fields)
        assert answer["status"] == 200, answer
        assert len(answer["pushEndpoint"]) <= 511, answer
        return channel, answer["pushEndpoint"]

    def unregister(self, channel, code=200):
        self.send_json({"channelID": channel, "messageType": "unregister", "code": code})
        answer = self.answer("unregister")
        assert answer == {"messageType": "unregister", "channelID": channel, "status": 200}, answer

    def urgency(self, least):
        self.send_json({"messageType": "urgency", "min": least})
        return self.answer("urgency")

    def notification(self, timeout=10):
        """The next notification, in exactly the shape that clients need."""
        message = self.waiting.pop(0) if self.waiting else self.read_json(timeout)
        assert message.get("messageType") == "notification", message
        own = {"bellwire"} if self.is_ours else set()
        assert set(message) == {"messageType", "channelID", "version", "data", "headers"} | own, message
        assert isinstance(message["version"], str) and 0 < len(message["version"]) <= 100, message
        assert isinstance(message["data"], str), message
        return message

    def notifications(self, count, timeout=10):
        return [self.notification(timeout) for _ in range(count)]

    def bodies(self, count, timeout=10):
        return [body_of(n) for n in self.notifications(count, timeout)]

    def ack(self, *notifications, code=100):
        updates = [
            {"channelID": n["channelID"], "version": n["version"], "code": code} for n in notifications
        ]
        self.send_json({"messageType": "ack", "updates": updates})

    def take(self, timeout=10):
        """The next message, acknowledged; its bytes."""
        message = self.notification(timeout)
        self.ack(message)
        return body_of(message)

    def settle(self):
        """Returns when the relay and its store are through with all that this device sent: operations
        of one device run in order, and taking away a channel that never was changes nothing."""
        self.unregister(channel_id())

    def expect_nothing(self, seconds=0.15):
        """No notification is on its way, and the socket lives."""
        self.settle()
        assert not self.waiting, self.waiting
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            try:
                message = self.read_json(left)
            except (socket.timeout, TimeoutError):
                return
            raise AssertionError(f"unexpected {message}")

    def expect_quiet(self, seconds=0.3):
        """Not a single text message, without asking the relay anything."""
        try:
            raise AssertionError(f"unexpected {self.read_text(seconds)}")
        except (socket.timeout, TimeoutError):
            pass

    def close_code(self, timeout=10):
        """Reads until the end; the code of the Close frame, None for a bare end."""
        try:
            deadline = time.monotonic() + timeout
            while True:
                self.read_text(max(deadline - time.monotonic(), 0.01))
        except Closed as closed:
            return closed.code

    def ping(self, payload=b"probe"):
        """A WS PING; the time until its PONG, notifications before it kept."""
        begin = time.monotonic()
        self.send_frame(9, payload)
        while True:
            opcode, data = self.read_frame()
            if opcode == PONG:
                assert data == payload
                return time.monotonic() - begin
            assert opcode == 1, opcode
            self.waiting.append(json.loads(data))

    def vanish(self):
        """Gone as a phone goes: the relay hears no more than a reset."""
        self.reset()
