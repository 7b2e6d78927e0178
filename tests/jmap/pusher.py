# SPDX-License-Identifier: Apache-2.0
"""Push subscriptions of a JMAP server, and the thread that posts to their URLs as Stalwart, James or the RFC would."""

import collections
import dataclasses
import http.client
import json
import random
import ssl
import threading
import time
import urllib.parse

from harness.sender import Vapid, b64
from webpush import encrypt, other_keys

WEEK = 7 * 24 * 3600


@dataclasses.dataclass
class Style:
    """How a server shapes its posts."""

    headers: dict
    has_vapid: bool = True
    encrypted_type: str = "application/octet-stream"
    plain_type: str = "application/json"
    is_base64_text: bool = False  # the ciphertext as base64url text
    multiple: int = 1  # of bytes, which plaintexts are padded to
    accepts: tuple = tuple(range(200, 300))
    must_verify: bool = False  # the creation waits for the verification's post, and fails with it
    has_topic: bool = False
    keys_are_spki: bool = False  # p256dh is a SubjectPublicKeyInfo, and nothing else will do
    says_encoding_of_verification: bool = True  # else only the bytes tell that it is encrypted
    expires_digits: int = 0  # of the fraction of a second
    version: str = ""  # what Accept must name; else there is no session


STYLES = {
    "rfc": Style({"TTL": "86400", "Urgency": "normal"}),
    "stalwart": Style({"ttl": "86400", "urgency": "normal", "accept": "*/*"}, multiple=128),
    "stalwart-old": Style(
        {"ttl": "86400", "accept": "*/*"}, has_vapid=False, encrypted_type="application/json",
        is_base64_text=True, multiple=128,
    ),
    "james": Style(
        {"TTL": "2147483647"}, has_vapid=False, encrypted_type="application/json charset=utf-8",
        plain_type="application/json charset=utf-8", accepts=(200, 201, 202), must_verify=True, has_topic=True,
        keys_are_spki=True, says_encoding_of_verification=False, expires_digits=9,
    ),
}  # fmt: skip

STYLES["james-3.8"] = dataclasses.replace(STYLES["james"], version="rfc-8621")


@dataclasses.dataclass
class Subscription:
    id: str
    login: str
    device: str
    url: str
    keys: dict
    types: list
    expires: float
    code: str
    vapid: Vapid | None = None  # the server's key when it was made: its posts are signed by that
    is_verified: bool = False
    verification_sent: float = 0.0


@dataclasses.dataclass
class Push:
    """One post, as it was done."""

    subscription: str
    object: dict
    began: float  # time.monotonic()
    took: float = 0.0
    status: int = 0  # 0: no answer
    headers: dict = dataclasses.field(default_factory=dict)
    body: bytes = b""

    @property
    def kind(self):
        return self.object.get("@type")


