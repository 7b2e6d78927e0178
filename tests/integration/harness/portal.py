# SPDX-License-Identifier: Apache-2.0
"""A captive portal that answers in the relay's place."""

import contextlib
import socket
import ssl
import threading

from .laptop import RELAY
from .namespace import Inside


class Portal:
    """Takes the relay's place; answers a request with `text`, in TLS with a certificate of its own if there is one."""

    def __init__(self, router, port, text, certificate=None):
        self.text, self.asked, self.is_over = text, 0, False
        self.context = None
        if certificate:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(*certificate)
        with Inside(router):
            self.listener = socket.create_server((RELAY, port))
        self.listener.settimeout(0.1)
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self):
        while not self.is_over:
            with contextlib.suppress(OSError):
                client, _ = self.listener.accept()
                self.asked += 1
                client.settimeout(5)
                with client:
                    if self.context:
                        client = self.context.wrap_socket(client, server_side=True)
                    client.recv(4096)
                    client.sendall(self.text)

    def close(self):
        self.is_over = True
        self.thread.join()
        self.listener.close()


def answer(head):
    return f"HTTP/1.1 {head}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()
