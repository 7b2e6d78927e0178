# SPDX-License-Identifier: Apache-2.0
"""HTTP/1.1 by hand: the bytes that are sent are exactly the bytes given, and their order too."""

import json
import select
import socket
import ssl
import time


class Response:
    def __init__(self, version, status, reason, headers, body):
        self.version, self.status, self.reason, self.headers, self.body = (
            version,
            status,
            reason,
            headers,
            body,
        )

    def get(self, name, default=None):
        values = [v for n, v in self.headers if n.lower() == name.lower()]
        assert len(values) <= 1, f"{name} is there {len(values)} times: {self}"
        return values[0] if values else default

    def __getitem__(self, name):
        value = self.get(name)
        assert value is not None, f"no header {name}: {self}"
        return value

    def __contains__(self, name):
        return self.get(name) is not None

    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"<{self.version} {self.status} {self.reason} {self.headers} {self.body[:300]!r}>"


class Connection:
    """One client connection. target: a port of 127.0.0.1, address and port, or the path of a unix socket."""

    def __init__(self, target, timeout=10, tls=None, source=None):
        if not isinstance(target, str):
            address = ("127.0.0.1", target) if isinstance(target, int) else target
            self.sock = socket.create_connection(address, timeout, (source, 0) if source else None)
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        else:
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.settimeout(timeout)
            self.sock.connect(target)
        if tls:
            self.sock = tls.wrap_socket(self.sock, server_hostname="localhost")
        self.buffer = b""

    def send(self, data):
        self.sock.sendall(data if isinstance(data, bytes) else data.encode("latin-1"))

    def send_request(self, method, path, headers=(), body=b"", host="localhost", length=True, version="1.1"):
        lines = [f"{method} {path} HTTP/{version}"]
        if host is not None:
            lines.append(f"Host: {host}")
        lines += [f"{name}: {value}" for name, value in headers]
        names = {name.lower() for name, _ in headers}
        if (
            length
            and (body or method in ("POST", "PUT", "PATCH"))
            and not names & {"content-length", "transfer-encoding"}
        ):
            lines.append(f"Content-Length: {len(body)}")
        self.send("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body)

    def _fill(self):
        data = self.sock.recv(65536)
        if not data:
            raise EOFError(f"the relay closed the connection; unread: {self.buffer[:200]!r}")
        self.buffer += data

    def _read(self, count):
        while len(self.buffer) < count:
            self._fill()
        data, self.buffer = self.buffer[:count], self.buffer[count:]
        return data

    def read_head(self):
        while b"\r\n\r\n" not in self.buffer:
            self._fill()
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        first, *lines = head.decode("latin-1").split("\r\n")
        version, status, *reason = first.split(" ", 2)
        headers = []
        for line in lines:
            name, colon, value = line.partition(":")
            assert colon and name == name.strip(), f"malformed header line {line!r}"
            headers.append((name, value.strip()))
        return Response(version, int(status), reason[0] if reason else "", headers, b"")

    def read_response(self, method="GET"):
        """The next answer, an interim one too. Its length is always declared."""
        response = self.read_head()
        if response.status >= 200 and response.status != 204 and method != "HEAD":
            response.body = self._read(int(response["content-length"]))
        return response

    def request(self, method, path, headers=(), body=b"", **kw):
        self.send_request(method, path, headers, body, **kw)
        return self.read_response(method)

    def is_closed(self, timeout=5):
        """True when the peer ends the connection within the time, without another byte."""
        deadline = time.monotonic() + timeout
        while not self.buffer:
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            if isinstance(self.sock, ssl.SSLSocket) and self.sock.pending():
                pass
            elif not select.select([self.sock], [], [], left)[0]:
                return False
            try:
                data = self.sock.recv(65536)
            except ssl.SSLWantReadError:
                continue
            except (ConnectionError, ssl.SSLError):
                return True
            if not data:
                return True
            self.buffer += data
        raise AssertionError(f"unexpected bytes instead of the end: {self.buffer[:300]!r}")

    def is_quiet(self, seconds=0.3):
        """True when nothing arrives, not even the end, for that long."""
        return not self.buffer and not select.select([self.sock], [], [], seconds)[0]

    def reset(self):
        """Ends with RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.sock.close()

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def request(target, method, path, headers=(), body=b"", timeout=10, tls=None, **kw):
    with Connection(target, timeout, tls) as connection:
        return connection.request(method, path, headers, body, **kw)


def chunked(*pieces, trailers=""):
    return b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in pieces) + b"0\r\n" + trailers.encode() + b"\r\n"
