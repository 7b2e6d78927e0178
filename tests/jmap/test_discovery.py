# SPDX-License-Identifier: Apache-2.0
"""From a mail address or a URL to the session: DNS, well-known places, redirects, and clear words when there is nothing."""

import http.server
import os
import socket
import socketserver
import struct
import subprocess
import threading

import pytest
from harness.namespace import Inside, Namespace, require_namespaces
from harness.process import free_port
from harness.tool import TOOL, check_sanitizers
from tool import Desk, Terminal

LOGIN = {"login": "ann@localhost", "password": "secret"}


@pytest.fixture
def ann(jmap):
    return jmap.login()


def find(driver, jmap, **more):
    """The outcome, and what was said on the way."""
    one = driver.start("find", **{"ca_file": str(jmap.ca_file), "url": jmap.well_known, "user": "ann@localhost", **LOGIN, **more})
    answer = driver.wait(one, key="outcome", timeout=60)
    return answer, driver.steps(one)


@pytest.mark.parametrize("place", ["/.well-known/jmap", "/jmap/session", "/", ""])
def test_a_url(driver, jmap, ann, place):
    answer, steps = find(driver, jmap, url=jmap.origin + place)
    assert answer["outcome"] == "found" and answer["session"]["url"] == jmap.session_url
    assert answer["session"]["user"] == "ann@localhost" and answer["session"]["accounts"] == 1
    assert "is a JMAP server" in steps[-1] and "ms)" in steps[-1]


def test_a_redirect_to_another_host(driver, jmap, ann, start_jmap):
    """The owner of the domain named it, so it is asked with the password, but not by the redirect."""
    other = start_jmap()
    other.login()
    both = jmap.directory / "both.pem"
    both.write_text(jmap.ca_file.read_text() + other.ca_file.read_text())
    jmap.redirect_to = other.session_url
    answer, steps = find(driver, jmap, ca_file=str(both))
    assert answer["outcome"] == "found" and answer["session"]["url"] == other.session_url
    assert [r.status for r in other.requests] == [401, 200] and any("leads to" in step for step in steps)


@pytest.mark.parametrize("wish", [{"password": "wrong"}, {"login": "bob", "password": "secret"}, {"bearer": "wrong"}])
def test_a_wrong_password(driver, jmap, ann, wish):
    answer, _ = find(driver, jmap, **wish)
    assert answer["outcome"] == "unauthorized" and "does not take the password" in answer["reason"]
    assert len([r for r in jmap.requests if r.status == 401]) == 1  # once, for accounts get locked
    assert "wrong" not in answer["reason"]


def test_a_locked_account(driver, jmap, ann):
    ann.is_locked = True
    answer, _ = find(driver, jmap)
    assert answer["outcome"] == "locked" and "403" in answer["reason"]


@pytest.mark.parametrize(
    "fault, outcome, words",
    [
        ({"status": 404}, "not-found", "404"),
        ({"status": 500}, "try-later", "500"),
        ({"status": 429, "retry_after": "33"}, "try-later", "429"),
        ({"body": b"<html>webmail</html>"}, "not-found", "no JMAP session"),
        ({"body": b"{}"}, "not-found", "no JMAP session"),
        ({"body": b'{"capabilities":{"urn:ietf:params:jmap:core":{}}}'}, "not-found", "apiUrl"),
        ({"huge": 2_000_000}, "try-later", "too large"),
        ({"cut": True}, "try-later", " bytes "),
    ],
)
def test_what_is_no_session(driver, jmap, ann, fault, outcome, words):
    jmap.faults.add("session", **fault)
    answer, steps = find(driver, jmap)
    assert answer["outcome"] == outcome and words in answer["reason"], answer
    assert answer["retry_after"] == int(fault.get("retry_after", -1)) and any(words in step for step in steps)


@pytest.mark.parametrize("kind", ["expired", "self-signed", "wrong-name"])
def test_a_bad_certificate_will_not_get_better(driver, start_jmap, kind):
    jmap = start_jmap(certificate=kind)
    jmap.login()
    answer, _ = find(driver, jmap)
    assert answer["outcome"] == "not-found" and "certificate" in answer["reason"], answer
    assert find(driver, jmap, insecure=True)[0]["outcome"] == "found"


