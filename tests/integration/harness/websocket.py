# SPDX-License-Identifier: Apache-2.0
"""WebSocket frames by hand (RFC 6455), so that a scenario decides about every bit."""

import base64
import hashlib
import os
import struct

from .http import Connection

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10


class Closed(Exception):
    """The relay ended the socket; code is that of its Close frame, None when there was none."""

    def __init__(self, code=None):
        super().__init__(f"closed by the relay, code {code}")
        self.code = code


def frame(opcode, payload=b"", fin=True, mask=True, rsv=0, length=None):
    payload = payload.encode() if isinstance(payload, str) else payload
    size = len(payload) if length is None else length
    head = bytes([(0x80 if fin else 0) | rsv << 4 | opcode])
    bit = 0x80 if mask else 0
    if size < 126:
        head += bytes([bit | size])
    elif size < 65536:
        head += bytes([bit | 126]) + struct.pack(">H", size)
    else:
        head += bytes([bit | 127]) + struct.pack(">Q", size)
    if not mask:
        return head + payload
    key = os.urandom(4)
    stream = (key * (len(payload) // 4 + 1))[: len(payload)]
    masked = int.from_bytes(payload, "big") ^ int.from_bytes(stream, "big")
    return head + key + masked.to_bytes(len(payload), "big")


def upgrade_headers(key, protocol=None):
    headers = [
        ("Host", "localhost"),
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Key", key),
        ("Sec-WebSocket-Version", "13"),
    ]
    return headers + ([("Sec-WebSocket-Protocol", protocol)] if protocol else [])


class WebSocket(Connection):
    def __init__(
        self, target, path="/", protocol=None, request=None, timeout=10, tls=None, early=b"", shrink=None,
        source=None, headers=()
    ):
        """request replaces the whole upgrade request; early is sent right behind it, headers in it."""
        super().__init__(target, timeout, tls, source)
        if shrink:
            import socket

            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, shrink)
        self.key = base64.b64encode(os.urandom(16)).decode()
        if request is None:
            lines = [f"GET {path} HTTP/1.1"] + [
                f"{n}: {v}" for n, v in [*upgrade_headers(self.key, protocol), *headers]
            ]
            request = "\r\n".join(lines) + "\r\n\r\n"
        else:
            request = request.replace("{KEY}", self.key)
        self.send(request.encode("latin-1") + early)
        self.response = self.read_head()
        self.pings = 0
        self.answers_pings = True
        if self.response.status != 101:
            self.response.body = self._read(int(self.response["content-length"]))
            return
        accept = hashlib.sha1((self.key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()
        assert self.response["sec-websocket-accept"] == base64.b64encode(accept).decode(), self.response
        assert self.response["upgrade"].lower() == "websocket", self.response
        assert "upgrade" in self.response["connection"].lower(), self.response
        assert "sec-websocket-extensions" not in self.response, self.response

    def send_frame(self, opcode, payload=b"", **kw):
        self.send(frame(opcode, payload, **kw))

    def send_text(self, text):
        self.send_frame(TEXT, text)

    def read_frame(self, timeout=10):
        """(opcode, payload) of the next frame. The relay sends whole, unmasked frames."""
        self.sock.settimeout(timeout)
        try:
            first, second = self._peek(2)
            assert first & 0x80 and not first & 0x70, f"fragment or reserved bits: {first:#x}"
            assert not second & 0x80, "a masked frame from the relay"
            size, start = second & 0x7F, 2
            if size == 126:
                size, start = struct.unpack(">H", self._peek(4)[2:])[0], 4
            elif size == 127:
                size, start = struct.unpack(">Q", self._peek(10)[2:])[0], 10
            # nothing is taken from the buffer before the frame is whole, so a time-out loses nothing
            self._peek(start + size)
            payload = self._read(start + size)[start:]
            return first & 0x0F, payload
        except (EOFError, ConnectionError):
            raise Closed() from None

    def _peek(self, count):
        while len(self.buffer) < count:
            self._fill()
        return self.buffer[:count]

    def read_text(self, timeout=10):
        """The next text frame. PINGs on the way are answered (unless told not to), a Close ends."""
        while True:
            opcode, payload = self.read_frame(timeout)
            if opcode == TEXT:
                return payload.decode()
            if opcode == PING:
                self.pings += 1
                if self.answers_pings:
                    self.send_frame(PONG, payload)
            elif opcode == CLOSE:
                raise Closed(struct.unpack(">H", payload[:2])[0] if len(payload) >= 2 else None)
            else:
                assert opcode == PONG, f"opcode {opcode} from the relay"
