# SPDX-License-Identifier: Apache-2.0
"""`bellwire listen` against a relay that lies, stalls and hangs up."""

import contextlib
import datetime
import ipaddress
import json
import signal
import ssl
import stat
import subprocess

import pytest

import websockets
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from harness.tool import TOOL, Listener, run_tool

ENDPOINT = "http://127.0.0.1:9/p/abc"


@pytest.fixture
def listen(tmp_path):
    listeners = []

    def start(url, *arguments):
        listeners.append(Listener(url, *arguments, env={"XDG_STATE_HOME": str(tmp_path / "state home")}))
        return listeners[-1]

    yield start
    for one in listeners:
        if one.child.poll() is None:
            one.child.kill()
        one.wait()


def begin(relay, listener, **hello):
    """Takes the listener's connection through hello and register; (peer, channel)."""
    peer = relay.peer()
    peer.greet(**hello)
    channel = peer.register()["channelID"]
    return peer, channel


def test_says_hello_registers_and_prints_the_endpoint_first(fake_relay, listen):
    relay = fake_relay()
    listener = listen(relay.url)
    peer = relay.peer()
    hello = peer.greet()
    assert hello["bellwire"] == {"v": 1} and hello["use_webpush"] is True and "uaid" not in hello
    register = peer.register(ENDPOINT)
    assert "key" not in register
    line = listener.line()
    assert list(line) == ["endpoint", "p256dh", "auth"]
    assert line["endpoint"] == ENDPOINT and len(line["p256dh"]) == 87 and len(line["auth"]) == 22
    assert listener.stop() == 0
    assert peer.read_close() == 1000


def test_prints_then_acknowledges_and_drops_what_comes_twice(fake_relay, listen):
    relay = fake_relay()
    listener = listen(relay.url)
    peer, channel = begin(relay, listener)
    listener.line()
    for version in ("v1", "v1", "v2"):
        peer.notify(channel, version)
        assert peer.read_ack() == version
    lines = [listener.line(), listener.line()]
    assert [line["version"] for line in lines] == ["v1", "v2"]
    assert lines[0] == {
        "version": "v1",
        "channel": channel,
        "encoding": None,
        "decrypted": False,
        "reason": "not encrypted",
        "data": "hello",
    }
    assert listener.stop() == 0 and not listener.has_line()


def test_bytes_and_what_cannot_be_decrypted_are_printed_too(fake_relay, listen):
    relay = fake_relay()
    listener = listen(relay.url)
    peer, channel = begin(relay, listener)
    listener.line()
    peer.notify(channel, "bytes", data="__79_A")
    line = listener.line()
    assert line["data_base64"] == "__79_A" and "data" not in line and line["decrypted"] is False
    peer.notify(channel, "garbage", headers={"encoding": "aes128gcm"})
    line = listener.line()
    assert line["decrypted"] is False and line["data"] == "hello" and line["encoding"] == "aes128gcm"
    peer.notify(channel, "unknown", headers={"encoding": "gzip"})
    assert listener.line()["reason"] == "an unknown encoding"
    peer.notify(channel, "empty", data="")
    assert listener.line()["data"] == ""
    peer.notify(channel, "not base64url", data="%%%")
    listener.note("not base64url")
    for version in ("bytes", "garbage", "unknown", "empty", "not base64url"):
        assert peer.read_ack() == version


def test_reconnects_with_backoff_and_says_why(fake_relay, listen):
    relay = fake_relay()
    listener = listen(relay.url)
    peer, channel = begin(relay, listener)
    listener.line()
    peer.close(1011, "upgrade\x1b[31m")
    note = listener.note("closed the connection (1011 upgrade?[31m); next attempt in")
    assert float(note.rsplit(" ", 2)[1]) <= 0.6
    peer = relay.peer()
    assert peer.greet()["uaid"] == "0123456789abcdef0123456789abcdef"
    peer.notify(channel, "after")
    assert listener.line()["version"] == "after"
    peer.read_ack()
    peer.drop()
    relay.peer().greet()
    assert not listener.has_line()  # the endpoint is the same, so it is not said again


def test_a_relay_that_is_away_is_tried_again(fake_relay, listen):
    relay = fake_relay()
    port = relay.port
    listener = listen(relay.url)
    begin(relay, listener)[0].drop()
    relay.stop()
    listener.note(f"cannot connect to 127.0.0.1 port {port}: connection refused")
    fake_relay(port=port).peer().greet()
    assert listener.stop() == 0
    relay.stop = lambda: None


def test_a_relay_that_forgot_the_device_gives_a_new_endpoint(fake_relay, listen):
    relay = fake_relay()
    listener = listen(relay.url)
    peer, _ = begin(relay, listener)
    first = listener.line()
    peer.drop()
    peer = relay.peer()
    peer.greet(uaid="f" * 32)
    peer.register(ENDPOINT + "/new")
    second = listener.line()
    assert second["endpoint"] == ENDPOINT + "/new" and second["p256dh"] == first["p256dh"]
    listener.note("does not know this device")