def test_nobody_there(driver, jmap):
    answer, _ = find(driver, jmap, url=f"https://localhost:{free_port()}/jmap")
    assert answer["outcome"] == "try-later" and "onnect" in answer["reason"]


def test_a_server_without_jmap(driver, jmap):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    server.RequestHandlerClass.log_message = lambda *arguments: None
    answer, steps = find(driver, jmap, url=f"http://127.0.0.1:{server.server_address[1]}/")
    server.shutdown()
    server.server_close()
    assert answer["outcome"] == "not-found" and "404" in steps[0], (answer, steps)


def test_cancelled(driver, jmap, ann):
    jmap.faults.add("session", delay=30)
    one = driver.start("find", url=jmap.well_known, user="ann@localhost", ca_file=str(jmap.ca_file), **LOGIN)
    two = driver.start("find", user="ann@localhost.invalid", **LOGIN)
    driver.run("cancel", of=one)
    driver.run("cancel", of=two)
    said = list(driver.news)  # steps, perhaps
    driver.run("cancel", of="nothing")
    assert driver.news == said and not any("outcome" in one for one in said)


# ---- DNS, in a network namespace whose resolver we are ----


def name_bytes(name):
    return b"".join(bytes([len(part)]) + part.encode() for part in name.split(".")) + b"\0"


class Resolver(socketserver.BaseRequestHandler):
    """SRV records of server.records {name: [(priority, weight, port, target)]}; *.test is loopback, or server.addresses say."""

    def handle(self):
        query, sock = self.request
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1 : at + 1 + query[at]].decode())
            at += query[at] + 1
        name, kind = ".".join(labels).lower(), struct.unpack(">H", query[at + 1 : at + 3])[0]
        self.server.asked.append((name, kind))
        if self.server.raw is not None:
            sock.sendto(query[:2] + self.server.raw, self.client_address)
            return
        answers = []
        if kind == 33:
            for priority, weight, port, target in self.server.records.get(name, ()):
                answers.append(struct.pack(">HHH", priority, weight, port) + name_bytes(target))
        elif kind == 1 and name.endswith("test"):
            answers.append(socket.inet_aton(self.server.addresses.get(name, "127.0.0.1")))
        code = 0 if answers or kind == 28 else 3
        head = query[:2] + struct.pack(">HHHHH", 0x8180 | code, 1, len(answers), 0, 0)
        records = b"".join(struct.pack(">HHHIH", 0xC00C, kind, 1, 60, len(a)) + a for a in answers)
        sock.sendto(head + query[12 : at + 5] + records, self.client_address)


class World:
    """A network namespace with our resolver, and the driver in it."""

    def __init__(self, directory, start_driver):
        self.namespace = Namespace()
        with Inside(self.namespace):
            self.dns = socketserver.ThreadingUDPServer(("127.0.0.1", 53), Resolver)
            self.dns.records, self.dns.addresses, self.dns.asked, self.dns.raw = {}, {}, [], None
            threading.Thread(target=self.dns.serve_forever, args=(0.05,), daemon=True).start()
        script = ""
        for name, text in (("resolv.conf", "nameserver 127.0.0.1\n"), ("hosts", "127.0.0.1 localhost\n"), ("nsswitch.conf", "hosts: files dns\n")):
            (directory / name).write_text(text)
            script += f"mount --bind {directory}/{name} /etc/{name} && "
        words = ["unshare", "-m", "sh", "-c", script + 'exec "$@"', "sh"]
        self.inside = self.namespace.command(*words)
        self.driver = start_driver(None, self.inside)

    def srv(self, name):
        return self.driver.run("srv", name=name)

    def close(self):
        self.dns.shutdown()
        self.dns.server_close()
        self.namespace.close()


@pytest.fixture
def world(tmp_path, start_driver):
    require_namespaces()
    instance = World(tmp_path, start_driver)
    yield instance
    instance.close()


def test_srv_records_are_ordered(world):
    world.dns.records["_jmap._tcp.example.test"] = [(20, 0, 443, "c.test"), (10, 5, 8443, "a.test"), (30, 0, 443, "d.test")]
    answer = world.srv("_jmap._tcp.example.test")
    assert (answer["found"], answer["host"], answer["port"]) == (True, "a.test", 8443)
    world.dns.records["_jmap._tcp.none.test"] = [(0, 0, 0, ".")]  # "decidedly not available" (RFC 2782)
    assert not world.srv("_jmap._tcp.none.test")["found"]
    assert not world.srv("_jmap._tcp.absent.test")["found"]