class Pusher:
    """Faults are attributes: see the fields."""

    def __init__(self, style="rfc", ca_file=None):
        self.style = STYLES[style]
        self.vapid = Vapid() if self.style.has_vapid else None
        self.context = ssl.create_default_context(cafile=ca_file)
        self.subscriptions = {}
        self.done = []  # Push
        self.verification = "normal"  # lost, held, twice, wrong: what becomes of PushVerifications
        self.held_verifications = []
        self.verify_gap = 0.0  # seconds between two for one login (Stalwart: 60)
        self.throttle = 0.0  # seconds between two posts to one subscription (Stalwart: 1)
        self.attempt_wait, self.max_attempts = 0.3, 3
        self.lifetime = WEEK  # what `expires` is cut to
        self.clock = time.time
        self.with_plain_bodies = False  # keys are ignored
        self.with_other_keys = False
        self.is_holding = False
        self.held = []
        self.jobs = collections.deque()  # (due, subscription id, object, attempt)
        self.changed = threading.Condition()
        self.connections = {}
        self.sending = threading.Lock()  # tests post, too
        self.is_ended = False
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    # ---- subscriptions ----

    def of(self, login):
        """Those of a login that have not expired."""
        now = self.clock()
        for identifier in [s.id for s in self.subscriptions.values() if s.expires <= now]:
            del self.subscriptions[identifier]
        return [s for s in self.subscriptions.values() if s.login == login]

    def verify(self, subscription):
        """Sends the code, unless one was sent too short a time ago."""
        newest = max((s.verification_sent for s in self.of(subscription.login)), default=0)
        if subscription.is_verified or time.monotonic() - newest < self.verify_gap:
            return
        subscription.verification_sent = time.monotonic()
        code = subscription.code if self.verification != "wrong" else "not" + subscription.code
        thing = {"@type": "PushVerification", "pushSubscriptionId": subscription.id, "verificationCode": code}
        if self.verification == "held":
            self.held_verifications.append((subscription.id, thing))
        elif self.verification != "lost":
            for _ in range(2 if self.verification == "twice" else 1):
                self.post_later(subscription.id, thing)

    def release_verifications(self):
        self.verification = "normal"
        while self.held_verifications:
            self.post_later(*self.held_verifications.pop(0))

    # ---- changes ----

    def announce(self, logins, changed):
        """A StateChange to each verified subscription of these logins that wants one of the types."""
        for login in logins:
            for subscription in self.of(login):
                if subscription.is_verified:
                    self.state_change(subscription, changed)

    def state_change(self, subscription, changed):
        wanted = {
            account: {kind: state for kind, state in states.items() if subscription.types is None or kind in subscription.types}
            for account, states in changed.items()
        }
        wanted = {account: states for account, states in wanted.items() if states}
        if wanted:
            self.post_later(subscription.id, {"@type": "StateChange", "changed": wanted})

    def hold(self):
        self.is_holding = True

    def release(self, copies=1, is_reversed=False, is_shuffled=False):
        """Lets out what was held, perhaps more than once and in another order."""
        self.is_holding = False
        held, self.held = self.held * copies, []
        if is_reversed:
            held.reverse()
        if is_shuffled:
            random.shuffle(held)
        for each in held:
            self.post_later(*each)

    # ---- the thread ----

    def post_later(self, identifier, thing):
        with self.changed:
            if self.is_holding and thing["@type"] == "StateChange":
                self.held.append((identifier, thing))
                return
            self.jobs.append((0.0, identifier, thing, 1))
            self.changed.notify()

    def run(self):
        last = {}
        while not self.is_ended:
            with self.changed:
                now = time.monotonic()
                due = next((job for job in self.jobs if job[0] <= now), None)
                if due is None:
                    nearest = min((job[0] for job in self.jobs), default=now + 1)
                    self.changed.wait(max(0.001, nearest - now))
                    continue
                self.jobs.remove(due)
            _, identifier, thing, attempt = due
            ready = last.get(identifier, 0) + self.throttle
            if thing["@type"] == "StateChange" and ready > now:
                self.again(ready, identifier, thing, attempt)
                continue
            last[identifier] = now
            push = self.post(identifier, thing)
            if push and push.status not in self.style.accepts and attempt < self.max_attempts:
                if thing["@type"] != "PushVerification":
                    self.again(time.monotonic() + self.attempt_wait, identifier, thing, attempt + 1)

    def again(self, due, identifier, thing, attempt):
        """Later, as one with what waits already: the newest state of each type."""
        with self.changed:
            for at, job in enumerate(self.jobs):
                if job[0] > 0 and job[1] == identifier and job[2]["@type"] == thing["@type"] == "StateChange":
                    merged = {a: dict(s) for a, s in job[2]["changed"].items()}
                    for account, states in thing["changed"].items():
                        merged.setdefault(account, {}).update(states)
                    self.jobs[at] = (job[0], identifier, {"@type": "StateChange", "changed": merged}, job[3])
                    return
            self.jobs.append((due, identifier, thing, attempt))

    def post(self, identifier, thing):
        """Posts now; the Push, or None when the subscription is gone."""
        subscription = self.subscriptions.get(identifier)
        if subscription is None:
            return None
        push = Push(identifier, thing, time.monotonic())
        push.headers, push.body = self.shape(subscription, thing)
        push.began = time.monotonic()
        try:
            push.status = self.send(subscription.url, push.headers, push.body)
        except (OSError, http.client.HTTPException):
            push.status = 0
        push.took = time.monotonic() - push.began
        self.done.append(push)
        return push

    def shape(self, subscription, thing):
        body = json.dumps(thing, separators=(",", ":")).encode()
        headers = dict(self.style.headers)
        headers["Content-Type"] = self.style.plain_type
        if self.style.has_topic:
            kinds = {kind for states in thing.get("changed", {}).values() for kind in states}
            headers["Urgency"] = "normal" if not kinds else "high" if "EmailDelivery" in kinds else "low"
            if kinds:
                headers["Topic"] = b64(("-".join(sorted(kinds)) + "0" * 16).encode()[:16]) + "=="
        if subscription.keys and not self.with_plain_bodies:
            body = encrypt(other_keys() if self.with_other_keys else subscription.keys, body, self.style.multiple)
            headers["Content-Type"] = self.style.encrypted_type
            if self.style.says_encoding_of_verification or thing["@type"] != "PushVerification":
                headers["Content-Encoding"] = "aes128gcm"
            if self.style.is_base64_text:
                text = b64(body)
                body = (text + "=" * (-len(text) % 4)).encode()
        if subscription.vapid:
            headers["Authorization"] = subscription.vapid.authorization(subscription.url)
        return headers, body

    def send(self, url, headers, body):
        with self.sending:
            return self.send_alone(url, headers, body)

    def send_alone(self, url, headers, body):
        parts = urllib.parse.urlsplit(url)
        key = (parts.scheme, parts.netloc)
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        for is_fresh in (key not in self.connections, True):
            if key not in self.connections:
                secure = {"context": self.context} if parts.scheme == "https" else {}
                kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
                self.connections[key] = kind(parts.hostname, parts.port, timeout=10, **secure)
            try:
                self.connections[key].request("POST", path, body, headers)
                answer = self.connections[key].getresponse()
                answer.read()
                return answer.status
            except (OSError, http.client.HTTPException):
                self.connections.pop(key).close()
                if is_fresh:  # not one that merely had been closed meanwhile
                    raise
        return 0

    def finish(self):
        self.is_ended = True
        with self.changed:
            self.changed.notify()
        self.thread.join(15)
        for connection in self.connections.values():
            connection.close()