def test_the_state_survives_and_is_secret(fake_relay, listen, tmp_path):
    relay = fake_relay()
    state = tmp_path / "a" / "b" / "listen.json"
    listener = listen(relay.url, "--state", state)
    begin(relay, listener)
    first = listener.line()
    assert listener.stop() == 0
    assert stat.S_IMODE(state.stat().st_mode) == 0o600
    again = listen(relay.url, "--state", state)
    peer = relay.peer()
    assert peer.greet(bellwire={"v": 1, "missed": 3})["uaid"] == "0123456789abcdef0123456789abcdef"
    assert again.line() == first
    assert again.line() == {"missed": 3}
    assert again.stop() == 0
    state.chmod(0o644)
    refused = listen(relay.url, "--state", state)
    refused.note("chmod 600")
    assert refused.wait() == 1
    state.chmod(0o600)
    state.write_text("{}")
    refused = listen(relay.url, "--state", state)
    refused.note("no state of bellwire listen")
    assert refused.wait() == 1 and state.read_text() == "{}"


def test_the_state_of_another_relay_is_not_taken(fake_relay, listen, tmp_path):
    """What it holds is a secret between the two; a relay that has moved may be named in the file."""
    relay, other = fake_relay(), fake_relay()
    state = tmp_path / "s"
    listener = listen(relay.url, "--state", state)
    _, channel = begin(relay, listener)
    listener.line()
    listener.stop()
    kept = state.read_text()
    refused = listen(other.url, "--state", state)
    refused.note(relay.url)
    assert refused.wait() == 1 and state.read_text() == kept
    state.write_text(kept.replace(relay.url, other.url))
    moved = listen(other.url, "--state", state)
    _, again = begin(other, moved)
    assert again == channel
    assert moved.stop() == 0


def test_a_second_listener_does_not_take_the_identity(fake_relay, listen, tmp_path):
    relay = fake_relay()
    one = listen(relay.url, "--state", tmp_path / "s")
    begin(relay, one)
    one.line()
    two = listen(relay.url, "--state", tmp_path / "s")
    two.note("another listener uses")
    assert two.wait() == 1
    three = listen(relay.url)
    begin(relay, three)
    three.line()
    four = listen(relay.url)
    four.note("is not kept")
    begin(relay, four)
    assert four.line()["auth"] != three.notes


def test_another_vapid_key_means_another_channel(fake_relay, listen, tmp_path):
    relay = fake_relay()
    key = run_tool("vapid", "new", "--out", tmp_path / "key").stdout.strip()
    listener = listen(relay.url, "--state", tmp_path / "s")
    _, channel = begin(relay, listener)
    first = listener.line()
    listener.stop()
    listener = listen(relay.url, "--state", tmp_path / "s", "--vapid-key", key)
    peer = relay.peer()
    peer.greet()
    register = peer.register(ENDPOINT + "/restricted")
    assert register["key"] == key and register["channelID"] != channel
    assert peer.read("unregister")["channelID"] == channel
    second = listener.line()
    assert second["endpoint"] != first["endpoint"] and second["auth"] != first["auth"]


def test_no_ack_and_count_and_raw(fake_relay, listen):
    relay = fake_relay()
    listener = listen(relay.url, "--count", 2, "--no-ack", "--raw")
    peer, channel = begin(relay, listener)
    listener.line()
    peer.notify(channel, "v1")
    peer.notify(channel, "v2")
    with contextlib.suppress(websockets.exceptions.ConnectionClosed):
        peer.notify(channel, "v3")  # it may have ended by now
    assert listener.line()["messageType"] == "notification"
    assert listener.line()["version"] == "v2"
    assert listener.wait() == 0 and not listener.has_line()
    assert peer.read_close() == 1000  # and no ack before it


def test_acks_are_sent_before_count_ends_it(fake_relay, listen):
    relay = fake_relay()
    listener = listen(relay.url, "--count", 3)
    peer, channel = begin(relay, listener)
    for version in ("v1", "v2", "v3"):
        peer.notify(channel, version)
    assert [peer.read_ack() for _ in range(3)] == ["v1", "v2", "v3"]
    assert listener.wait() == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_at_once_even_when_the_relay_stalls(fake_relay, listen, number):
    relay = fake_relay()
    listener = listen(relay.url)
    relay.peer().read("hello")
    listener.child.send_signal(number)
    assert listener.wait() == 0


def test_a_signal_ends_it_while_it_waits_for_the_next_attempt(listen):
    listener = listen("ws://127.0.0.1:9/")
    listener.note("next attempt in")
    listener.child.send_signal(signal.SIGINT)
    assert listener.wait() == 0


