# SPDX-License-Identifier: Apache-2.0
"""A real Stalwart (0.16 or later, its program built elsewhere) on SQLite, for tests/mail-interop.sh."""

import base64
import json
import smtplib
import urllib.request

from harness.process import Process, free_port, wait_until

ADMIN = "admin:Heron-Basalt-41"


class Stalwart:
    user, password = "ann@bellwire.org", "Tulip-Quarry-77-bronze"  # it wants a domain that exists, and a good password
    ca_file = None

    def __init__(self, directory, program, ca_file):
        """ca_file: who signed the relay's certificate."""
        self.directory, self.program = directory, program
        directory.mkdir()
        self.http, self.lmtp = free_port(), free_port()
        self.well_known = f"http://localhost:{self.http}/jmap/session"
        (directory / "config.json").write_text(json.dumps({"@type": "Sqlite", "path": f"{directory}/data.db"}))
        self.env = {
            "STALWART_HOSTNAME": "localhost", "STALWART_RECOVERY_ADMIN": ADMIN,
            "STALWART_PUBLIC_URL": f"http://localhost:{self.http}", "SSL_CERT_FILE": str(ca_file),
        }  # fmt: skip
        self.process = None
        self.start(STALWART_RECOVERY_MODE="1", STALWART_RECOVERY_MODE_PORT=str(self.http))
        self.set_up()
        self.process.terminate()
        self.start()

    def start(self, **more):
        self.process = Process(
            [self.program, "--config", self.directory / "config.json"], self.directory / "stalwart.log", {**self.env, **more}
        )
        wait_until(self.answers, 60, "Stalwart")

    def answers(self):
        assert self.process.is_running(), self.process.log()[-4000:]
        try:
            return self.call("Core/echo", {}, user=ADMIN) is not None
        except OSError:
            return False

    def call(self, method, arguments, user=None):
        """As the administrator, or as a user: "name:password"."""
        using = ["urn:ietf:params:jmap:core", "urn:ietf:params:jmap:mail", "urn:stalwart:jmap"]
        body = json.dumps({"using": using, "methodCalls": [[method, arguments, "0"]]}).encode()
        token = base64.b64encode((user or ADMIN).encode()).decode()
        headers = {"Content-Type": "application/json", "Authorization": f"Basic {token}"}
        with urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{self.http}/jmap/", body, headers)) as answer:
            return json.load(answer)["methodResponses"][0][1]

    def create(self, kind, thing):
        answer = self.call(f"x:{kind}/set", {"create": {"n": thing}})
        assert answer.get("created"), answer
        return answer["created"]["n"]["id"]

    def set_up(self):
        name, domain = self.user.split("@")
        secret = {"@type": "Password", "secret": self.password}
        domain_id = self.create("Domain", {"name": domain})
        self.create("Account", {"@type": "User", "name": name, "domainId": domain_id, "credentials": {"0": secret}})
        for protocol, port in (("http", self.http), ("lmtp", self.lmtp)):
            listener = {"name": protocol, "protocol": protocol, "bind": {f"127.0.0.1:{port}": True}}
            self.create("NetworkListener", {**listener, "tlsImplicit": False, "useTls": False})
        self.call("x:MtaStageAuth/set", {"update": {"singleton": {"require": {"else": "false"}}}})

    def deliver(self, subject):
        with smtplib.LMTP("127.0.0.1", self.lmtp) as lmtp:
            text = f"From: Bob <bob@elsewhere.example>\r\nTo: {self.user}\r\nSubject: {subject}\r\n\r\nHello.\r\n"
            lmtp.sendmail("bob@elsewhere.example", [self.user], text)

    def finish(self):
        self.process.terminate()
