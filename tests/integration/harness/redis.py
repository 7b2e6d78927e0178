# SPDX-License-Identifier: Apache-2.0
"""A private redis-server, and the few commands that a scenario needs of it."""

import pathlib
import shutil
import socket
import tempfile

from .process import Process, free_port, wait_until

BINARY = shutil.which("redis-server") or shutil.which("valkey-server")


class Redis:
    def __init__(self, directory=None, appendfsync="everysec", port=None, **options):
        self.directory = pathlib.Path(directory or tempfile.mkdtemp(prefix="bellwire-redis-"))
        self.port = port or free_port()
        self.options = {
            "port": self.port,
            "bind": "127.0.0.1",
            "dir": self.directory,
            "appendonly": "yes",
            "appendfsync": appendfsync,
            "save": "",
            "daemonize": "no",
            "maxmemory-policy": "noeviction",
            **options,
        }
        self.process = None
        self.start()

    @property
    def url(self):
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self, wait=True):
        arguments = [BINARY]
        for name, value in self.options.items():
            arguments += [f"--{name}", *(value.split() if name == "replicaof" else [value])]
        self.process = Process(arguments, self.directory / "redis.log")
        if wait:
            wait_until(self.is_ready, 15, "redis-server")

    def is_ready(self):
        assert self.process.is_running(), self.process.log()
        try:
            return self.command("PING") == "PONG"
        except RuntimeError as refusal:
            return str(refusal).startswith("NOAUTH")
        except (OSError, EOFError):
            return False

    def command(self, *words):
        """One command, one connection; bulk strings come back as text."""
        data = [w if isinstance(w, bytes) else str(w).encode() for w in words]
        with socket.create_connection(("127.0.0.1", self.port), 5) as sock:
            sock.sendall(b"*%d\r\n" % len(data) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in data))
            with sock.makefile("rb") as stream:
                return self._reply(stream)

    def _reply(self, stream):
        line = stream.readline()
        if not line:
            raise EOFError
        kind, rest = line[:1], line[1:-2].decode()
        if kind == b"+":
            return rest
        if kind == b"-":
            raise RuntimeError(rest)
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return None if rest == "-1" else stream.read(int(rest) + 2)[:-2].decode("latin-1")
        return None if rest == "-1" else [self._reply(stream) for _ in range(int(rest))]

    def kill(self):
        self.process.kill()

    def stop(self):
        if self.process.is_running():
            self.process.kill()
