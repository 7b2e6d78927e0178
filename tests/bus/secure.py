# SPDX-License-Identifier: Apache-2.0
"""A relay with a certificate of its own: a TLS port beside the plain one."""

from harness.process import free_port
from harness.relay import Relay


def secure_relay(directory, certificate, store="memory:", **flags):
    """certificate: the paths of it and of its key, for localhost. What it is reached by is in .wss."""
    directory.mkdir()
    cert, key = certificate
    port, plain = free_port(), free_port()
    listen = [f"127.0.0.1:{plain}", f"tls:127.0.0.1:{port}"]
    flags = {"public_url": f"https://localhost:{port}", **flags}
    instance = Relay(store, directory, port=plain, listen=listen, tls_cert=cert, tls_key=key, **flags)
    instance.wss, instance.cert = f"wss://localhost:{port}/", cert
    return instance