def test_the_readers_end_ends_it_and_nothing_unread_is_acknowledged(fake_relay, tmp_path):
    relay = fake_relay()
    child = subprocess.Popen(
        [TOOL, "listen", "--relay", relay.url, "--state", tmp_path / "s"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    peer, channel = begin(relay, None)
    assert "endpoint" in child.stdout.readline()
    child.stdout.close()
    peer.notify(channel, "unread")
    assert child.wait(15) == 0
    assert peer.read_close() == 1000
    assert "Sanitizer" not in child.stderr.read()
    child.stderr.close()


def test_a_refused_registration_ends_it(fake_relay, listen):
    relay = fake_relay()
    listener = listen(relay.url)
    peer = relay.peer()
    peer.greet()
    peer.register(status=400)
    listener.note("refuses the registration with status 400")
    assert listener.wait() == 1


def test_a_storage_failure_is_tried_again(fake_relay, listen):
    relay = fake_relay()
    listener = listen(relay.url)
    peer = relay.peer()
    peer.greet()
    peer.register(status=500)
    listener.note("the registration with status 500")
    peer.read_close()
    begin(relay, listener)
    assert listener.line()["endpoint"] == ENDPOINT


def test_nonsense_from_the_relay_is_survived(fake_relay, listen):
    relay = fake_relay()
    listener = listen(relay.url)
    peer, channel = begin(relay, listener)
    listener.line()
    for text in (
        "",
        "nonsense",
        "[]",
        "{}",
        "null",
        '{"messageType":1}',
        '{"messageType":"notification"}',
        b"\0\1",
    ):
        peer.send(text)
    peer.send({"messageType": "notification", "channelID": channel, "version": 7})
    peer.send({"messageType": "notification", "channelID": channel, "version": "x", "data": 1, "headers": []})
    assert listener.line()["data"] == ""
    peer.send(json.dumps({"messageType": "unknown", "x": "y" * 200000}))
    peer.notify(channel, "last")
    assert listener.line()["version"] == "last"


def test_the_path_of_an_invitation_and_http_urls_are_used(fake_relay, listen, tmp_path):
    relay = fake_relay()
    listener = listen(relay.url.replace("ws:", "http:") + "i/SECRET?a=b")
    peer, _ = begin(relay, listener)
    assert peer.path == "/i/SECRET?a=b"
    listener.line()
    (file,) = [p for p in (tmp_path / "state home/bellwire").iterdir() if p.suffix == ".json"]
    assert "SECRET" not in file.name


def test_a_refused_upgrade_is_explained(fake_relay, listen):
    listener = listen(fake_relay(refuses=403).url)
    listener.note("status 403")


@pytest.mark.parametrize(
    "arguments",
    [
        ["one", "two"],
        ["--state", "x"],
        ["--relay"],
        ["--relay", "nonsense"],
        ["--relay", "ftp://x/"],
        ["--relay", "ws://x/", "--count", "0"],
        ["--relay", "ws://x/", "--vapid-key", "abc"],
        ["--relay", "ws://x/", "--unknown"],
        ["--relay", "ws://x/", "more"],
        ["--relay", "ws://x/", "--state", "x", "--no-state"],
    ],
)
def test_wrong_usage(arguments):
    done = run_tool("listen", *arguments)
    assert done.returncode == 2 and done.stdout == "" and done.stderr != ""


# TLS


def make_certificate(path, names, days_from, days_to, issuer=None):
    """Writes a PEM file with key and certificate; (key, certificate)."""
    now = datetime.datetime.now(datetime.timezone.utc)
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer[1].subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + datetime.timedelta(days=days_from))
        .not_valid_after(now + datetime.timedelta(days=days_to))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(issuer[0] if issuer else key, hashes.SHA256())
    )
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return key, certificate


LOCAL = [x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
ELSEWHERE = [x509.DNSName("other.example")]


@pytest.mark.parametrize(
    "names, days_from, days_to, words",
    [
        (LOCAL, -1, 1, None),
        (ELSEWHERE, -1, 1, "the certificate is not for 127.0.0.1, but for other.example"),
        (LOCAL, -9, -2, "expired at 20"),
        (LOCAL, 2, 9, "is not valid before 20"),
    ],
)
def test_certificates_are_checked(fake_relay, listen, tmp_path, names, days_from, days_to, words):
    pem = tmp_path / "pem"
    make_certificate(pem, names, days_from, days_to)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    relay = fake_relay(ssl=context)
    listener = listen(relay.url, "--ca", pem)
    if words:
        listener.note(words)
        sent = run_tool("send", relay.url.replace("wss", "https"), "--message", "x", "--ca", pem)
        assert sent.returncode == 1 and words in sent.stderr
    else:
        begin(relay, listener)
        listener.line()


def test_a_self_signed_certificate_is_refused_unless_insecure(fake_relay, listen, tmp_path):
    make_certificate(tmp_path / "pem", ELSEWHERE, -9, -2)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "pem")
    relay = fake_relay(ssl=context)
    listen(relay.url).note("self-signed")
    listener = listen(relay.url, "--no-state", "--insecure")
    begin(relay, listener)
    listener.line()


def test_a_relay_without_tls_is_named(fake_relay, listen):
    relay = fake_relay()
    listener = listen(relay.url.replace("ws", "wss"))
    listener.note("next attempt in")
