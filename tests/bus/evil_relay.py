# SPDX-License-Identifier: Apache-2.0
"""A relay that greets and registers as it should, and then sends whatever the test wants, as fast as it goes."""

import asyncio
import json

import websockets
from harness.fake_relay import FakeRelay
from harness.process import wait_until

UAID = "0123456789abcdef0123456789abcdef"


def notification(channel, version, data="aGVsbG8", **more):
    return json.dumps(
        {"messageType": "notification", "channelID": channel, "version": version, "data": data, **more}
    )


class EvilRelay(FakeRelay):
    """`answers` maps a message type to a function of the message that gives the texts to send instead."""

    def __init__(self, answers=None, hangs_up=False, **options):
        self.answers = answers or {}
        self.hangs_up = hangs_up
        self.endpoints = {}  # endpoint -> channel
        self.acks = []  # (channel, version)
        self.current = None  # the newest connection
        self.connections = self.closed = 0
        super().__init__(**options)

    async def _on_peer(self, socket):
        self.connections += 1
        self.current = socket
        if self.hangs_up:
            return
        try:
            async for text in socket:
                for answer in self.answer(json.loads(text)):
                    await socket.send(answer)
        except websockets.ConnectionClosed:
            pass
        self.closed += 1

    def answer(self, message):
        kind = message.get("messageType", "")
        if kind in self.answers:
            return self.answers[kind](message)
        if kind == "hello":
            return [json.dumps({"messageType": "hello", "uaid": UAID, "status": 200, "use_webpush": True})]
        if kind == "register":
            return [self.register(message["channelID"])]
        if kind == "ack":
            self.acks += [(update["channelID"], update["version"]) for update in message["updates"]]
        return []

    def register(self, channel):
        endpoint = f"http://127.0.0.1:9/p/{channel}"
        self.endpoints[endpoint] = channel
        return json.dumps({"messageType": "register", "channelID": channel, "status": 200, "pushEndpoint": endpoint})

    def flood(self, texts, timeout=60):
        """Sends until the end or until it is hung up on; how many went out."""

        async def send():
            count = 0
            try:
                for text in texts:
                    await self.current.send(text)
                    count += 1
            except (websockets.ConnectionClosed, ConnectionError):
                pass
            return count

        return asyncio.run_coroutine_threadsafe(send(), self.loop).result(timeout)

    def wait_connected(self, count=1, timeout=30):
        wait_until(lambda: self.connections >= count, timeout, f"connection {count}")

    def wait_closed(self, count, timeout=30):
        wait_until(lambda: self.closed >= count, timeout, f"the end of connection {count}")

    def drop_current(self):
        """Without a word."""
        self.loop.call_soon_threadsafe(self.current.transport.abort)

    def stop(self):
        async def close():
            self.server.close()
            for socket in list(self.server.websockets) if hasattr(self.server, "websockets") else []:
                await socket.close()
            await self.server.wait_closed()

        asyncio.run_coroutine_threadsafe(close(), self.loop).result(10)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)
        self.loop.close()
