# SPDX-License-Identifier: Apache-2.0
"""A real Apache James with mail in memory, from Maven Central, for tests/mail-interop.sh."""

import json
import smtplib
import subprocess
import urllib.request

from harness.process import Process, free_port, wait_until

VERSION = "3.8.1"
KEYSTORE_PASSWORD = "changeit"

POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>org.example</groupId><artifactId>james</artifactId><version>1</version>
<dependencies><dependency>
<groupId>org.apache.james</groupId><artifactId>james-server-memory-app</artifactId><version>{VERSION}</version>
</dependency></dependencies></project>
"""

FILES = {
    "jmx.properties": "jmx.enabled=false\n",
    "webadmin.properties": "enabled=true\nhost=127.0.0.1\nport={admin}\n",
    "jmap.properties": (
        "enabled=true\ntls.keystoreURL=file://conf/keystore\ntls.secret={secret}\njmap.port={http}\n"
        "url.prefix=http://localhost:{http}\nwebpush.prevent.server.side.request.forgery=false\n"
        "authentication.strategy.rfc8621=BasicAuthenticationStrategy\n"
    ),
    "dnsservice.xml": "<dnsservice><autodiscover>false</autodiscover><servers><server>127.0.0.1</server></servers></dnsservice>",
    "domainlist.xml": "<domainlist><autodetect>false</autodetect><autodetectIP>false</autodetectIP></domainlist>",
    "usersrepository.xml": (
        "<usersrepository><algorithm>SHA-512</algorithm><enableVirtualHosting>true</enableVirtualHosting></usersrepository>"
    ),
    "mailrepositorystore.xml": "<mailrepositorystore><defaultProtocol>memory</defaultProtocol></mailrepositorystore>",
    "imapserver.xml": "<imapservers/>",
    "pop3server.xml": "<pop3servers/>",
    "managesieveserver.xml": "<managesieveservers/>",
    "listeners.xml": "<listeners/>",
    "smtpserver.xml": """<smtpservers><smtpserver enabled="true">
<bind>127.0.0.1:{smtp}</bind><authorizedAddresses>127.0.0.0/8</authorizedAddresses>
<handlerchain><handler class="org.apache.james.smtpserver.CoreCmdHandlerLoader"/></handlerchain>
</smtpserver></smtpservers>""",
    # the mailets of "transport" are what James insists on
    "mailetcontainer.xml": """<mailetcontainer><context><postmaster>postmaster@localhost</postmaster></context>
<spooler><threads>2</threads><errorRepository>memory://var/mail/error/</errorRepository></spooler><processors>
<processor state="root" enableJmx="false"><mailet match="All" class="ToProcessor"><processor>transport</processor></mailet></processor>
<processor state="transport" enableJmx="false">
<mailet match="All" class="RemoveMimeHeader"><name>bcc</name></mailet>
<mailet match="RecipientIsLocal" class="VacationMailet"/>
<mailet match="RecipientIsLocal" class="org.apache.james.jmap.mailet.filter.JMAPFiltering"/>
<mailet match="RecipientIsLocal" class="LocalDelivery"/>
<mailet match="All" class="Null"/>
</processor>
<processor state="error" enableJmx="false"><mailet match="All" class="Null"/></processor>
</processors></mailetcontainer>""",
    "logback.xml": """<configuration><appender name="out" class="ch.qos.logback.core.ConsoleAppender">
<encoder><pattern>%d %-5level %logger{{20}} %msg%n</pattern></encoder></appender>
<root level="INFO"><appender-ref ref="out"/></root></configuration>""",
}


def fetch_jars(directory):
    """Once; a few minutes, 200 MB."""
    libraries = directory / "lib"
    if not libraries.is_dir():
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "pom.xml").write_text(POM)
        print(f"fetching Apache James {VERSION} …", flush=True)
        words = ["mvn", "-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=lib.new"]
        subprocess.run(words, cwd=directory, check=True)
        (directory / "lib.new").rename(libraries)
    return libraries


class James:
    user, password = "ann@bellwire.example", "secret"
    ca_file = None

    def __init__(self, directory, libraries):
        self.directory = directory
        ports = {name: free_port() for name in ("admin", "http", "smtp")}
        self.smtp, self.admin = ports["smtp"], f"http://127.0.0.1:{ports['admin']}"
        self.well_known = f"http://localhost:{ports['http']}/jmap/session"
        self.write_settings(ports)
        self.process = Process(
            [
                "java", "-Xmx500m", f"-Dworking.directory={directory}",
                f"-Dlogback.configurationFile={directory}/conf/logback.xml", "-cp", f"{libraries}/*",
                "org.apache.james.MemoryJamesServerMain",
            ],
            directory / "james.log",
            {},
        )  # fmt: skip
        wait_until(self.answers, 180, "Apache James")
        self.put("/domains/bellwire.example")
        self.put(f"/users/{self.user}", {"password": self.password})

    def write_settings(self, ports):
        folder = self.directory / "conf"
        folder.mkdir(parents=True)
        for name, text in FILES.items():
            (folder / name).write_text(text.format(secret=KEYSTORE_PASSWORD, **ports))
        subprocess.run(
            ["keytool", "-genkey", "-alias", "james", "-keyalg", "RSA", "-storetype", "PKCS12", "-dname", "CN=localhost",
             "-keystore", folder / "keystore", "-storepass", KEYSTORE_PASSWORD],
            check=True, capture_output=True,
        )  # fmt: skip

    def answers(self):
        assert self.process.is_running(), self.process.log()[-4000:]
        return "JAMES server started" in self.process.log()

    def put(self, path, body=None):
        data = json.dumps(body).encode() if body else b""
        request = urllib.request.Request(self.admin + path, data, {"Content-Type": "application/json"}, method="PUT")
        urllib.request.urlopen(request).close()

    def deliver(self, subject):
        with smtplib.SMTP("127.0.0.1", self.smtp) as smtp:
            text = f"From: Bob <bob@elsewhere.example>\r\nTo: {self.user}\r\nSubject: {subject}\r\n\r\nHello.\r\n"
            smtp.sendmail("bob@elsewhere.example", [self.user], text)

    def finish(self):
        self.process.terminate()
