# SPDX-License-Identifier: Apache-2.0
"""The HTTP front on real sockets, through echo_server: order, time limits, odd ends, TLS, upgrades."""

import datetime
import os
import select
import signal
import socket
import ssl
import struct
import subprocess
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

SERVER = os.environ["ECHO_SERVER"]
UPGRADE = b"GET %s HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"


class Server:
    def __init__(self, head=5, body=5, idle=5, most=1000, cert=None):
        command = [SERVER, str(head), str(body), str(idle), str(most), *(cert or [])]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE)
        self.rest = b""
        self.ports = []
        while (line := self.line()) != "ready":
            self.ports.append(int(line.split()[1]))

    def line(self, seconds=10):
        end = time.monotonic() + seconds
        while b"\n" not in self.rest:
            left = end - time.monotonic()
            assert left > 0 and select.select([self.process.stdout], [], [], left)[0], "no output"
            piece = os.read(self.process.stdout.fileno(), 4096)
            assert piece, "the server ended"
            self.rest += piece
        line, self.rest = self.rest.split(b"\n", 1)
        return line.decode()

    def connect(self, source=None, small=False):
        sock = socket.socket()
        if small:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        if source:
            sock.bind((source, 0))
        sock.settimeout(10)
        sock.connect(("127.0.0.1", self.ports[0]))
        return sock

    def tls(self, session=None, alpn=("http/1.1",), version=None):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        if alpn:
            context.set_alpn_protocols(list(alpn))
        if version:
            context.maximum_version = version
        plain = socket.create_connection(("127.0.0.1", self.ports[1]), 10)
        if session:
            context = session[0]
            return context.wrap_socket(plain, session=session[1])
        return context.wrap_socket(plain)

    def stats(self):
        with self.connect() as sock:
            sock.sendall(b"GET /stats HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            body = all_of(sock).split(b"\r\n\r\n", 1)[1]
        return dict(zip(("open", "accepted", "refused", "timed_out", "bad"), map(int, body.split())))

    def until(self, **wanted):
        end = time.monotonic() + 10
        while True:
            stats = self.stats()
            if all(stats[key] == value for key, value in wanted.items()):
                return
            assert time.monotonic() < end, (stats, wanted)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(20) == 0


def all_of(sock):
    data = b""
    while piece := sock.recv(65536):
        data += piece
    return data


class Reader:
    """Reads answers one by one."""

    def __init__(self, sock):
        self.sock, self.data = sock, b""

    def more(self):
        piece = self.sock.recv(65536)
        if not piece:
            raise EOFError(self.data)
        self.data += piece

    def answer(self, has_body=True):
        while b"\r\n\r\n" not in self.data:
            self.more()
        head, self.data = self.data.split(b"\r\n\r\n", 1)
        lines = head.decode().split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines[1:])}
        status, length = int(lines[0].split()[1]), int(headers.get("content-length", 0))
        if status == 100 or not has_body:
            length = 0
        while len(self.data) < length:
            self.more()
        body, self.data = self.data[:length], self.data[length:]
        return status, headers, body


@pytest.fixture(name="start")
def start_fixture():
    servers = []

    def start(**limits):
        servers.append(Server(**limits))
        return servers[-1]

    yield start
    for server in servers:
        if server.process.poll() is None:
            server.stop()


@pytest.fixture(name="server")
def server_fixture(start):
    return start()


def make_certificate(folder, name):
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.utcnow()
    cert = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "cert.pem").write_bytes(cert.public_bytes(pem))
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return [str(folder / "cert.pem"), str(folder / "key.pem")]


def post(path, body=b"", extra=b""):
    return b"POST %s HTTP/1.1\r\nHost: a\r\n%sContent-Length: %d\r\n\r\n%s" % (
        path, extra, len(body), body)


# ---- order and framing ----


def test_pipelined_in_order(server):
    with server.connect() as sock:
        sock.sendall(b"".join(post(b"/later" if i == 0 else b"/echo", b"%d" % i) for i in range(20)))
        reader = Reader(sock)
        assert reader.answer()[0] == 201
        assert [reader.answer()[2] for _ in range(19)] == [b"%d" % i for i in range(1, 20)]


@pytest.mark.parametrize("size", [0, 1, 7000, 8000, 8192, 16384, 65536])
def test_pipelined_bodies_of_any_size(server, size):
    """More than any buffer holds, sent at once behind a slow request."""
    bodies = [os.urandom(size) for _ in range(30)]
    data = post(b"/later", b"x") + b"".join(post(b"/echo", body) for body in bodies)
    with server.connect() as sock:
        sock.setblocking(False)
        got, sent = b"", 0
        reader = Reader(sock)
        while sent < len(data):
            readable, writable, _ = select.select([sock], [sock], [], 10)
            assert readable or writable
            if readable:
                reader.more()
            if writable:
                sent += sock.send(data[sent : sent + 100000])
        sock.settimeout(10)
        assert reader.answer()[0] == 201
        for body in bodies:
            status, _, got = reader.answer()
            assert status == 200 and got == body