@pytest.mark.parametrize("raw", [b"", b"\x81\x80", b"\x81\x80\0\1\xff\xff\0\0\0\0" + b"\xc0" * 40, b"\x81\x80\0\0\0\1\0\0\0\0\xc0\x0c\0\x21\0\1\0\0\0\0\0\2a"])
def test_srv_answers_that_lie(world, raw):
    world.dns.raw = raw
    assert not world.driver.wait(world.driver.start("srv", name="_jmap._tcp.example.test"), timeout=90)["found"]


def serve(world, start_jmap, host, port=443, address="127.0.0.1"):
    world.dns.addresses[host] = address
    with Inside(world.namespace):
        jmap = start_jmap(host=host, port=port, address=address)
    jmap.login("ann@example.test")
    return jmap


def find_address(world, jmap, **more):
    one = world.driver.start("find", user="ann@example.test", login="ann@example.test", password="secret", ca_file=str(jmap.ca_file), **more)
    answer = world.driver.wait(one, key="outcome", timeout=90)
    return answer, world.driver.steps(one)


def test_an_address_by_srv(world, start_jmap):
    jmap = serve(world, start_jmap, "mail.hoster.test", 8443)
    world.dns.records["_jmap._tcp.example.test"] = [(1, 1, 8443, "mail.hoster.test")]
    answer, steps = find_address(world, jmap)
    assert answer["outcome"] == "found" and answer["session"]["url"] == jmap.session_url
    assert "DNS names mail.hoster.test port 8443" in steps[0] and len(steps) == 2


@pytest.mark.parametrize("host", ["example.test", "jmap.example.test", "mail.example.test"])
def test_an_address_by_its_domain(world, start_jmap, host):
    jmap = serve(world, start_jmap, host)
    answer, steps = find_address(world, jmap)
    assert answer["outcome"] == "found" and answer["session"]["url"] == jmap.session_url, answer
    assert "DNS has no _jmap._tcp.example.test" in steps[0]


@pytest.fixture
def refusing(world, start_jmap):
    """What answers at example.test takes no password of ours; its authority's file may be written to."""
    jmap = serve(world, start_jmap, "example.test")
    jmap.logins.clear()
    return jmap


def trust(jmap, other):
    jmap.ca_file.write_text(jmap.ca_file.read_text() + other.ca_file.read_text())


@pytest.mark.parametrize("host", ["jmap.example.test", "mail.example.test"])
def test_a_guess_that_refuses_us(world, start_jmap, refusing, host):
    """A web site with passwords of its own says nothing about the mail server."""
    jmap = serve(world, start_jmap, host, address="127.0.0.2")
    trust(refusing, jmap)
    answer, steps = find_address(world, refusing)
    assert answer["outcome"] == "found" and answer["session"]["url"] == jmap.session_url, answer
    assert any("example.test/jmap/session does not take the password" in step for step in steps)
    jmap.logins["ann@example.test"].is_locked = True
    answer, _ = find_address(world, refusing)
    assert answer["outcome"] == "unauthorized" and answer["reason"].startswith("https://example.test/"), answer
    jmap.faults.add("session", status=503, retry_after="9")
    answer, _ = find_address(world, refusing)
    assert answer["outcome"] == "try-later" and "503" in answer["reason"], answer


def test_nobody_but_a_guess_that_refuses_us(world, refusing):
    answer, _ = find_address(world, refusing)
    assert answer["outcome"] == "unauthorized" and "does not take the password" in answer["reason"], answer


def test_a_named_place_that_refuses_us(world, start_jmap, refusing):
    """DNS knows: nobody else gets the password."""
    jmap = serve(world, start_jmap, "mail.example.test", address="127.0.0.2")
    trust(refusing, jmap)
    world.dns.records["_jmap._tcp.example.test"] = [(1, 1, 443, "example.test")]
    answer, _ = find_address(world, refusing)
    assert answer["outcome"] == "unauthorized" and jmap.requests == []
    world.dns.records.clear()
    answer, _ = find_address(world, refusing, url="https://example.test/")
    assert answer["outcome"] == "unauthorized" and jmap.requests == []


