# SPDX-License-Identifier: Apache-2.0
"""`bellwire login` edits the configuration of a person: it keeps what is theirs, and is private."""

import subprocess

import pytest
from daemon import BINARY
from harness.process import free_port
from harness.tool import run_tool

BEFORE = """\
; my laptop
[distributor]
; the old one
;relay = wss://commented.example/
pool = 2

[log]
log_level = debug

[hook door]
command = /bin/true relay = x
"""


def login(session, *words):
    return run_tool("login", *words, "--no-start", env=session.env)


def settings_of(config):
    """As the daemon reads them."""
    words = ["env", "-u", "BELLWIRE_RELAY", BINARY, "--config", config, "--print-config"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("text", ["", BEFORE, BEFORE.replace(";relay", "  relay"), BEFORE.rstrip("\n")])
def test_keeps_the_rest(session, relay, tmp_path, text):
    config = tmp_path / "of" / "mine" / "distributor.conf"
    config.parent.mkdir(parents=True)
    config.write_text(text)
    for path in ("", "second"):
        url = f"ws://127.0.0.1:{relay.port}/{path}"
        done = login(session, url, "--config", config, *(["--no-check"] if path else []))
        assert done.returncode == 0, done.stderr
        after = config.read_text()
        lines = [line for line in text.splitlines() if not line.startswith("  relay")]
        assert [line for line in lines if line not in after.splitlines()] == []
        assert after.count(f"relay = {url}\n") == 1
        assert sum(line.strip().startswith("relay =") for line in after.splitlines()) == 1
        assert config.stat().st_mode & 0o777 == 0o600
        settings_of(config)
    assert [path.name for path in config.parent.iterdir()] == ["distributor.conf"]


def test_makes_the_default_file(session):
    done = login(session, "wss://push.example/i/secret", "--no-check", "--json")
    assert done.returncode == 0, done.stderr
    path = session.directory / "config/bellwire/distributor.conf"
    assert str(path) in done.stdout
    assert path.stat().st_mode & 0o777 == 0o600 and path.parent.stat().st_mode & 0o777 == 0o700
    assert "secret" not in settings_of(path)


@pytest.mark.parametrize("url", ["push.example", "ftp://push.example/", "wss://", "wss://a b/", "ws://push.example/"])
def test_refuses_bad_urls(session, tmp_path, url):
    config = tmp_path / "distributor.conf"
    done = login(session, url, "--config", config)
    assert done.returncode == 2 and "URL" in done.stderr, done
    assert not config.exists()


def test_a_relay_that_cannot_be_reached_is_not_written(session, tmp_path):
    config = tmp_path / "distributor.conf"
    config.write_text(BEFORE)
    done = login(session, f"ws://127.0.0.1:{free_port()}/", "--config", config)
    assert done.returncode == 1 and "refused" in done.stderr, done
    assert config.read_text() == BEFORE


def test_moves_a_running_daemon(session, relay, start_daemon):
    start_daemon(relay=None)
    done = login(session, f"ws://127.0.0.1:{relay.port}/")
    assert done.returncode == 0, done.stderr
    assert run_tool("status", env=session.env).stdout
