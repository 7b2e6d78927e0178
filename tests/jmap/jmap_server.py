#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A JMAP mail server for tests and for the hand: real HTTP and TLS, real states, real encrypted push, faults on request.

From Python: server = JmapServer(directory); ann = server.login("ann@localhost", "secret"); server.deliver(ann, ...).
By hand: jmap_server.py --help; POST /deliver {"user":"ann@localhost","subject":"Hi"} to its control port makes mail.
"""

import argparse
import base64
import json
import pathlib
import queue
import socket
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration"))

import front  # noqa: E402
from authority import Authority  # noqa: E402
from faults import Faults  # noqa: E402
from harness.process import wait_until  # noqa: E402
from harness.sender import Vapid  # noqa: E402
from mailstore import Account  # noqa: E402
from pusher import STYLES, Pusher  # noqa: E402

DELIVERY = ("Email", "EmailDelivery", "Mailbox", "Thread")


class Login:
    def __init__(self, user, password, bearer):
        self.user, self.password, self.bearer = user, password, bearer
        self.is_locked = False
        self.accounts = {}

    @property
    def own(self):
        return next(a for a in self.accounts.values() if a.is_personal)


class Stream:
    """An open event stream."""

    END = object()

    def __init__(self, login, kinds):
        self.login, self.kinds = login, kinds
        self.queue = queue.Queue()
        self.is_deaf = False  # nothing is sent any more, not even pings

    def next(self, timeout):
        try:
            return self.queue.get(timeout=timeout)
        except queue.Empty:
            return None


class Request:
    """One that was answered: at, method, path, calls (its methods), status, headers, body (the parsed object)."""

    def __init__(self, handler, status):
        self.at, self.method, self.path = handler.began, handler.command, handler.path
        self.peer = handler.client_address  # the same on one connection
        self.calls, self.status, self.headers = handler.calls, status, dict(handler.headers)
        self.body = getattr(handler, "request_object", None)
        self.took = time.monotonic() - handler.began

    def arguments(self, method):
        """Of the first call of a method in it."""
        return next(call[1] for call in self.body["methodCalls"] if call[0] == method)


class JmapServer:
    """Attributes are its settings; most can be changed while it runs."""

    def __init__(self, directory=None, style="rfc", port=0, is_tls=True, certificate="good", push_ca=None, allow_http=True, host="localhost", address="127.0.0.1"):
        self.directory = pathlib.Path(directory or tempfile.mkdtemp(prefix="jmap-"))
        self.directory.mkdir(exist_ok=True)
        self.lock = threading.RLock()
        self.faults = Faults()
        self.twists = {}  # method: (arguments, answer) -> what a hostile or broken server says instead
        self.logins, self.requests, self.streams = {}, [], []
        self.tls_failures, self.sockets = [], set()
        self.under_way = set()  # handlers whose request is not answered; open streams are not among them
        self.is_verbose = self.is_ended = False
        self.session_path, self.api_path, self.hop = "/jmap/session", "/jmap/api", 0
        self.is_chunked = self.closes_connections = False
        self.redirects, self.redirect_to, self.redirect_status = 1, None, 307
        self.redirect_delay = 0
        self.allow_http = allow_http  # push URLs, which RFC 8620 wants to be https
        self.has_push, self.has_events = True, True
        self.verify_first = False  # the PushVerification is posted before PushSubscription/set is answered
        self.max_subscriptions, self.limit_error = 15, "forbidden" if style.startswith("stalwart") else "overQuota"
        self.max_objects, self.max_calls = 500, 16
        self.min_ping, self.max_ping = 1, 3600
        self.more_capabilities = ()
        self.session_number = 1
        self.is_settled = True  # or each answer tells another state of the session
        self.event_number = 0
        self.authority = Authority(self.directory)
        self.pusher = Pusher(style, str(push_ca) if push_ca else None)
        self.http = front.Server((address, port), front.Handler)
        self.http.jmap = self
        self.http.context = self.authority.server_context(certificate, host) if is_tls else None
        self.port = self.http.server_address[1]
        self.origin = f"{'https' if is_tls else 'http'}://{host}{'' if self.port == 443 else f':{self.port}'}"
        self.control = None
        threading.Thread(target=self.http.serve_forever, args=(0.05,), daemon=True).start()

    def finish(self):
        self.is_ended = True
        self.close_streams()
        for server in (self.http, self.control):
            if server:
                server.shutdown()
                server.server_close()
        self.close_connections()
        self.pusher.finish()

    def stop_listening(self):
        """As if the machine were gone: refused connections."""
        self.http.shutdown()
        self.http.server_close()
        self.close_connections()

    def listen_again(self):
        old = self.http
        self.http = front.Server(self.http.server_address, front.Handler)
        self.http.jmap, self.http.context = self, old.context
        threading.Thread(target=self.http.serve_forever, args=(0.05,), daemon=True).start()

    def close_connections(self):
        for each in list(self.sockets):
            try:
                each.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    # ---- who ----

    @property
    def ca_file(self):
        return self.authority.file

    @property
    def well_known(self):
        return f"{self.origin}/.well-known/jmap"

    @property
    def session_url(self):
        return f"{self.origin}{self.session_path}"

    def login(self, user="ann@localhost", password="secret", bearer=None):
        login = self.logins[user] = Login(user, password, bearer)
        account = Account(f"a{len(self.logins)}", user)
        account.now = lambda: self.pusher.clock()
        login.accounts[account.id] = account
        return login

    def share(self, login, account_id, name, is_read_only=False):
        """Another account that a login sees."""
        account = Account(account_id, name, is_personal=False, is_read_only=is_read_only)
        account.now = lambda: self.pusher.clock()
        login.accounts[account_id] = account
        self.change_session()
        return account

    # ---- the session ----

    @property
    def session_state(self):
        self.session_number += not self.is_settled
        return f"session{self.session_number}"

    def change_session(self):
        self.session_number += 1

    def move_api(self, path):
        """The old one answers 404 from now on."""
        self.api_path = path
        self.change_session()

    def rotate_vapid(self, is_forgetful=True, is_quiet=False):
        """RFC 9749: another key, another session state (not is_quiet). Subscriptions bound to the old key end now, or go on with it."""
        with self.lock:
            self.pusher.vapid = Vapid()
            if not is_quiet:
                self.change_session()
            if is_forgetful:
                self.pusher.subscriptions.clear()

    def capabilities(self):
        core = {
            "maxSizeUpload": 50_000_000, "maxConcurrentUpload": 4, "maxSizeRequest": 10_000_000,
            "maxConcurrentRequests": 4, "maxCallsInRequest": self.max_calls, "maxObjectsInGet": self.max_objects,
            "maxObjectsInSet": 500, "collationAlgorithms": [],
        }  # fmt: skip
        result = {"urn:ietf:params:jmap:core": core, "urn:ietf:params:jmap:mail": {}}
        if self.pusher.vapid and self.has_push:
            result["urn:ietf:params:jmap:webpush-vapid"] = {"applicationServerKey": self.pusher.vapid.key}
        return {**result, **{name: {} for name in self.more_capabilities}}

    def session_object(self, login):
        accounts = {
            a.id: {
                "name": a.name, "isPersonal": a.is_personal, "isReadOnly": a.is_read_only,
                "accountCapabilities": {name: {} for name in self.capabilities() if name.split(":")[-1] != "core"},
            }
            for a in login.accounts.values()
        }  # fmt: skip
        return {
            "capabilities": self.capabilities(), "accounts": accounts, "username": login.user,
            "primaryAccounts": {"urn:ietf:params:jmap:mail": login.own.id}, "state": self.session_state,
            "apiUrl": f"{self.origin}{self.api_path}",
            "downloadUrl": f"{self.origin}/download/{{accountId}}/{{blobId}}/{{name}}?type={{type}}",
            "uploadUrl": f"{self.origin}/upload/{{accountId}}/",
            "eventSourceUrl": f"{self.origin}/events/?types={{types}}&closeafter={{closeafter}}&ping={{ping}}",
        }  # fmt: skip

    def method_fault(self, name):
        """The error type that a method shall answer with, or None."""
        fault = self.faults.take(name)
        if fault and fault.delay:
            time.sleep(fault.delay)
        if fault is None and not self.has_push and name.startswith("PushSubscription/"):
            return "unknownMethod"
        return fault.error or None if fault else None

    # ---- mail happens ----

    def logins_of(self, account):
        return [login for login in self.logins.values() if account.id in login.accounts]

    def announce(self, account, kinds):
        changed = {account.id: account.states(kinds)}
        with self.lock:
            users = [login.user for login in self.logins_of(account)]
            self.pusher.announce(users, changed)
            self.event_number += 1
            for stream in self.streams:
                if stream.login.user in users:
                    self.tell(stream, changed)

    def tell(self, stream, changed):
        wanted = {
            a: {k: s for k, s in states.items() if stream.kinds is None or k in stream.kinds}
            for a, states in changed.items()
        }
        wanted = {a: states for a, states in wanted.items() if states}
        if wanted:
            stream.queue.put((self.event_number, {"@type": "StateChange", "changed": wanted}))

    def deliver(self, login, subject="Hello", account=None, is_quiet=False, **more):
        """New mail; its id. is_quiet: nobody is told."""
        account = account or login.own
        with self.lock:
            identifier = account.deliver(subject, **more)
        if not is_quiet:
            self.announce(account, DELIVERY)
        return identifier

    def change(self, login, identifier, account=None, **more):
        """change(login, id, keywords={"$seen": True}, mailbox="archive")"""
        account = account or login.own
        with self.lock:
            account.change(identifier, **more)
        self.announce(account, ("Email", "Mailbox"))

    def destroy(self, login, identifier, account=None):
        account = account or login.own
        with self.lock:
            account.destroy(identifier)
        self.announce(account, ("Email", "Mailbox", "Thread"))

    def touch(self, login, kind):
        with self.lock:
            login.own.touch(kind)
        self.announce(login.own, (kind,))

    # ---- push ----

    def verified_in_time(self, subscription):
        """Posts the verification now, as servers do that answer the creation only after it."""
        if self.pusher.verification != "normal":
            return not self.pusher.style.must_verify
        thing = {
            "@type": "PushVerification", "pushSubscriptionId": subscription.id, "verificationCode": subscription.code,
        }  # fmt: skip
        subscription.verification_sent = time.monotonic()
        push = self.pusher.post(subscription.id, thing)
        return push.status in self.pusher.style.accepts

    def forget_subscriptions(self, user=None):
        """Without a word, as after a restore from a backup."""
        with self.lock:
            for each in list(self.pusher.subscriptions.values()):
                if user in (None, each.login):
                    del self.pusher.subscriptions[each.id]

    def verified(self, user=None):
        return [s for s in list(self.pusher.subscriptions.values()) if s.is_verified and user in (None, s.login)]

    def wait_verified(self, count=1, timeout=20, user=None):
        """The verified subscriptions, when there are exactly so many."""
        return wait_until(lambda: (lambda found: found if len(found) == count else None)(self.verified(user)), timeout, f"{count} verified subscriptions")

    def pushes(self, kind="StateChange"):
        return [push for push in list(self.pusher.done) if push.kind == kind]

    def wait_pushes(self, count, kind="StateChange", timeout=20):
        wait_until(lambda: len(self.pushes(kind)) >= count, timeout, f"{count} pushes of {kind}")
        return self.pushes(kind)

    # ---- event streams ----

    def open_stream(self, login, kinds, last_id):
        stream = Stream(login, kinds)
        with self.lock:
            self.streams.append(stream)
            if last_id is not None and last_id != str(self.event_number):
                for account in login.accounts.values():
                    self.tell(stream, {account.id: account.states(DELIVERY)})
        return stream

    def close_stream(self, stream):
        with self.lock:
            if stream in self.streams:
                self.streams.remove(stream)

    def close_streams(self):
        for stream in list(self.streams):
            stream.queue.put(Stream.END)

    # ---- what was asked ----

    def note(self, handler, status):
        self.requests.append(Request(handler, status))

    def asked(self, method=None, since=0.0):
        """Requests that called this method; all of the API without one."""
        found = [r for r in list(self.requests) if r.at >= since and r.calls]
        return [r for r in found if method is None or method in r.calls]

    def wait_asked(self, method, count=1, since=0.0, timeout=20):
        wait_until(lambda: len(self.asked(method, since)) >= count, timeout, f"{count} requests with {method}")
        return self.asked(method, since)

    # ---- by hand ----

    def open_control(self, port):
        self.control = ThreadingHTTPServer(("127.0.0.1", port), Control)
        self.control.jmap = self
        threading.Thread(target=self.control.serve_forever, daemon=True).start()
        return self.control.server_address[1]


class Control(BaseHTTPRequestHandler):
    """POST /<command> with a JSON object of its arguments; GET / shows subscriptions and pushes."""

    def do_GET(self):
        jmap = self.server.jmap
        subscriptions = [
            {"id": s.id, "user": s.login, "url": s.url, "verified": s.is_verified, "types": s.types}
            for s in jmap.pusher.subscriptions.values()
        ]
        pushes = [{"status": p.status, "ms": round(p.took * 1000, 1), "object": p.object} for p in jmap.pusher.done[-20:]]
        self.answer(200, {"subscriptions": subscriptions, "pushes": pushes, "requests": len(jmap.requests)})

    def do_POST(self):
        wish = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
        try:
            result = self.run(self.path.strip("/"), wish)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            self.answer(400, {"error": repr(error)})
        else:
            self.answer(200, {"result": result})

    def run(self, command, wish):
        jmap = self.server.jmap
        user = wish.pop("user", None)
        login = jmap.logins[user] if user else next(iter(jmap.logins.values()))
        if command == "deliver":
            return jmap.deliver(login, **wish)
        if command in ("change", "destroy", "touch"):
            return getattr(jmap, command)(login, **wish)
        if command == "lock":
            login.is_locked = wish["locked"]
            return None
        if command == "fault":
            if "body" in wish:
                wish["body"] = base64.b64decode(wish["body"])
            return str(jmap.faults.add(**wish))
        if command == "set":  # {"name": value} of the server or, as "pusher.name", of the pusher
            for name, value in wish.items():
                owner = jmap.pusher if name.startswith("pusher.") else jmap
                name = name.removeprefix("pusher.")
                if not hasattr(owner, name):
                    raise KeyError(name)
                setattr(owner, name, value)
            return None
        commands = {
            "forget": jmap.forget_subscriptions, "rotate-vapid": jmap.rotate_vapid, "session": jmap.change_session,
            "hold": jmap.pusher.hold, "release": jmap.pusher.release, "verify": jmap.pusher.release_verifications,
            "expire": login.own.forget_history, "clear": jmap.faults.clear,
        }  # fmt: skip
        return commands[command](**wish)

    def answer(self, status, thing):
        body = json.dumps(thing, indent=1).encode() + b"\n"
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


EPILOG = """\
commands of the control port (POST /NAME, JSON object): deliver, change, destroy, touch, lock, fault, clear, set, forget,
rotate-vapid, session, hold, release, verify, expire. GET / shows what is subscribed and was pushed.
  curl -d '{"subject":"Hi"}' http://127.0.0.1:PORT/deliver
  curl -d '{"where":"api","status":429,"retry_after":"5","times":3}' http://127.0.0.1:PORT/fault
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0], epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0, help="of JMAP; 0 takes a free one")
    parser.add_argument("--control", type=int, default=0, metavar="PORT", help="of the control port; 0 takes a free one")
    parser.add_argument("--user", default="ann@localhost")
    parser.add_argument("--password", default="secret")
    parser.add_argument("--bearer", help="a token that is accepted, too")
    parser.add_argument("--style", choices=sorted(STYLES), default="rfc", help="whose posts these are like")
    parser.add_argument("--no-tls", action="store_true")
    parser.add_argument("--no-push", action="store_true", help="no PushSubscription: event streams alone")
    parser.add_argument("--certificate", choices=("good", "expired", "self-signed", "wrong-name"), default="good")
    parser.add_argument("--allow-http", action="store_true", help="push URLs without TLS")
    parser.add_argument("--push-ca", metavar="FILE", help="root certificates for push URLs")
    parser.add_argument("--directory", help="for its certificates")
    options = parser.parse_args()
    server = JmapServer(
        options.directory, options.style, options.port, not options.no_tls, options.certificate, options.push_ca,
        options.allow_http,
    )  # fmt: skip
    server.is_verbose = True
    server.has_push = not options.no_push
    server.login(options.user, options.password, options.bearer)
    port = server.open_control(options.control)
    print(
        json.dumps({"session": server.well_known, "control": f"http://127.0.0.1:{port}/", "ca": str(server.ca_file)}),
        flush=True,
    )
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        server.finish()


if __name__ == "__main__":
    main()
