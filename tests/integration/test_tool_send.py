# SPDX-License-Identifier: Apache-2.0
"""`bellwire send` and `bellwire vapid`: what goes over the wire, and what each answer means."""

import base64
import json
import os
import socket
import stat
import threading

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils
from harness.tool import run_tool


def decode(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Server:
    """Answers one request with given bytes, and keeps it."""

    def __init__(self, answer):
        self.answer = answer
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(20)
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}/p/abc"
        self.head = self.body = None
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()

    def _serve(self):
        try:
            connection, _ = self.listener.accept()
        except OSError:
            return
        with connection:
            connection.settimeout(20)
            data = b""
            while b"\r\n\r\n" not in data:
                data += connection.recv(65536)
            head, body = data.split(b"\r\n\r\n", 1)
            self.head = head.decode()
            while len(body) < int(self.headers()["content-length"]):
                body += connection.recv(65536)
            self.body = body
            connection.sendall(self.answer)

    def headers(self):
        lines = self.head.split("\r\n")[1:]
        return {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.thread.join(20)
        self.listener.close()


def answer(status, body="", **headers):
    lines = [f"HTTP/1.1 {status} Reason", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


KEPT = answer(201, TTL=60, Location="http://127.0.0.1/m/x")


def test_a_plain_message():
    with Server(KEPT) as server:
        done = run_tool("send", server.url + "?a=b", "--message", "hällo")
    assert done.returncode == 0 and done.stdout == "201 kept for 60 s, or until delivered\n"
    assert server.head.startswith("POST /p/abc?a=b HTTP/1.1\r\n") and server.body == "hällo".encode()
    headers = server.headers()
    assert headers["ttl"] == "86400" and headers["host"] == server.url.split("/")[2]
    assert not {"content-encoding", "authorization", "urgency", "topic"} & set(headers)


def test_all_flags(tmp_path):
    file = tmp_path / "message"
    file.write_bytes(bytes(range(256)))
    with Server(KEPT) as server:
        done = run_tool(
            "send", server.url, "--file", file, "--ttl", 0, "--urgency", "very-low", "--topic", "a-b_1", "--json"
        )
    assert done.returncode == 0
    assert json.loads(done.stdout) == {
        "status": 201,
        "ok": True,
        "outcome": "kept",
        "meaning": "kept for 60 s, or until delivered",
        "ttl": 60,
        "retry_after": None,
        "location": "http://127.0.0.1/m/x",
        "errno": None,
        "message": None,
    }
    headers = server.headers()
    assert (headers["ttl"], headers["urgency"], headers["topic"]) == ("0", "very-low", "a-b_1")
    assert server.body == bytes(range(256))


def test_the_message_may_come_from_standard_input():
    with Server(KEPT) as server:
        assert run_tool("send", server.url, text="from stdin").returncode == 0
    assert server.body == b"from stdin"


def test_ttl_0_is_explained():
    with Server(answer(201, TTL=0)) as server:
        done = run_tool("send", server.url, "--message", "x", "--ttl", 0)
    assert done.returncode == 0 and "dropped if not" in done.stdout


def test_vapid_signs_for_the_origin(tmp_path):
    file = tmp_path / "key.pem"
    made = run_tool("vapid", "new", "--out", file)
    public = made.stdout.strip()
    assert made.returncode == 0 and len(public) == 87 and stat.S_IMODE(file.stat().st_mode) == 0o600
    assert run_tool("vapid", "show", file).stdout.strip() == public
    assert json.loads(run_tool("vapid", "show", file, "--json").stdout)["public"] == public
    key = serialization.load_pem_private_key(file.read_bytes(), None)
    with Server(KEPT) as server:
        run_tool("send", server.url, "--message", "x", "--vapid", file, "--subject", "mailto:a@b.example")
    scheme, parameters = server.headers()["authorization"].split(" ", 1)
    parameters = dict(p.split("=", 1) for p in parameters.split(", "))
    assert scheme == "vapid" and parameters["k"] == public
    head, payload, signature = parameters["t"].split(".")
    assert json.loads(decode(head)) == {"typ": "JWT", "alg": "ES256"}
    claims = json.loads(decode(payload))
    assert claims["aud"] == server.url.removesuffix("/p/abc") and claims["sub"] == "mailto:a@b.example"
    raw = decode(signature)
    der = utils.encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    key.public_key().verify(der, f"{head}.{payload}".encode(), ec.ECDSA(hashes.SHA256()))


def test_vapid_files(tmp_path):
    file = tmp_path / "key.pem"
    run_tool("vapid", "new", "--out", file)
    before = file.read_bytes()
    again = run_tool("vapid", "new", "--out", file)
    assert again.returncode == 1 and "exists" in again.stderr and file.read_bytes() == before
    file.chmod(0o644)
    assert "chmod 600" in run_tool("vapid", "show", file).stderr
    plain = run_tool("vapid", "new")
    assert plain.stdout.startswith("-----BEGIN PRIVATE KEY-----") and "public key: B" in plain.stderr
    # the 32 bytes that other tools print
    scalar = tmp_path / "scalar"
    scalar.write_text("q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94\n")
    scalar.chmod(0o600)
    assert run_tool("vapid", "show", scalar).stdout.startswith("BCVxsr7N_eNgVRqv")
    scalar.write_text("no key")
    done = run_tool("vapid", "show", scalar)
    assert done.returncode == 1 and "no P-256 private key" in done.stderr
    os.unlink(scalar)
    assert "No such file" in run_tool("vapid", "show", scalar).stderr


@pytest.mark.parametrize(
    "status, headers, outcome, words",
    [
        (400, {}, "refused", "malformed"),
        (401, {"WWW_Authenticate": "vapid"}, "unauthorized", "--vapid"),
        (403, {}, "unauthorized", "signature"),
        (404, {}, "gone", "stop sending"),
        (410, {}, "gone", "stop sending"),
        (413, {}, "too-large", "larger"),
        (415, {}, "refused", "encrypted"),
        (418, {}, "refused", "did not take"),
        (429, {"Retry_After": 7}, "busy", "after 7 s"),
        (503, {"Retry_After": 30}, "busy", "after 30 s"),
        (500, {}, "busy", "later"),
        (301, {"Location": "/"}, "refused", "did not take"),
    ],
)
def test_what_an_answer_means(status, headers, outcome, words):
    body = json.dumps({"code": status, "errno": 42, "error": "E", "message": "says\x1b the relay"})
    with Server(answer(status, body, **headers)) as server:
        done = run_tool("send", server.url, "--message", "x")
    assert done.returncode == 1 and done.stdout == ""
    assert words in done.stderr and "says  the relay" in done.stderr and done.stderr.startswith(str(status))
    with Server(answer(status, body, **headers)) as server:
        done = run_tool("send", server.url, "--message", "x", "--json")
    result = json.loads(done.stdout)
    assert done.returncode == 1 and result["outcome"] == outcome and result["ok"] is False
    assert result["errno"] == 42 and result["retry_after"] == headers.get("Retry_After")


@pytest.mark.parametrize("bytes_sent", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 201 Created\r\nTTL: 1", b"HTTP/1.1 9\r\n\r\n"])
def test_a_peer_that_is_no_relay(bytes_sent):
    with Server(bytes_sent) as server:
        done = run_tool("send", server.url, "--message", "x")
    assert done.returncode == 1 and "did not answer" in done.stderr


def test_an_interim_answer_is_passed_over():
    with Server(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + KEPT) as server:
        assert run_tool("send", server.url, "--message", "x").returncode == 0


def test_nobody_there():
    done = run_tool("send", "http://127.0.0.1:9/p/abc", "--message", "x", "--json")
    assert done.returncode == 1 and json.loads(done.stdout)["outcome"] == "unreachable"
    assert "Connection refused" in done.stderr
    assert run_tool("send", "http://nowhere.invalid/", "--message", "x").returncode == 1


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["-"],
        ["http://x/", "http://y/"],
        ["http://x/", "--ttl", "-1"],
        ["http://x/", "--ttl", "abc"],
        ["http://x/", "--urgency", "urgent"],
        ["http://x/", "--topic", "a b"],
        ["http://x/", "--topic", "a" * 33],
        ["http://x/", "--auth", "x"],
        ["http://x/", "--message", "x", "--file", "y"],
        ["http://x/", "--unknown"],
    ],
)
def test_wrong_usage(arguments):
    done = run_tool("send", *arguments)
    assert done.returncode == 2 and done.stdout == "" and done.stderr != ""


def test_bad_input_is_named(tmp_path):
    assert "no http or https URL" in run_tool("send", "ws://x/", "--message", "x").stderr
    assert "p256dh" in run_tool("send", "http://x/", "--message", "x", "--p256dh", "AA", "--auth", "AA").stderr
    assert "No such file" in run_tool("send", "http://x/", "--file", tmp_path / "none").stderr
    assert "endpoint" in run_tool("send", "-", "--message", "x", text="{}\n").stderr
    assert "no push URL" in run_tool("send", "-", "--message", "x").stderr


def test_commands_are_found():
    assert run_tool().returncode == 2 and run_tool("nonsense").returncode == 2
    assert "listen" in run_tool("--help").stdout
    assert run_tool("--version").stdout.startswith("bellwire ")
    for command in ("listen", "send", "vapid"):
        done = run_tool(command, "--help")
        assert done.returncode == 0 and done.stdout.startswith("usage: ")
