# SPDX-License-Identifier: Apache-2.0
"""Requests to servers that are slow, lie, break off, or lead elsewhere: bounded, and no password where it does not belong."""

import http.server
import threading

import pytest
from harness.process import free_port, wait_until

LOGIN = {"user": "ann@localhost", "password": "secret"}


@pytest.fixture
def ann(jmap):
    return jmap.login()


def fetch(driver, jmap, path=None, **more):
    return driver.run("fetch", **{"url": f"{jmap.origin}{path or jmap.session_path}", "ca_file": str(jmap.ca_file), **LOGIN, **more})


@pytest.fixture
def elsewhere():
    """A plain HTTP server that keeps what it was asked, and its origin."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(dict(self.headers))
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"hi")

        def log_message(self, *arguments):
            pass

    asked = []
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1], asked
    server.shutdown()
    server.server_close()


def test_an_answer(driver, jmap, ann):
    answer = fetch(driver, jmap)
    assert (answer["outcome"], answer["status"], answer["reason"]) == ("answered", 200, "")
    assert answer["url"] == jmap.session_url and '"accounts"' in answer["body"]
    headers = jmap.requests[0].headers
    assert headers["User-Agent"].startswith("bellwire/") and headers["Accept"] == "application/json"


@pytest.mark.parametrize("wish, status", [({}, 401), (LOGIN, 200), ({"bearer": "token"}, 200), ({"bearer": "x"}, 401)])
def test_credentials_go_along(driver, jmap, wish, status):
    jmap.login(bearer="token")
    assert driver.run("fetch", url=jmap.session_url, ca_file=str(jmap.ca_file), **wish)["status"] == status


def test_a_body_is_sent_once_and_follows_nobody(driver, jmap, ann):
    body = '{"using":["urn:ietf:params:jmap:core"],"methodCalls":[["Core/echo",{"a":"b"},"0"]]}'
    answer = fetch(driver, jmap, jmap.api_path, body=body)
    assert answer["status"] == 200 and '"a":"b"' in answer["body"]
    assert "Expect" not in jmap.requests[0].headers
    answer = fetch(driver, jmap, "/.well-known/jmap", body=body)
    assert answer["status"] == 307 and answer["outcome"] == "answered" and len(jmap.requests) == 2


# ---- redirects ----


@pytest.mark.parametrize("count, outcome", [(1, "answered"), (5, "answered"), (6, "unreachable"), (1000, "unreachable")])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_followed_a_few_times(driver, jmap, ann, count, status, outcome):
    jmap.redirects, jmap.redirect_status = count, status
    answer = fetch(driver, jmap, "/.well-known/jmap")
    assert answer["outcome"] == outcome, answer
    if outcome == "answered":
        assert answer["status"] == 200 and answer["url"] == jmap.session_url
    else:
        assert "redirects more than 5 times" in answer["reason"] and len(jmap.requests) == 6
    assert all("secret" not in text for text in (answer["url"], answer["reason"]))


@pytest.mark.parametrize("wish", [LOGIN, {"bearer": "token"}])
def test_credentials_stay_with_their_host(driver, jmap, start_jmap, wish):
    jmap.login(bearer="token")
    other = start_jmap()
    other.login(bearer="token")
    both = jmap.directory / "both.pem"
    both.write_text(jmap.ca_file.read_text() + other.ca_file.read_text())
    jmap.redirect_to = other.session_url
    answer = driver.run("fetch", url=jmap.well_known, ca_file=str(both), **wish)
    assert answer["status"] == 401 and answer["url"] == other.session_url
    assert "Authorization" in jmap.requests[0].headers and "Authorization" not in other.requests[0].headers
    other.redirect_to, jmap.redirect_to = jmap.session_url, other.well_known  # there and back again
    answer = driver.run("fetch", url=jmap.well_known, ca_file=str(both), **wish)
    assert answer["status"] == 401 and "Authorization" not in jmap.requests[-1].headers


def test_encrypted_stays_encrypted(driver, jmap, ann, elsewhere):
    port, asked = elsewhere
    jmap.redirect_to = f"http://127.0.0.1:{port}/"
    answer = fetch(driver, jmap, "/.well-known/jmap")
    assert answer["outcome"] == "tls" and "not encrypted" in answer["reason"] and asked == []
    answer = fetch(driver, jmap, "/.well-known/jmap", insecure=True)
    assert answer["body"] == "hi" and "Authorization" not in asked[0]


def test_plain_loopback_leads_to_loopback_alone(driver, start_jmap, elsewhere):
    port, asked = elsewhere
    jmap = start_jmap(is_tls=False)
    jmap.login()
    assert fetch(driver, jmap, "/.well-known/jmap")["status"] == 200
    jmap.redirect_to = f"http://localhost.example:{port}/"
    answer = fetch(driver, jmap, "/.well-known/jmap")
    assert answer["outcome"] == "tls" and "not encrypted" in answer["reason"]
    jmap.redirect_to = f"http://127.0.0.1:{port}/"
    assert fetch(driver, jmap, "/.well-known/jmap")["body"] == "hi" and "Authorization" not in asked[0]


def test_plain_to_others_is_not_even_tried(driver):
    answer = driver.run("fetch", url="http://192.0.2.1/", **LOGIN)
    assert answer["outcome"] == "unreachable" and "rotocol" in answer["reason"]


@pytest.mark.parametrize("target", ["ftp://localhost/", "file:///etc/passwd", "//", "https://[::1", "gopher://x/", "https://"])
def test_senseless_redirects(driver, jmap, ann, target):
    jmap.redirect_to = target
    answer = fetch(driver, jmap, "/.well-known/jmap")
    assert answer["outcome"] in ("unreachable", "answered") and len(jmap.requests) == 1, answer
    assert answer["status"] in (0, 307) and "root:" not in (answer["body"] or "")


# ---- certificates ----


@pytest.mark.parametrize(
    "kind, words",
    [
        ("expired", "the certificate of localhost expired at 20"),
        ("self-signed", "self-signed; trust it with --ca FILE"),
        ("wrong-name", "not for localhost, but for elsewhere.example"),
    ],
)
def test_bad_certificates(driver, start_jmap, kind, words):
    jmap = start_jmap(certificate=kind)
    jmap.login()
    answer = fetch(driver, jmap)
    assert answer["outcome"] == "tls" and words in answer["reason"] and jmap.requests == [], answer
    assert fetch(driver, jmap, insecure=True)["status"] == 200


def test_unknown_authority_and_absent_file(driver, jmap, ann):
    answer = driver.run("fetch", url=jmap.session_url, **LOGIN)
    assert answer["outcome"] == "tls" and jmap.requests == []
    assert "an authority that is not trusted here" in answer["reason"]
    answer = fetch(driver, jmap, ca_file="/nonexistent/ca.pem")
    assert answer["outcome"] == "tls" and "/nonexistent/ca.pem" in answer["reason"]


def test_tls_where_there_is_none(driver, elsewhere):
    answer = driver.run("fetch", url=f"https://127.0.0.1:{elsewhere[0]}/")
    assert answer["outcome"] == "tls" and answer["reason"], answer


# ---- trouble ----


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500, 503])
def test_statuses_and_retry_after(driver, jmap, ann, status):
    jmap.faults.add("session", status=status, retry_after="120")
    answer = fetch(driver, jmap)
    assert (answer["outcome"], answer["status"], answer["retry_after"]) == ("answered", status, 120)


def test_retry_after_as_a_date(driver, jmap, ann):
    jmap.faults.add("session", status=503, retry_after="Fri, 31 Dec 1999 23:59:59 GMT")
    assert fetch(driver, jmap)["retry_after"] == -1
    jmap.faults.add("session", status=503, retry_after="soon")
    assert fetch(driver, jmap)["retry_after"] == -1


def test_a_slow_server(driver, jmap, ann):
    jmap.faults.add("session", delay=30)
    answer = fetch(driver, jmap, timeout_ms=700)
    assert answer["outcome"] == "timed-out" and answer["status"] == 0


def test_slow_redirects_share_the_time(driver, jmap, ann):
    jmap.redirects, jmap.redirect_delay = 1000, 0.3
    answer = fetch(driver, jmap, "/.well-known/jmap", timeout_ms=700)
    assert answer["outcome"] == "timed-out" and len(jmap.requests) < 5


def test_an_answer_that_breaks_off(driver, jmap, ann):
    jmap.faults.add("session", cut=True)
    answer = fetch(driver, jmap)
    assert answer["outcome"] == "unreachable" and " bytes " in answer["reason"]


@pytest.mark.parametrize("size, outcome", [(99_900, "answered"), (100_100, "too-large"), (20_000_000, "too-large")])
def test_huge_answers(driver, jmap, ann, size, outcome):
    jmap.faults.add("session", huge=size)
    answer = fetch(driver, jmap)
    assert answer["outcome"] == outcome and answer["body_bytes"] <= 100_000


def test_a_proxy_is_heeded_when_wished(start_driver, jmap, ann):
    env = {"https_proxy": f"http://127.0.0.1:{free_port()}", "no_proxy": "", "NO_PROXY": ""}
    answer = fetch(start_driver(**env), jmap)
    assert answer["outcome"] == "unreachable" and jmap.requests == []
    assert fetch(start_driver(**{**env, "no_proxy": "localhost"}), jmap)["status"] == 200
    assert fetch(start_driver(**env, JMAP_NO_PROXY="1"), jmap)["status"] == 200


def test_nobody_there(driver):
    answer = driver.run("fetch", url=f"https://127.0.0.1:{free_port()}/")
    assert answer["outcome"] == "unreachable" and "connect" in answer["reason"]
    answer = driver.run("fetch", url="https://nonexistent.invalid/", timeout_ms=60000)
    assert answer["outcome"] in ("unreachable", "timed-out")


def test_streams_come_in_pieces(driver, jmap, ann):
    jmap.faults.add("session", huge=20_000_000)
    answer = fetch(driver, jmap, is_streamed=True)
    assert answer["outcome"] == "answered" and answer["streamed"] > 20_000_000 and answer["body_bytes"] == 0
    jmap.faults.add("session", huge=20_000_000)
    answer = fetch(driver, jmap, is_streamed=True, stop_after=1_000_000)
    assert answer["outcome"] == "answered" and answer["streamed"] < 3_000_000
    jmap.faults.add("session", status=503)
    answer = fetch(driver, jmap, is_streamed=True)
    assert answer["status"] == 503 and answer["streamed"] == 0 and "on request" in answer["body"]


def test_cancelled_and_dropped(start_driver, jmap, ann):
    driver = start_driver()
    jmap.faults.add("session", delay=30, times=-1)
    ids = [driver.start("fetch", url=jmap.session_url, ca_file=str(jmap.ca_file), **LOGIN) for _ in range(40)]
    wait_until(lambda: jmap.faults.taken >= 3, 20, "some on their way")  # others wait for a connection
    for one in ids[::2]:
        driver.run("cancel", of=one)
    assert not driver.news
    driver.finish()  # with the rest under way
