# SPDX-License-Identifier: Apache-2.0
"""A TCP server whose every connection is handed to a function, in a thread of its own; for peers that misbehave."""

import contextlib
import socket
import threading


class TcpServer:
    """serve(connection) may end by an OSError: that is what stop() brings about."""

    def __init__(self, serve):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.serve = serve
        self.threads, self.sockets = [], []
        self.acceptor = threading.Thread(target=self._accept)
        self.acceptor.start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                self.keep(connection)
                self.run(self.serve, connection)

    def keep(self, connection):
        """It ends with the server, too."""
        self.sockets.append(connection)

    def run(self, function, *arguments):
        """In a thread that is waited for."""

        def quietly():
            with contextlib.suppress(OSError):
                function(*arguments)

        self.threads.append(threading.Thread(target=quietly))
        self.threads[-1].start()

    def stop(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.acceptor.join()
        for one in self.sockets:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        for thread in self.threads:
            thread.join()
        for one in self.sockets:
            one.close()


def read_head(connection):
    """Up to the empty line behind the headers, or what came before the end."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(4096)
        if not piece:
            return data
        data += piece
    return data
