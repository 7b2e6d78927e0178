# SPDX-License-Identifier: Apache-2.0
"""The JMAP server of these tests, asked by a plain client: what the scenarios rely on."""

import base64
import http.client
import http.server
import json
import re
import ssl
import threading
import urllib.parse

import pytest
from cryptography.hazmat.primitives import serialization
from harness.process import wait_until
from harness.sender import Subscriber, b64, unb64

USING = ["urn:ietf:params:jmap:core", "urn:ietf:params:jmap:mail"]


class Client:
    def __init__(self, server):
        self.server = server
        self.context = ssl.create_default_context(cafile=str(server.ca_file))
        self.auth = {"Authorization": "Basic " + base64.b64encode(b"ann@localhost:secret").decode()}

    def ask(self, method, path, body=None, auth=None):
        connection = http.client.HTTPSConnection("localhost", self.server.port, timeout=10, context=self.context)
        connection.request(method, path, body, self.auth if auth is None else auth)
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        return answer, data

    def call(self, *calls):
        body = {"using": USING, "methodCalls": [[name, arguments, str(i)] for i, (name, arguments) in enumerate(calls)]}
        answer, data = self.ask("POST", "/jmap/api", json.dumps(body))
        assert answer.status == 200, data
        return [response[:2] for response in json.loads(data)["methodResponses"]]


@pytest.fixture
def ann(jmap):
    return jmap.login()


@pytest.fixture
def client(jmap, ann):
    return Client(jmap)


