# SPDX-License-Identifier: Apache-2.0
"""A relay that does what a test tells it, for what the real one never does: lies, stalls, hangs up."""

import asyncio
import http
import json
import queue
import threading

import pytest
import websockets


def refuser(status, headers=()):
    """Answers an upgrade with status; websockets 10 calls it with path and headers, 14 with connection and request."""

    async def refuse(first, request):
        if isinstance(first, str):
            return http.HTTPStatus(status), list(headers), b"no"
        response = first.respond(http.HTTPStatus(status), "no")
        response.headers.update(headers)
        return response

    return refuse


class FakeRelay:
    """Each connection is handed to the test as a Peer, in order of arrival; with refuses=STATUS none gets so far."""

    def __init__(self, port=0, ssl=None, refuses=None, headers=()):
        self.peers = queue.Queue()
        self.all_peers = []
        self.loop = asyncio.new_event_loop()
        self.ssl = ssl
        started = threading.Event()

        async def serve():
            self.server = await websockets.serve(
                self._on_peer,
                "127.0.0.1",
                port,
                ssl=ssl,
                process_request=refuser(refuses, headers) if refuses else None,
                ping_interval=None,
            )
            self.port = self.server.sockets[0].getsockname()[1]
            started.set()

        self.thread = threading.Thread(target=self._run, args=(serve,))
        self.thread.start()
        assert started.wait(10)

    def _run(self, serve):
        asyncio.set_event_loop(self.loop)
        self.loop.run_until_complete(serve())
        self.loop.run_forever()

    async def _on_peer(self, socket):
        # where websockets 10 and 14 keep the path
        path = socket.path if hasattr(socket, "path") else socket.request.path
        peer = Peer(self.loop, socket, path)
        self.all_peers.append(peer)
        self.peers.put(peer)
        await peer.finished.wait()

    @property
    def url(self):
        return f"{'wss' if self.ssl else 'ws'}://127.0.0.1:{self.port}/"

    def peer(self, timeout=20):
        return self.peers.get(timeout=timeout)

    def stop(self):
        async def close():
            for peer in self.all_peers:
                peer.finished.set()
            self.server.close()
            await self.server.wait_closed()

        asyncio.run_coroutine_threadsafe(close(), self.loop).result(10)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)
        self.loop.close()


class Peer:
    def __init__(self, loop, socket, path):
        self.loop = loop
        self.socket = socket
        self.path = path
        self.finished = asyncio.Event()

    def _do(self, work, timeout=15):
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(timeout)

    def send(self, message):
        self._do(self.socket.send(message if isinstance(message, (str, bytes)) else json.dumps(message)))

    def receive(self, timeout=15):
        return json.loads(self._do(self.socket.recv(), timeout))

    def read(self, kind, timeout=15):
        message = self.receive(timeout)
        assert message.get("messageType") == kind, message
        return message

    def read_close(self, timeout=15):
        """The close code, once the other side has closed."""
        self._do(self.socket.wait_closed(), timeout)
        self.loop.call_soon_threadsafe(self.finished.set)
        return self.socket.close_code

    def close(self, code=1000, reason=""):
        self._do(self.socket.close(code, reason))
        self.loop.call_soon_threadsafe(self.finished.set)

    def drop(self):
        """Ends the connection without a Close frame."""
        self.loop.call_soon_threadsafe(self.socket.transport.abort)
        self.loop.call_soon_threadsafe(self.finished.set)

    def greet(self, uaid="0123456789abcdef0123456789abcdef", **fields):
        hello = self.read("hello")
        self.send(
            {
                "messageType": "hello",
                "uaid": uaid,
                "status": 200,
                "use_webpush": True,
                "broadcasts": {},
                **fields,
            }
        )
        return hello

    def register(self, endpoint="http://127.0.0.1:9/p/abc", status=200):
        message = self.read("register")
        self.send(
            {
                "messageType": "register",
                "channelID": message["channelID"],
                "status": status,
                "pushEndpoint": endpoint,
            }
        )
        return message

    def notify(self, channel, version, data="aGVsbG8", headers=None):
        self.send(
            {
                "messageType": "notification",
                "channelID": channel,
                "version": version,
                "data": data,
                "headers": headers,
            }
        )

    def read_ack(self):
        (update,) = self.read("ack")["updates"]
        return update["version"]


@pytest.fixture
def fake_relay():
    """fake_relay(**options): relays that do what the test tells them."""
    relays = []

    def start(**options):
        relays.append(FakeRelay(**options))
        return relays[-1]

    yield start
    for one in relays:
        one.stop()
