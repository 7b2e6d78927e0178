# SPDX-License-Identifier: Apache-2.0
"""The link through HTTP proxies of the environment."""

import base64
import socket
import ssl

import pytest

from harness.certificates import make_certificate
from harness.tcp_server import TcpServer, read_head

UAID = "0123456789abcdef0123456789abcdef"


class Proxy(TcpServer):
    """A CONNECT proxy, or one that refuses everybody with an answer of its own."""

    def __init__(self, refusal=None, password=None):
        self.refusal, self.password = refusal, password
        self.targets = []
        super().__init__(self._serve)

    def _serve(self, client):
        head = read_head(client)
        if not head:
            return
        method, target, _ = head.split(b"\r\n")[0].split(b" ")
        assert method == b"CONNECT"
        self.targets.append(target.decode())
        wanted = base64.b64encode(self.password.encode()) if self.password else b""
        if self.refusal is not None:
            client.sendall(self.refusal)
            client.close()
        elif wanted not in head:
            client.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
            client.close()
        else:
            host, port = target.decode().rsplit(":", 1)
            server = socket.create_connection((host, int(port)))
            self.keep(server)
            client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            self.run(self._pump, server, client)
            self._pump(client, server)

    def _pump(self, source, sink):
        while piece := source.recv(65536):
            sink.sendall(piece)
        sink.shutdown(socket.SHUT_WR)


@pytest.fixture
def start_proxy():
    proxies = []

    def start(**options):
        proxies.append(Proxy(**options))
        return proxies[-1]

    yield start
    for one in proxies:
        one.stop()


def test_through_a_proxy(relay, start_proxy, start_link):
    proxy = start_proxy()
    link = start_link(relay.base, "proxy", env={"http_proxy": f"http://127.0.0.1:{proxy.port}/"})
    link.up()
    assert set(proxy.targets) == {f"127.0.0.1:{relay.port}"}
    assert link.status()["peer"] == f"127.0.0.1 port {proxy.port}"


def test_with_a_password_and_tls_by_name(fake_relay, start_proxy, start_link, tmp_path):
    cert_file, key_file = make_certificate(tmp_path, 7)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert_file, key_file)
    relay = fake_relay(ssl=context)
    proxy = start_proxy(password="ann:p@ss")
    env = {"https_proxy": f"http://ann:p%40ss@localhost:{proxy.port}"}
    link = start_link(f"wss://localhost:{relay.port}/", f"ca={cert_file}", "proxy", env=env)
    relay.peer().greet(UAID)
    link.up()
    assert set(proxy.targets) == {f"localhost:{relay.port}"}  # the proxy resolves the name
    assert not any("p@ss" in line for line in link.log)


@pytest.mark.parametrize(
    "refusal, state, words",
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "refused", "a name and a password"),
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", "waiting", "does not allow"),
        (b"HTTP/1.0 502 Bad Gateway\r\n\r\n", "waiting", "cannot reach the relay (502)"),
        (b"", "waiting", "hangs up"),
        (b"SSH-2.0-x\r\n", "waiting", "is no HTTP proxy"),
        (b"HTTP/1.1 2x0 Fine\r\n\r\n", "waiting", "is no HTTP proxy"),
    ],
)
def test_what_the_proxy_says_is_told(start_proxy, start_link, refusal, state, words):
    proxy = start_proxy(refusal=refusal)
    link = start_link(
        "wss://relay.invalid/", "proxy", env={"https_proxy": f"http://127.0.0.1:{proxy.port}"}
    )
    event = link.await_state(state)
    assert words in event["reason"] and f"127.0.0.1 port {proxy.port}" in event["reason"], event


def test_a_wrong_password_needs_the_user(start_proxy, start_link):
    proxy = start_proxy(password="ann:right")
    env = {"all_proxy": f"http://ann:wrong@127.0.0.1:{proxy.port}"}
    link = start_link("wss://relay.invalid/", "proxy", env=env)
    assert "name and a password" in link.await_state("refused")["reason"]


def test_exceptions_and_links_without_a_proxy_go_straight(relay, start_proxy, start_link):
    proxy = start_proxy()
    env = {"http_proxy": f"http://127.0.0.1:{proxy.port}", "no_proxy": "localhost,127.0.0.1"}
    start_link(relay.base, "proxy", env=env).up()
    del env["no_proxy"]
    start_link(relay.base, env={**env, "no_proxy": ""}).up()
    assert proxy.targets == []


def test_a_kind_that_cannot_be_used_is_said(start_link):
    link = start_link("wss://relay.invalid/", "proxy", env={"all_proxy": "socks5://127.0.0.1:9050"})
    assert "socks5" in link.await_state("refused")["reason"]
