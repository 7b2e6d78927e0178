# SPDX-License-Identifier: Apache-2.0
"""HTTP of the JMAP server: who asks, which door, JSON in and out, the event stream, faults."""

import base64
import binascii
import contextlib
import json
import socket
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import methods

MAX_REQUEST = 10_000_000
PROBLEM = "urn:ietf:params:jmap:error:"


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64
    jmap = None  # JmapServer
    context = None  # of TLS

    def finish_request(self, request, client_address):
        if self.context:  # here, in the connection's own thread
            request.settimeout(10)
            try:
                request = self.context.wrap_socket(request, server_side=True)
            except OSError as error:
                self.jmap.tls_failures.append(str(error))
                return
            request.settimeout(None)
        try:
            self.RequestHandlerClass(request, client_address, self)
        finally:
            request.close()

    def handle_error(self, request, client_address):
        pass  # peers that hang up


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server_version = "jmap-test"

    @property
    def jmap(self):
        return self.server.jmap

    def date_time_string(self, timestamp=None):
        return super().date_time_string(self.jmap.pusher.clock() if timestamp is None else timestamp)

    def setup(self):
        super().setup()
        self.jmap.sockets.add(self.request)

    def finish(self):
        self.jmap.sockets.discard(self.request)
        super().finish()

    def log_message(self, *arguments):
        if self.jmap.is_verbose:
            super().log_message(*arguments)

    def do_GET(self):
        self.route()

    def do_POST(self):
        self.route()

    def route(self):
        self.jmap.under_way.add(self)
        try:
            self.answer_door()
        finally:
            self.jmap.under_way.discard(self)

    def answer_door(self):
        self.began = time.monotonic()
        self.calls = ()
        self.has_faulted = False
        path = urllib.parse.urlsplit(self.path).path
        if path == "/.well-known/jmap":
            self.well_known()
        elif path == self.jmap.session_path:
            self.guarded("session", self.session)
        elif path == self.jmap.api_path:
            self.guarded("api", self.api)
        elif path.startswith("/events") and self.jmap.has_events:
            self.guarded("events", self.events)
        elif self.jmap.redirects and path == f"/hop/{self.jmap.hop}":
            self.well_known()
        else:
            self.drain()
            self.answer(404, {"type": "about:blank", "status": 404, "detail": "nothing here"})

    def drain(self):
        length = int(self.headers.get("Content-Length") or 0)
        return self.rfile.read(min(length, MAX_REQUEST))

    # ---- answers ----

    def answer(self, status, body=b"", headers=(), cut=False):
        if not isinstance(body, bytes):
            body = json.dumps(body, separators=(",", ":")).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json" if status < 400 else "application/problem+json")
        is_chunked = self.jmap.is_chunked and not cut
        if is_chunked:
            self.send_header("Transfer-Encoding", "chunked")
            body = b"".join(b"%x\r\n%s\r\n" % (len(body[i : i + 700]), body[i : i + 700]) for i in range(0, len(body), 700))
            body += b"0\r\n\r\n"
        else:
            self.send_header("Content-Length", str(len(body) * 2 if cut else len(body)))
        if self.jmap.closes_connections:
            self.send_header("Connection", "close")
        self.send_header("Cache-Control", "no-cache, no-store, must-revalidate")
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.jmap.note(self, status)
        self.wfile.write(body)
        self.wfile.flush()
        if cut:
            self.close_connection = True
            self.connection.settimeout(5)
            with contextlib.suppress(OSError):  # TLS ends well, or OpenSSL's words for it would come before curl's
                self.connection.unwrap()

    def fault(self, where, methods=()):
        """Whether a fault has answered."""
        fault = self.jmap.faults.take(where, methods)
        if fault is None:
            return False
        if fault.delay:
            time.sleep(fault.delay)
        headers = [("Retry-After", fault.retry_after)] if fault.retry_after else []
        if fault.huge:
            body = b'{"sessionState":"x","methodResponses":[["Core/echo",{"x":"' + b"A" * fault.huge
            self.answer(fault.status or 200, body, headers)
        elif fault.status or fault.body or fault.cut:
            body = fault.body or {"type": "about:blank", "status": fault.status, "detail": "on request"}
            self.answer(fault.status or 200, body, headers, cut=fault.cut)
        else:
            return False
        return True

    def guarded(self, where, action):
        body = self.drain()
        login = self.login()
        if where != "api" and self.fault(where):
            return
        if login is None:
            realm = [("WWW-Authenticate", 'Basic realm="mail"'), ("WWW-Authenticate", "Bearer")]
            self.answer(401, {"type": "about:blank", "status": 401, "detail": "who are you?"}, realm)
        elif login.is_locked:
            self.answer(403, {"type": "about:blank", "status": 403, "detail": "this account is locked"})
        elif self.jmap.pusher.style.version not in self.headers.get("Accept", ""):
            self.answer(404)
        else:
            action(login, body)

    def login(self):
        scheme, _, value = self.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return next((l for l in self.jmap.logins.values() if l.bearer and l.bearer == value.strip()), None)
        try:
            user, _, password = base64.b64decode(value).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return None
        login = self.jmap.logins.get(user)
        return login if scheme.lower() == "basic" and login and login.password == password else None

    # ---- doors ----

    def well_known(self):
        """Redirects, as many as wished, with the session behind them; no credentials are asked for."""
        hop = self.jmap.hop = self.jmap.hop + 1 if self.path.startswith("/hop/") else 1
        if hop <= self.jmap.redirects - 1:
            target = f"/hop/{hop}"
        else:
            target = self.jmap.redirect_to or self.jmap.session_path
        time.sleep(self.jmap.redirect_delay)
        self.answer(self.jmap.redirect_status, b"", [("Location", target)])

    def session(self, login, body):
        self.answer(200, self.jmap.session_object(login))

    def api(self, login, body):
        try:
            request = json.loads(body)
            calls = request["methodCalls"]
            self.calls = tuple(call[0] for call in calls)
            self.request_object = request
            unknown = set(request["using"]) - set(self.jmap.capabilities())
        except (ValueError, KeyError, TypeError, IndexError):
            self.answer(400, {"type": f"{PROBLEM}notRequest", "status": 400, "detail": "no request"})
            return
        if self.fault("api", self.calls):
            return
        if unknown:
            self.answer(400, {"type": f"{PROBLEM}unknownCapability", "status": 400, "detail": str(unknown)})
            return
        if len(calls) > self.jmap.max_calls:
            self.answer(400, {"type": f"{PROBLEM}limit", "limit": "maxCallsInRequest", "status": 400})
            return
        answers = methods.run(self.jmap, login, calls)
        self.answer(200, {"methodResponses": answers, "sessionState": self.jmap.session_state})

    def events(self, login, body):
        """Server-sent events: states, and pings at the interval asked for."""
        query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(self.path).query))
        kinds = None if query.get("types", "*") == "*" else query["types"].split(",")
        ping = int(query.get("ping", "0"))
        if ping:
            ping = min(max(ping, self.jmap.min_ping), self.jmap.max_ping)
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        self.jmap.note(self, 200)
        stream = self.jmap.open_stream(login, kinds, self.headers.get("Last-Event-ID"))  # whoever reads it is told all
        try:
            self.wfile.flush()
            self.jmap.under_way.discard(self)
            self.write_events(stream, ping, query.get("closeafter") == "state")
        except OSError:
            pass
        finally:
            self.jmap.close_stream(stream)

    def write_events(self, stream, ping, close_after):
        next_ping = time.monotonic() + ping
        while not self.jmap.is_ended:
            wait = min(0.5, next_ping - time.monotonic()) if ping else 0.5
            event = stream.next(max(0.01, wait))
            if event is stream.END:
                return
            if stream.is_deaf:
                continue
            if event:
                number, thing = event
                self.wfile.write(f"event: state\nid: {number}\ndata: {json.dumps(thing)}\n\n".encode())
                self.wfile.flush()
                if close_after:
                    return
            elif ping and time.monotonic() >= next_ping:
                next_ping += ping
                self.wfile.write(f'event: ping\ndata: {{"interval":{ping}}}\n\n'.encode())
                self.wfile.flush()
            elif self.connection_is_gone():
                return

    def connection_is_gone(self):
        """Nothing is written for long, so ask the socket."""
        raw = self.connection
        raw.settimeout(0.001)
        try:
            return raw.recv(1) == b""
        except (TimeoutError, socket.timeout, BlockingIOError):
            return False
        except OSError as error:
            return "timed out" not in str(error) and "not complete" not in str(error)
        finally:
            raw.settimeout(None)
