# SPDX-License-Identifier: Apache-2.0
"""`bellwire send` through a relay to `bellwire listen`."""

import json

import pytest
from harness.certificates import make_certificate
from harness.process import free_port
from harness.tool import Listener, run_tool


@pytest.fixture
def listen(relay, tmp_path):
    listeners = []

    def start(*arguments, state="state.json"):
        url = relay.base.replace("http", "ws") + "/"
        listeners.append(Listener(url, "--state", tmp_path / state, *arguments))
        return listeners[-1]

    yield start
    for one in listeners:
        if one.child.poll() is None:
            assert one.stop() == 0


def send(line, *arguments):
    return run_tool("send", "-", *arguments, text=json.dumps(line) + "\n")


def test_an_encrypted_message_arrives_as_it_was(listen, tmp_path):
    listener = listen()
    line = listener.line()
    done = send(line, "--message", "grüße", "--ttl", 60)
    assert done.returncode == 0 and done.stdout == "201 kept for 60 s, or until delivered\n"
    push = listener.line()
    assert push["data"] == "grüße" and push["decrypted"] is True and push["encoding"] == "aes128gcm"
    binary = tmp_path / "binary"
    binary.write_bytes(bytes(range(256)) * 8)
    assert send(line, "--file", binary, "--pad", 3000).returncode == 0
    assert "data_base64" in listener.line()


def test_a_plain_message_is_marked_as_such(listen):
    listener = listen()
    line = listener.line()
    assert run_tool("send", line["endpoint"], "--message", "plain").returncode == 0
    push = listener.line()
    assert push["data"] == "plain" and push["decrypted"] is False and push["encoding"] is None


def test_what_comes_between_two_runs_waits(listen):
    listener = listen()
    line = listener.line()
    assert listener.stop() == 0
    for number in range(100):
        assert send(line, "--message", f"number {number}").returncode == 0
    again = listen("--count", 100)
    assert again.line() == line
    assert [again.line()["data"] for _ in range(100)] == [f"number {n}" for n in range(100)]
    assert again.wait() == 0
    last = listen()
    assert last.line() == line
    assert send(line, "--message", "last").returncode == 0
    assert last.line()["data"] == "last"  # and none of the hundred again


def test_unacknowledged_messages_come_again(listen):
    listener = listen("--no-ack", "--count", 1)
    line = listener.line()
    assert send(line, "--message", "again").returncode == 0
    first = listener.line()
    assert listener.wait() == 0
    again = listen("--count", 1)
    again.line()
    assert again.line() == first and again.wait() == 0


def test_a_restricted_subscription_takes_signed_messages_only(listen, tmp_path):
    key = run_tool("vapid", "new", "--out", tmp_path / "key").stdout.strip()
    run_tool("vapid", "new", "--out", tmp_path / "other")
    listener = listen("--vapid-key", key)
    line = listener.line()
    unsigned = send(line, "--message", "x", "--json")
    assert unsigned.returncode == 1 and json.loads(unsigned.stdout)["status"] == 401
    wrong = send(line, "--message", "x", "--vapid", tmp_path / "other")
    assert wrong.returncode == 1 and wrong.stderr.startswith("403 ")
    assert send(line, "--message", "signed", "--vapid", tmp_path / "key").returncode == 0
    assert listener.line()["data"] == "signed"


def test_a_subscription_that_was_given_up_is_gone(listen, tmp_path):
    listener = listen()
    line = listener.line()
    listener.stop()
    key = run_tool("vapid", "new", "--out", tmp_path / "key").stdout.strip()
    listener = listen("--vapid-key", key)
    other = listener.line()
    assert other["endpoint"] != line["endpoint"]
    assert send(other, "--message", "x", "--vapid", tmp_path / "key").returncode == 0
    listener.line()
    gone = send(line, "--message", "x")
    assert gone.returncode == 1 and gone.stderr.startswith("410 ") and "stop sending" in gone.stderr


def test_a_relay_that_restarts_is_found_again(start_relay, tmp_path):
    relay = start_relay(store=f"sqlite:{tmp_path}/relay.db")
    listener = Listener(relay.base.replace("http", "ws"), "--state", tmp_path / "state.json")
    try:
        line = listener.line()
        relay.stop()
        listener.note("next attempt in")
        relay.start()
        assert send(line, "--message", "after").returncode == 0
        assert listener.line(timeout=30)["data"] == "after"
    finally:
        assert listener.stop() == 0


def test_topic_replaces_and_too_large_is_said(listen):
    listener = listen()
    line = listener.line()
    listener.stop()
    for text in ("old", "new"):
        assert send(line, "--message", text, "--topic", "t").returncode == 0
    again = listen()
    again.line()
    assert again.line()["data"] == "new"
    large = send(line, "--message", "x" * 20000)
    assert large.returncode == 1 and large.stderr.startswith("413 ")


def test_over_tls(start_relay, tmp_path):
    cert, key = make_certificate(tmp_path, 1)
    port, plain = free_port(), free_port()
    start_relay(
        listen=[f"127.0.0.1:{plain}", f"tls:127.0.0.1:{port}"],
        port=plain,
        public_url=f"https://localhost:{port}",
        tls_cert=cert,
        tls_key=key,
    )
    listener = Listener(f"wss://localhost:{port}/", "--state", tmp_path / "state.json", "--ca", cert)
    try:
        line = listener.line()
        assert line["endpoint"].startswith(f"https://localhost:{port}/p/")
        for number in range(20):
            assert send(line, "--message", str(number) + "x" * 12000, "--ca", cert).returncode == 0
        assert [listener.line()["data"][:2] for _ in range(20)] == [(str(n) + "x")[:2] for n in range(20)]
        refused = send(line, "--message", "x")
        assert refused.returncode == 1 and "--ca" in refused.stderr
    finally:
        assert listener.stop() == 0
