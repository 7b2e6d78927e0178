# SPDX-License-Identifier: Apache-2.0
"""Commands as transient units: of the real user manager where one can be started here, and of a small fake."""

import pathlib
import subprocess
import time

import pytest
from harness.process import wait_until
from manager import fake_manager, real_manager


@pytest.fixture(params=["real", "fake"])
def manager(request, session):
    instance = real_manager(session) if request.param == "real" else fake_manager(session)
    yield instance
    instance.finish()


@pytest.fixture
def units(hooks, session, manager):
    def start(config):
        h = hooks(config, **{**session.env, "HOME": str(session.directory.parent)})
        h.wait_log("systemd's user manager is here")
        return h

    return start


def is_child_of_ours(h, pid):
    with open(f"/proc/{pid}/stat", encoding="utf-8") as f:
        return int(f.read().rsplit(")", 1)[1].split()[1]) == h.child.pid


def test_a_run_as_a_unit(units):
    h = units("[hook my-mail]\ncommand = @record 'touch @DIR/started; while [ ! -e @DIR/go ]; do sleep 0.02; done'\nquiet = 0\n")
    message = h.push("my-mail", "hello", topic="t")
    (run,) = h.runs(1)
    assert not is_child_of_ours(h, run["pid"])
    (h.directory / "go").touch()
    assert h.outcome(message) == "taken"
    assert run["input"] == "hello" and run["cwd"] == str(h.directory)
    assert run["facts"]["HOOK"] == "my-mail" and run["facts"]["ID"] == message and run["facts"]["TOPIC"] == "t"
    assert run["fds"] == [0, 1, 2]


def test_outcomes(units):
    h = units(
        "[hook a]\ncommand = sh -c 'exit 1'\nquiet = 0\n"
        "[hook b]\ncommand = sh -c 'exit 75'\nquiet = 0\n"
        "[hook c]\ncommand = sh -c 'kill -9 $$'\nquiet = 0\n"
        "[hook d]\ncommand = /nonexistent/x\nquiet = 0\n"
        "[hook e]\ncommand = not-in-the-path\nquiet = 0\n"
        "[hook f]\ncommand = sleep 1000\nquiet = 0\ntimeout = 1s\n"
    )
    outcomes = {name: h.outcome(h.push(name, "x")) for name in "abcdef"}
    assert outcomes == {
        "a": "refused",
        "b": "no-answer",
        "c": "refused",
        "d": "no-answer",
        "e": "no-answer",
        "f": "no-answer",
    }
    log = h.log()
    assert "hook failed hook=a" in log and "status=137" in log
    assert "hook did not start hook=d" in log and "hook did not start hook=e" in log
    assert "hook ran too long and was ended hook=f" in log


def test_words_stay_as_they_are(units):
    """systemd would expand $ and % in them."""
    h = units("[hook a]\ncommand = sh -c 'printf \"%s|\" \"$@\" >@DIR/words' x '$HOME' '${HOME}' '$$' %h '%%' 'a b' ''\nquiet = 0\n")
    assert h.outcome(h.push("a", "x")) == "taken"
    assert (h.directory / "words").read_text() == "$HOME|${HOME}|$$|%h|%%|a b||"


def test_many_runs(units):
    h = units("[hook a]\ncommand = true\nquiet = 0\n")
    for _ in range(10):
        assert h.outcome(h.push("a", "x")) == "taken"


def test_the_end_stops_it(units):
    h = units("[hook a]\ncommand = @record 'exec sleep 1000'\nquiet = 0\n")
    message = h.push("a", "x")
    (run,) = h.runs(1)
    pid = run["pid"]
    h.child.stdin.close()
    assert h.outcome(message) == "shutdown"
    assert h.child.wait(10) == 0, h.log()
    wait_until(lambda: not pathlib.Path(f"/proc/{pid}").exists(), 10, "the unit's end")


def test_systemd_goes_away(units, manager):
    """Nobody knows how the run ended: offered again, and run as a child from then on."""
    h = units("[hook a]\ncommand = @record 'test -e @DIR/go || exec sleep 1000'\nquiet = 0\n")
    message = h.push("a", "x")
    (run,) = h.runs(1)
    manager.kill()
    assert h.outcome(message) == "no-answer"
    (h.directory / "go").touch()
    assert h.outcome(h.push("a", "y")) == "taken"
    assert len(h.runs()) == 2
    subprocess.run(["kill", "-9", str(run["pid"])], check=False, capture_output=True)


def test_what_systemd_is_asked_for(hooks, session):
    manager = fake_manager(session)
    h = hooks("[hook a]\ncommand = true a 'b c'\nquiet = 0\n[hook b]\ncommand = true\nquiet = 0\nas_unit = off\n", **session.env)
    h.wait_log("systemd's user manager is here")
    assert h.outcome(h.push("a", "x")) == "taken"
    assert h.outcome(h.push("b", "x")) == "taken"
    (request,) = manager.requests("start")
    wanted = request["properties"]
    assert request["mode"] == "fail" and request["name"].startswith("bellwire-hook-a-")
    assert wanted["Slice"] == "background.slice" and wanted["Type"] == "exec"
    assert wanted["RuntimeMaxUSec"] == 600 * 10**6 and wanted["CollectMode"] == "inactive-or-failed"
    assert wanted["StandardOutput"] == wanted["StandardError"] == "journal"
    path, arguments, flags = wanted["ExecStartEx"][0]
    assert flags == ["no-env-expand"]
    assert path.startswith("/") and path.endswith("/true") and arguments == ["true", "a", "b c"]
    wait_until(lambda: len(manager.requests("unref")) == 1, 10, "the unit's release")
    manager.finish()


def test_systemd_refuses(hooks, session):
    manager = fake_manager(session, "refuse")
    h = hooks("[hook a]\ncommand = @record\nquiet = 0\n[hook b]\ncommand = /nonexistent/x\nquiet = 0\n", **session.env)
    h.wait_log("systemd's user manager is here")
    assert h.outcome(h.push("a", "x")) == "taken"
    assert h.outcome(h.push("b", "x")) == "no-answer"
    assert len(h.runs()) == 1
    assert 'it runs as a child hook=a error="not today"' in h.log()
    manager.finish()


def test_no_systemd(hooks, session):
    began = time.monotonic()
    h = hooks("[hook a]\ncommand = @record\nquiet = 0\n", **session.env)
    assert h.outcome(h.push("a", "x")) == "taken"
    h.wait_log("systemd's user manager is not here")
    assert time.monotonic() - began < 10