def test_split_at_every_byte(server):
    whole = post(b"/echo", b"abc") + (
        b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nT: u\r\n\r\n"
    )
    with server.connect() as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for cut in range(1, len(whole)):
            sock.sendall(whole[:cut])
            sock.sendall(whole[cut:])
            reader = Reader(sock)
            assert reader.answer()[2] == b"abc"
            assert reader.answer()[2] == b"abcde"


@pytest.mark.parametrize("filler", [7900, 8000, 8070, 8120, 8150, 12000, 16100])
def test_head_as_long_as_the_buffer(server, filler):
    """A body behind a head that fills the memory for it to the last bytes."""
    half = filler // 2
    for framing, body in ((b"Content-Length: 9000", b"b" * 9000),
                          (b"Transfer-Encoding: chunked", b"2328\r\n" + b"b" * 9000 + b"\r\n0\r\n\r\n")):
        for extra in range(0, 40, 3):
            head = b"POST /echo HTTP/1.1\r\nHost: a\r\nA: %s\r\nB: %s\r\n%s\r\n\r\n" % (
                b"a" * half, b"b" * (half - extra), framing)
            with server.connect() as sock:
                sock.sendall(head + body)
                assert Reader(sock).answer()[2] == b"b" * 9000


def test_continue(server):
    expect = b"Expect: 100-continue\r\n"
    head = b"POST %s HTTP/1.1\r\nHost: a\r\n" + expect + b"Content-Length: %d\r\n\r\n"
    with server.connect() as sock:
        reader = Reader(sock)
        sock.sendall(head % (b"/echo", 3))
        assert reader.answer()[0] == 100
        sock.sendall(b"abc" + post(b"/echo", b"de", expect))
        assert reader.answer()[2] == b"abc"
        assert reader.answer()[:3:2] == (200, b"de")  # it came with its body: no 100
        sock.sendall(head % (b"/now", 3))
        status, headers, _ = reader.answer()
        assert status == 201 and headers["connection"] == "close"
    with server.connect() as sock:
        sock.sendall(head % (b"/post", 16385))
        assert Reader(sock).answer()[0] == 413
    with server.connect() as sock:
        sock.sendall(post(b"/now", b"", b"Expect: rain\r\n"))
        assert Reader(sock).answer()[0] == 417


def test_unread_bodies(server):
    """Up to 64 KiB go by and the connection lives; above it closes behind its answer."""
    with server.connect() as sock:
        reader = Reader(sock)
        for size in (1, 8192, 65536):
            sock.sendall(post(b"/now", b"x" * size))
            status, headers, _ = reader.answer()
            assert status == 201 and "connection" not in headers
        chunks = b"POST /now HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        sock.sendall(chunks + b"5\r\nabcde\r\n0\r\n\r\n" + post(b"/echo", b"after"))
        assert reader.answer()[0] == 201
        assert reader.answer()[2] == b"after"
        sock.sendall(post(b"/now", b"x" * 1000000))
        status, headers, _ = reader.answer()
        assert status == 201 and headers["connection"] == "close"
        assert sock.recv(1) == b""