def test_an_address_without_a_server(world, jmap):
    answer, steps = find_address(world, jmap)
    assert answer["outcome"] == "try-later" and "https://example.test/.well-known/jmap" in answer["reason"]
    assert len(steps) == 4 and ("_jmap._tcp.example.test", 33) in world.dns.asked


# ---- `bellwire jmap add` of an address ----

ADDED = 3  # kept, but nobody pushes yet


@pytest.fixture
def hosted(world, start_jmap, tmp_path):
    """A server that plain DNS names, outside of the address's domain; and whoever adds it."""
    jmap = serve(world, start_jmap, "mail.hoster.test", 8443)
    world.dns.records["_jmap._tcp.example.test"] = [(1, 1, 8443, "mail.hoster.test")]
    return Desk(tmp_path), jmap


def add_words(jmap, *words):
    return ["jmap", "add", "ann@example.test", "--ca", str(jmap.ca_file), "--no-start", "--name", "work", *words]


def run_inside(world, desk, words, secret):
    env = {**os.environ, **desk.env}
    done = subprocess.run(
        [*world.inside, TOOL, *words], input=f"{secret}\n", capture_output=True, text=True, timeout=90, env=env, check=False
    )
    check_sanitizers(done.stderr)
    return done


def add(world, desk, jmap, *words):
    """The password comes by a pipe."""
    return run_inside(world, desk, add_words(jmap, *words), "secret")


def assert_added(desk, jmap):
    """The host is written down, so that DNS has no say any more."""
    assert desk.text == f"[jmap work]\nuser = ann@example.test\nsession_url = {jmap.session_url}\nca_file = {jmap.ca_file}\n"
    assert desk.secret() == "secret\n"


def test_add_in_the_domain(world, start_jmap, tmp_path):
    """Whoever has a certificate for that is whom the address names."""
    desk, jmap = Desk(tmp_path), serve(world, start_jmap, "mail.example.test", 8443)
    world.dns.records["_jmap._tcp.example.test"] = [(1, 1, 8443, "mail.example.test")]
    done = add(world, desk, jmap)
    assert done.returncode == ADDED and "has [jmap work] at mail.example.test\n" in done.stderr, done
    assert_added(desk, jmap)


def test_add_outside_of_the_domain(world, hosted):
    desk, jmap = hosted
    done = add(world, desk, jmap)
    assert done.returncode == 1 and "only DNS, which can be forged, says that mail.hoster.test has the mail" in done.stderr
    assert "add --yes" in done.stderr and "Give its session URL" in done.stderr, done
    desk.assert_untouched()
    assert jmap.requests == [] and jmap.tls_failures == []
    done = add(world, desk, jmap, "--yes")
    assert done.returncode == ADDED and "has [jmap work] at mail.hoster.test\n" in done.stderr, done
    assert_added(desk, jmap)


@pytest.mark.parametrize("answer", ["y", "n", ""])
def test_add_outside_of_the_domain_on_a_terminal(world, hosted, answer):
    desk, jmap = hosted
    terminal = Terminal(desk.env, *add_words(jmap), prefix=world.inside)
    terminal.wait_text("Password of ann@example.test: ")
    terminal.type("secret\n")
    terminal.wait_text("Send the password there? [y/N] ")
    assert jmap.requests == [] and jmap.tls_failures == []
    terminal.type(f"{answer}\n")
    status = terminal.finish()
    if answer == "y":
        assert status == ADDED
        assert_added(desk, jmap)
    else:
        assert status == 1 and "mail.hoster.test does not get the password" in terminal.text, terminal.text
        desk.assert_untouched()
        assert jmap.requests == []


def test_what_was_added_does_not_ask_dns(world, hosted):
    """Its records may say what they like: another password goes where the first one went."""
    desk, jmap = hosted
    add(world, desk, jmap, "--yes")
    world.dns.records["_jmap._tcp.example.test"] = [(1, 1, 8443, "mail.forged.test")]
    world.dns.asked.clear()
    jmap.logins["ann@example.test"].password = "new"
    done = run_inside(world, desk, ["jmap", "password", "work"], "new")
    assert done.returncode == 0 and desk.secret() == "new\n", done
    assert not [name for name, kind in world.dns.asked if kind == 33], world.dns.asked