@pytest.fixture
def inbox():
    """A push service that keeps what it gets: (headers, body)."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            got.append((self.headers, self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(201)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *arguments):
            pass

    got = []
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    got_url = f"http://127.0.0.1:{server.server_address[1]}/p/x"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield got_url, got
    server.shutdown()
    server.server_close()


def subscribe(client, url, reader, **more):
    keys = {"p256dh": b64(reader.public), "auth": b64(reader.auth)}
    wish = {"deviceClientId": "d", "url": url, "keys": keys, "types": ["EmailDelivery", "Mailbox"], **more}
    ((_, answer),) = client.call(("PushSubscription/set", {"create": {"n": wish}}))
    return answer


def verify(client, reader, got):
    wait_until(lambda: got, 10, "the verification")
    thing = json.loads(reader.decrypt(got.pop(0)[1]))
    assert thing["@type"] == "PushVerification"
    update = {thing["pushSubscriptionId"]: {"verificationCode": thing["verificationCode"]}}
    ((_, answer),) = client.call(("PushSubscription/set", {"update": update}))
    assert answer["updated"] == {thing["pushSubscriptionId"]: None}, answer
    return thing["pushSubscriptionId"]


def test_session_is_found_by_redirects(client):
    answer, _ = client.ask("GET", "/.well-known/jmap", auth={})
    assert answer.status == 307 and answer.getheader("Location") == "/jmap/session"
    assert client.ask("GET", "/jmap/session", auth={})[0].status == 401
    session = json.loads(client.ask("GET", "/jmap/session")[1])
    key = session["capabilities"]["urn:ietf:params:jmap:webpush-vapid"]["applicationServerKey"]
    assert len(unb64(key)) == 65 and session["primaryAccounts"][USING[1]] == "a1"


def test_changes_are_paged_and_forgotten(client, jmap, ann):
    ((_, start),) = client.call(("Email/get", {"accountId": "a1", "ids": []}))
    ids = [jmap.deliver(ann, f"mail {i}") for i in range(5)]
    since, found = start["state"], []
    while True:
        ((name, page),) = client.call(("Email/changes", {"accountId": "a1", "sinceState": since, "maxChanges": 2}))
        assert name == "Email/changes" and len(page["created"]) <= 2
        found += page["created"]
        since = page["newState"]
        if not page["hasMoreChanges"]:
            break
    assert found == ids and since == ann.own.state("Email")
    ann.own.forget_history()
    ((name, error),) = client.call(("Email/changes", {"accountId": "a1", "sinceState": since}))
    assert (name, error["type"]) == ("error", "cannotCalculateChanges")


def test_result_references(client, jmap, ann):
    jmap.deliver(ann, "one")
    answers = client.call(
        ("Email/query", {"accountId": "a1", "filter": {"notKeyword": "$seen"}, "limit": 1}),
        ("Email/get", {"accountId": "a1", "#ids": {"resultOf": "0", "name": "Email/query", "path": "/ids"}, "properties": ["subject"]}),
    )
    assert answers[1][1]["list"][0]["subject"] == "one" and set(answers[1][1]["list"][0]) == {"id", "subject"}


def test_push_is_verified_encrypted_and_signed(client, jmap, ann, inbox):
    url, got = inbox
    reader = Subscriber()
    answer = subscribe(client, url, reader, expires="2099-01-01T00:00:00Z")
    assert answer["created"]["n"]["expires"] < "2099"
    jmap.deliver(ann)
    verify(client, reader, got)
    assert got == []  # nothing before the code had come back
    jmap.deliver(ann, "new")
    wait_until(lambda: got, 10, "the state change")
    headers, body = got[0]
    thing = json.loads(reader.decrypt(body))
    assert thing["changed"] == {"a1": ann.own.states(("EmailDelivery", "Mailbox"))}
    assert headers["Content-Encoding"] == "aes128gcm" and headers["TTL"] == "86400"
    assert headers["Authorization"].startswith("vapid t=")


def test_push_subscription_rules(client, jmap, ann, inbox):
    url, got = inbox
    reader = Subscriber()
    for _ in range(15):
        assert subscribe(client, url, reader)["created"]
    assert subscribe(client, url, reader)["notCreated"]["n"]["type"] == "overQuota"
    calls = [("PushSubscription/get", {"properties": ["url"]}), ("PushSubscription/get", {"accountId": "a1"})]
    assert [a[1]["type"] for a in client.call(*calls)] == ["forbidden", "invalidArguments"]
    ((_, answer),) = client.call(("PushSubscription/get", {}))
    one = answer["list"][0]["id"]
    ((_, answer),) = client.call(("PushSubscription/set", {"update": {one: {"verificationCode": "x"}}}))
    assert answer["notUpdated"][one]["type"] == "invalidProperties"
    ((_, answer),) = client.call(("PushSubscription/set", {"destroy": [one]}))
    assert answer["destroyed"] == [one]
    jmap.allow_http = False
    assert subscribe(client, url, reader)["notCreated"]["n"]["properties"] == ["url"]


def test_james_wants_keys_its_own_way(start_jmap, inbox):
    url, got = inbox
    jmap = start_jmap(style="james")
    jmap.login()
    client, reader = Client(jmap), Subscriber()
    refused = subscribe(client, url, reader)["notCreated"]["n"]
    assert refused["type"] == "invalidArguments"
    public = reader.private.public_key()
    der = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    keys = {"p256dh": base64.urlsafe_b64encode(der).decode(), "auth": b64(reader.auth)}
    answer = subscribe(client, url, reader, keys=keys)
    assert answer["created"], answer
    assert re.search(r"\.\d{9}Z$", answer["created"]["n"]["expires"])
    assert subscribe(client, url, reader, keys=keys)["notCreated"]["n"]["type"] == "invalidArguments"
    headers, body = got[0]
    assert "Content-Encoding" not in headers and json.loads(reader.decrypt(body))["@type"] == "PushVerification"


def test_events_are_streamed(client, jmap, ann):
    path = urllib.parse.urlsplit(f"{jmap.origin}/events/?types=EmailDelivery&closeafter=no&ping=1")
    connection = http.client.HTTPSConnection("localhost", jmap.port, timeout=10, context=client.context)
    connection.request("GET", f"{path.path}?{path.query}", headers=client.auth)
    answer = connection.getresponse()
    assert answer.getheader("Content-Type") == "text/event-stream"
    assert answer.fp.readline() == b"event: ping\n"
    wait_until(lambda: jmap.streams, 5, "the stream")
    jmap.deliver(ann)
    lines = iter(answer.fp.readline, b"")
    assert any(line == b"event: state\n" for line in lines)
    connection.close()


def test_faults_answer_once(client, jmap):
    jmap.faults.add("api", status=429, retry_after="7")
    jmap.faults.add("Core/echo", error="serverFail")
    answer, _ = client.ask("POST", "/jmap/api", json.dumps({"using": USING, "methodCalls": [["Core/echo", {}, "0"]]}))
    assert answer.status == 429 and answer.getheader("Retry-After") == "7"
    assert client.call(("Core/echo", {}))[0][1]["type"] == "serverFail"
    assert client.call(("Core/echo", {"x": 1}))[0] == ["Core/echo", {"x": 1}]


def test_answers_are_twisted(client, jmap):
    jmap.twists["Core/echo"] = lambda arguments, answer: [arguments, 7]
    assert client.call(("Core/echo", {"x": 1}))[0] == ["Core/echo", [{"x": 1}, 7]]


def test_posts_go_on_with_the_key_of_their_subscription(client, jmap, ann, inbox):
    url, got = inbox
    reader = Subscriber()
    old = jmap.pusher.vapid.key
    assert subscribe(client, url, reader)["created"]
    verify(client, reader, got)
    jmap.rotate_vapid(is_forgetful=False)
    jmap.deliver(ann)
    wait_until(lambda: got, 10, "the state change")
    assert got[0][0]["Authorization"].endswith(f"k={old}") and jmap.pusher.vapid.key != old