def test_chunks_above_the_limit(server):
    with server.connect() as sock:
        sock.sendall(b"POST /post HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        sock.sendall(b"4001\r\n" + b"x" * 16385 + b"\r\n0\r\n\r\n")
        status, headers, _ = Reader(sock).answer()
        assert status == 413 and headers["connection"] == "close"
    with server.connect() as sock:
        sock.sendall(b"POST /post HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4000\r\n")
        sock.sendall(b"x" * 16384 + b"\r\n0\r\n\r\n")
        assert Reader(sock).answer()[0] == 201


def test_refusals_are_json(server):
    for text, wanted in (
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01", 400),
        (b"GET / HTTP/3.0\r\nHost: a\r\n\r\n", 505),
        (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nHost: a\r\nA: " + b"a" * 8193 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
    ):
        with server.connect() as sock:
            sock.sendall(text)
            status, headers, body = Reader(sock).answer()
            assert (status, headers["connection"]) == (wanted, "close")
            assert body.startswith(b'{"code":%d,"errno":' % wanted)
            assert sock.recv(1) == b""


def test_head_and_old_version(server):
    with server.connect() as sock:
        reader = Reader(sock)
        sock.sendall(b"HEAD /echo HTTP/1.1\r\nHost: a\r\n\r\n\r\nGET http://b/stats?q HTTP/1.1\r\nHost: a\r\n\r\n")
        assert reader.answer(has_body=False)[0] == 200
        assert reader.answer()[0] == 200
        sock.sendall(b"GET /now HTTP/1.0\r\n\r\n")
        assert reader.answer()[1]["connection"] == "close"
        assert sock.recv(1) == b""


# ---- time, and clients that end oddly ----


def test_slow_heads_and_bodies(start):
    server = start(head=0.5, body=0.5, idle=30)
    for begin in (b"GET /now HT", post(b"/post", b"abc")[:-2]):
        with server.connect() as sock:
            begun, data = time.monotonic(), b""
            sock.sendall(begin)
            while not data:  # dripping extends nothing
                if select.select([sock], [], [], 0.05)[0]:
                    data = sock.recv(4096)
                elif b"GET" in begin:
                    sock.sendall(b"x")
                assert time.monotonic() - begun < 5
            assert b" 408 " in data and time.monotonic() - begun > 0.4
    assert server.line() == "broken"
    assert server.stats()["timed_out"] == 2


def test_idle_ends(start):
    server = start(idle=4)
    with server.connect() as sock, server.connect() as fresh:
        sock.sendall(post(b"/now"))
        assert Reader(sock).answer()[0] == 201
        assert sock.recv(1) == b"" and fresh.recv(1) == b""


def test_half_closed_clients_get_their_answers(server):
    with server.connect() as sock:
        sock.sendall(post(b"/later", b"x") + post(b"/echo", b"second"))
        sock.shutdown(socket.SHUT_WR)
        reader = Reader(sock)
        assert reader.answer()[0] == 201
        assert reader.answer()[2] == b"second"
        with pytest.raises(EOFError):
            reader.answer()


def test_vanishing_clients(server):
    def vanish(sock):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()

    sock = server.connect()
    sock.sendall(post(b"/latest", b"x"))
    server.until(open=2)
    vanish(sock)
    assert server.line() == "orphan"
    sock = server.connect()
    sock.sendall(post(b"/post", b"abc")[:-1])
    server.until(open=2)
    vanish(sock)
    assert server.line() == "broken"
    sock = server.connect()
    sock.sendall(post(b"/post", b"abc")[:-1])
    sock.close()
    assert server.line() == "broken"
    server.until(open=1)


def test_slow_reader(start):
    """A client that does not read its answers is bounded, then cut; the others do not notice."""
    server = start(body=1)
    with server.connect(small=True) as sock:
        sock.setblocking(False)
        try:
            for _ in range(10000):
                sock.send(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n" * 50)
        except (BlockingIOError, ConnectionError):
            pass
        with open(f"/proc/{server.process.pid}/status", encoding="ascii") as status:
            resident = [line for line in status if line.startswith("VmRSS")][0]
        assert int(resident.split()[1]) < 120000  # with the sanitizers' own
        server.until(open=1)  # cut


def test_too_many(start):
    server = start(most=3)
    kept = [server.connect() for _ in range(3)]
    for sock in kept:
        sock.sendall(post(b"/now"))
        assert Reader(sock).answer()[0] == 201
    with server.connect() as sock:
        sock.sendall(post(b"/now"))
        status, headers, _ = Reader(sock).answer()
        assert status == 503 and int(headers["retry-after"]) > 0
    for sock in kept:
        sock.close()
    end = time.monotonic() + 10  # a place that is free again can be had at once
    while True:
        with server.connect() as sock:
            sock.sendall(post(b"/now"))
            if Reader(sock).answer()[0] == 201:
                break
        assert time.monotonic() < end


def test_out_of_files(start):
    """Accepting pauses and goes on; nobody is lost, and the loop does not spin."""
    server = start(idle=60)
    subprocess.run(["prlimit", f"--pid={server.process.pid}", "--nofile=24"], check=True)
    socks = [server.connect() for _ in range(40)]
    for sock in socks:
        sock.sendall(post(b"/now"))
    assert Reader(socks[0]).answer()[0] == 201
    for sock in socks[:30]:
        sock.close()
    for sock in socks[30:]:
        assert Reader(sock).answer()[0] == 201
        sock.close()


def test_forwarded_addresses(server):
    def seen(headers, source="127.0.0.2"):
        with server.connect(source) as sock:
            sock.sendall(b"GET /echo HTTP/1.1\r\nHost: a\r\n" + headers + b"\r\n")
            answer = Reader(sock).answer()[1]
            return answer["peer"], answer["secure"]

    assert seen(b"X-Forwarded-For: 1.2.3.4\r\n", "127.0.0.1") == ("127.0.0.1", "no")
    assert seen(b"") == ("127.0.0.2", "no")
    assert seen(b"X-Forwarded-For: 6.6.6.6, 1.2.3.4, 10.1.1.1\r\nX-Forwarded-Proto: https\r\n") == ("1.2.3.4", "yes")
    assert seen(b"X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 1.2.3.4\r\n") == ("1.2.3.4", "no")
    assert seen(b"X-Forwarded-For: 1.2.3.4, junk\r\n") == ("127.0.0.2", "no")
    assert seen(b"X-Forwarded-For: 2001:db8::1\r\n") == ("2001:db8::1", "no")
    assert seen(b'Forwarded: for=6.6.6.6, for="[2001:db8::2]:99";proto=https\r\n') == ("2001:db8::2", "yes")
    assert seen(b"X-Forwarded-For: 1.2.3.4\r\nForwarded: for=6.6.6.6\r\n") == ("1.2.3.4", "no")


def test_stop_serves_what_is_queued(server):
    with server.connect() as idle, server.connect() as sock:
        idle.sendall(post(b"/now"))
        assert Reader(idle).answer()[0] == 201
        sock.sendall(post(b"/now"))
        server.stop()
        assert Reader(sock).answer()[0] == 201
        assert idle.recv(1) == b""


# ---- upgrades and TLS ----


def take(sock, data):
    got = b""
    while len(got) < len(data):
        piece = sock.recv(65536)
        assert piece
        got += piece
    assert got == data


@pytest.mark.parametrize("is_tls", [False, True])
def test_upgrades(start, tmp_path, is_tls):
    server = start(cert=make_certificate(tmp_path, "a") if is_tls else None)
    sock = server.tls() if is_tls else server.connect()
    with sock:
        sock.sendall(post(b"/echo", b"x"))
        reader = Reader(sock)
        assert reader.answer()[2] == b"x"
        request = UPGRADE % b"/upgrade"
        sock.sendall(request + b"early")
        take(sock, b"taken " + request + b"early")
        for size in (1, 1000, 4000):
            piece = os.urandom(size)
            sock.sendall(piece)
            take(sock, piece)
        server.until(open=1)  # it is no HTTP connection any more
    assert server.line() == "upgraded end"
    sock = server.tls() if is_tls else server.connect()
    with sock:
        sock.sendall(UPGRADE % b"/drop")
        assert sock.recv(10) == b""


def test_upgrade_in_absolute_form(server):
    with server.connect() as sock:
        sock.sendall(b"\r\n" + UPGRADE % b"http://b/upgrade?q=1")
        take(sock, b"taken " + UPGRADE % b"/upgrade?q=1")


def test_tls_requests(start, tmp_path):
    server = start(cert=make_certificate(tmp_path, "a"))
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        with server.tls(version=version) as sock:
            assert sock.selected_alpn_protocol() == "http/1.1"
            bodies = [os.urandom(size) for size in (0, 16384, 60000, 1, 30000)]
            sock.sendall(b"".join(post(b"/echo", body) for body in bodies))
            reader = Reader(sock)
            assert [reader.answer()[2] for _ in bodies] == bodies
            sock.sendall(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
            assert len(reader.answer()[2]) == 4 << 20
    with server.tls(alpn=("h2", "http/1.1")) as sock:
        assert sock.selected_alpn_protocol() == "http/1.1"
    with server.tls(alpn=None) as sock:
        assert sock.selected_alpn_protocol() is None
    with pytest.raises(ssl.SSLError):
        server.tls(alpn=("h2",))


def test_tls_time_limit_and_garbage(start, tmp_path):
    server = start(head=0.3, cert=make_certificate(tmp_path, "a"))
    with socket.create_connection(("127.0.0.1", server.ports[1]), 10) as sock:
        assert sock.recv(1) == b""
    with socket.create_connection(("127.0.0.1", server.ports[1]), 10) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        try:
            all_of(sock)
        except ConnectionResetError:
            pass
    server.until(open=1)


def test_tickets_survive_restart_and_reload(start, tmp_path):
    cert = make_certificate(tmp_path, "first")
    server = start(cert=cert)
    with server.tls() as sock:
        sock.sendall(post(b"/echo", b"x"))
        assert Reader(sock).answer()[2] == b"x"
        session, context = sock.session, sock.context
    server.stop()
    server = start(cert=cert)
    with server.tls(session=(context, session)) as sock:
        assert sock.session_reused
        first = sock.getpeercert(binary_form=True)
    make_certificate(tmp_path, "second")
    server.process.send_signal(signal.SIGHUP)
    assert server.line() == "reload 0"
    with server.tls() as sock:
        second = sock.getpeercert(binary_form=True)
        assert second != first
    (tmp_path / "cert.pem").write_text("rubbish")
    server.process.send_signal(signal.SIGHUP)
    assert server.line() == "reload -22"
    with server.tls() as sock:
        assert sock.getpeercert(binary_form=True) == second
