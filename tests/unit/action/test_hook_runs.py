# SPDX-License-Identifier: Apache-2.0
"""Commands as children: what they are given, how they are gathered, and how they can go wrong."""

import json
import os
import time

import pytest
from harness.process import wait_until

QUICK = "[hook a]\ncommand = @record\nquiet = 0\n"


def test_what_a_run_is_given(hooks):
    h = hooks(QUICK, BELLWIRE_TOKEN="secret", NOTIFY_SOCKET="/x", LISTEN_FDS="3", TZ="UTC")
    before = int(time.time())
    message = h.push("a", 'hello {"w":1}', topic="mail-1", urgency="high")
    assert h.outcome(message) == "taken"
    (run,) = h.runs(1)
    received = int(run["facts"].pop("RECEIVED"))
    assert before <= received <= before + 10
    assert run["input"] == 'hello {"w":1}'
    assert run["facts"] == {
        "HOOK": "a",
        "REASON": "push",
        "MESSAGES": "1",
        "INPUT": "last",
        "ID": message,
        "TOPIC": "mail-1",
        "URGENCY": "high",
        "DECRYPTED": "1",
        "BYTES": "13",
    }
    assert run["env"]["TZ"] == "UTC" and run["env"]["PATH"] == os.environ["PATH"]
    assert "NOTIFY_SOCKET" not in run["env"] and "LISTEN_FDS" not in run["env"]
    assert run["fds"] == [0, 1, 2]
    assert run["sid"] == run["pid"]
    assert run["cwd"] == str(h.directory)
    assert int(run["blocked"], 16) == 0
    # Python ignores SIGPIPE (bit 12) and SIGXFSZ (bit 24) by itself; those above 31 are glibc's
    assert int(run["ignored"], 16) & 0x7FFFFFFF & ~(1 << 12 | 1 << 24) == 0


def test_what_cannot_be_decrypted_is_passed_on_raw(hooks):
    h = hooks(QUICK)
    assert h.outcome(h.push("a", "garbage", how="broken")) == "taken"
    assert h.outcome(h.push("a", "open", how="raw")) == "taken"
    broken, raw = h.runs(2)
    assert broken["input"] == "garbage" and broken["facts"]["DECRYPTED"] == "0"
    assert raw["input"] == "open" and raw["facts"]["DECRYPTED"] == "0"
    assert 'push is not decrypted hook=a reason="broken"' in h.log()


def test_messages_are_gathered(hooks):
    """quiet: one run for what comes in quick succession; input = lines has all of them."""
    h = hooks("[hook a]\ncommand = @record\nquiet = 4s\ninput = lines\n")
    ids = [h.push("a", f"m{i}", topic="t" if i else "-", how="raw" if i == 2 else "plain") for i in range(3)]
    assert [h.outcome(i) for i in ids] == ["taken"] * 3
    (run,) = h.runs(1)
    lines = [json.loads(line) for line in run["input"].splitlines()]
    assert [line["data"] for line in lines] == ["m0", "m1", "m2"]
    assert [line["id"] for line in lines] == ids
    assert lines[0] == {
        "id": ids[0],
        "received": lines[0]["received"],
        "urgency": "normal",
        "decrypted": True,
        "data": "m0",
    }
    assert lines[1]["topic"] == "t"
    assert lines[2]["decrypted"] is False and lines[2]["reason"] == "not encrypted"
    assert run["facts"]["MESSAGES"] == "3" and run["facts"]["ID"] == ids[2]


def test_max_delay_ends_the_waiting(hooks):
    """A steady drip never lets it be quiet; it runs all the same."""
    h = hooks("[hook a]\ncommand = @record\nquiet = 4s\nmax_delay = 6s\n")
    began = time.monotonic()
    first = h.push("a", "m")
    while not h.is_answered(first):
        assert time.monotonic() - began < 25
        select_pause()
        h.push("a", "m")
    assert 5.9 < time.monotonic() - began < 20
    assert len(h.runs()) <= 2


def select_pause():
    """A drip's pace: it is the scenario, not a wait for something."""
    time.sleep(0.2)


def test_one_run_at_a_time(hooks):
    """What comes while it runs is the next run, all together."""
    h = hooks("[hook a]\ncommand = @record 'while [ ! -e @DIR/go ]; do sleep 0.02; done'\nquiet = 1s\n")
    first = h.push("a", "1")
    h.runs(1)
    others = [h.push("a", str(i)) for i in range(2, 12)]
    time.sleep(1.5)  # longer than quiet: a second run would be seen
    assert len(h.runs()) == 1 and not h.is_answered(first)
    (h.directory / "go").touch()
    assert h.outcome(first) == "taken"
    assert [h.outcome(i) for i in others] == ["taken"] * 10
    assert [r["facts"]["MESSAGES"] for r in h.runs()] == ["1", "10"]


def test_a_run_for_each_without_quiet(hooks):
    h = hooks(QUICK)
    ids = [h.push("a", str(i)) for i in range(5)]
    assert [h.outcome(i) for i in ids] == ["taken"] * 5
    assert [r["input"] for r in h.runs(5)] == ["0", "1", "2", "3", "4"]


def test_a_flood_costs_few_runs_and_loses_nothing(hooks):
    h = hooks("[hook a]\ncommand = @record\nquiet = 1s\nmax_delay = 2s\ninput = lines\n")
    began = time.monotonic()
    ids = [h.push("a", f"m{i}") for i in range(500)]
    assert {h.outcome(i) for i in ids} == {"taken"}
    took = time.monotonic() - began
    runs = h.runs()
    got = [json.loads(line)["data"] for run in runs for line in run["input"].splitlines()]
    assert got == [f"m{i}" for i in range(500)]
    assert len(runs) <= took / 1 + 1, (len(runs), took)


def test_patience_on_battery(hooks):
    """Usual messages wait longer then, urgent ones do not."""
    h = hooks("[hook a]\ncommand = @record\nquiet = 1s\nmax_delay = 1s\n")
    h.send("patience 60000")
    usual = h.push("a", "usual")
    time.sleep(1.5)  # longer than quiet
    assert not h.is_answered(usual)
    urgent = h.push("a", "urgent", urgency="high")
    assert h.outcome(urgent) == "taken" and h.outcome(usual) == "taken"
    later = h.push("a", "later")
    h.send("patience 0")
    assert h.outcome(later) == "taken"


def test_an_urgent_message_takes_others_along(hooks):
    """Also what comes behind it, which must not hold it up."""
    h = hooks("[hook a]\ncommand = @record\nquiet = 4s\nmax_delay = 4s\n")
    h.send("patience 60000")
    urgent = h.push("a", "urgent", urgency="high")
    usual = h.push("a", "usual")
    assert h.outcome(urgent) == "taken" and h.outcome(usual) == "taken"
    assert h.runs(1)[0]["facts"]["MESSAGES"] == "2"


def test_failures_are_refused(hooks):
    h = hooks(
        "[hook a]\ncommand = sh -c 'exit 1'\nquiet = 0\n"
        "[hook b]\ncommand = sh -c 'exit 75'\nquiet = 0\n"
        "[hook c]\ncommand = sh -c 'kill -9 $$'\nquiet = 0\n"
        "[hook d]\ncommand = @DIR/not-there\nquiet = 0\n"
        "[hook e]\ncommand = @DIR\nquiet = 0\n"
    )
    outcomes = {name: h.outcome(h.push(name, "x")) for name in "abcde"}
    assert outcomes == {"a": "refused", "b": "no-answer", "c": "refused", "d": "no-answer", "e": "no-answer"}
    log = h.log()
    assert 'hook failed hook=a messages=1 reason="push"' in log and "status=1\n" in log
    assert "hook asks to be tried again hook=b" in log
    assert "hook failed hook=c" in log and "status=137" in log
    assert "hook did not start hook=d" in log and 'error="No such file or directory"' in log
    assert "hook did not start hook=e" in log and 'error="Permission denied"' in log


def is_alive(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as f:
            return f.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_what_hangs_is_ended(hooks):
    """SIGTERM at the time limit, for the whole group."""
    h = hooks("[hook a]\ncommand = sh -c 'sleep 1000 & echo $! >@DIR/child; wait'\nquiet = 0\ntimeout = 4s\n")
    began = time.monotonic()
    assert h.outcome(h.push("a", "x")) == "no-answer"
    assert 3.9 < time.monotonic() - began < 20
    child = int((h.directory / "child").read_text())
    wait_until(lambda: not is_alive(child), 20, "the child's end")
    assert "hook ran too long and was ended hook=a" in h.log()


def test_what_ignores_its_end_is_killed(hooks):
    h = hooks("[hook a]\ncommand = sh -c 'trap \"\" TERM; echo $$ >@DIR/child; while :; do sleep 1; done'\nquiet = 0\ntimeout = 4s\n")
    began = time.monotonic()
    assert h.outcome(h.push("a", "x")) == "no-answer"
    assert 8.9 < time.monotonic() - began < 30
    assert not is_alive(int((h.directory / "child").read_text()))


def test_what_is_left_behind_does_not_hold_it(hooks):
    """A grandchild keeps the output open: the run ends with its first process, and the rest with it."""
    h = hooks("[hook a]\ncommand = sh -c 'sleep 1000 & echo $! >@DIR/child'\nquiet = 0\n")
    assert h.outcome(h.push("a", "x")) == "taken"
    child = int((h.directory / "child").read_text())
    wait_until(lambda: not is_alive(child), 20, "the grandchild's end")


def test_input_that_nobody_reads(hooks):
    h = hooks("[hook a]\ncommand = true\nquiet = 1s\ninput = lines\n")
    ids = [h.push("a", "x" * 16000) for _ in range(40)]
    assert {h.outcome(i) for i in ids} == {"taken"}


def test_output_goes_to_the_log_up_to_a_limit(hooks):
    h = hooks(
        "[hook a]\ncommand = sh -c 'echo out; echo err >&2; printf \"esc\\033[31m\\n\"; printf unfinished'\nquiet = 0\n"
        "[hook b]\ncommand = sh -c 'yes 0123456789012345678901234567890123456789012345678 | head -c 1000000'\nquiet = 0\n"
        "[hook c]\ncommand = sh -c 'head -c 1000000 /dev/zero | tr \"\\\\0\" x'\nquiet = 0\n"
    )
    assert h.outcome(h.push("a", "x")) == "taken"
    log = h.log()
    for text in ("out", "err", "unfinished"):
        assert f'hook says hook=a text="{text}"' in log
    assert "\033" not in log
    assert h.outcome(h.push("b", "x")) == "taken"
    assert h.outcome(h.push("c", "x")) == "taken"
    log = h.log()
    assert log.count("hook says hook=b") == 50 and "hook says more than is logged hook=b lines=20000" in log
    assert log.count("hook says hook=c") == 1 and len(log) < 20000


def test_input_none(hooks):
    h = hooks("[hook a]\ncommand = @record\nquiet = 0\ninput = none\n")
    assert h.outcome(h.push("a", "x")) == "taken"
    assert h.runs(1)[0]["input"] == "" and h.runs()[0]["facts"]["INPUT"] == "none"


def test_catch_up(hooks):
    """Once, without a message; hooks that do not want it stay out; with messages it is one run."""
    h = hooks(
        "[hook a]\ncommand = @record\nquiet = 0\n"
        "[hook b]\ncommand = @record\nquiet = 0\ncatch_up = off\n"
        "[hook c]\nnotify_title = x\n"
    )
    h.send("catchup start", "catchup missed")
    (run,) = h.runs(1)
    assert run["facts"] == {"HOOK": "a", "REASON": "missed", "MESSAGES": "0", "INPUT": "last"}
    assert run["input"] == ""
    h.wait_log("hook ran hook=a")
    assert h.outcome(h.push("b", "x")) == "taken"
    assert len(h.runs()) == 2


def test_a_failed_catch_up_is_tried_again(hooks):
    h = hooks("[hook a]\ncommand = @record 'test -e @DIR/good'\nquiet = 0\n")
    h.send("catchup resume")
    h.wait_log("hook failed hook=a")
    (h.directory / "good").touch()
    h.wait_log("hook ran hook=a", 20)
    assert [r["facts"]["REASON"] for r in h.runs()] == ["resume"] * 2


def test_registrations_follow_the_config(hooks):
    h = hooks("[hook a]\ncommand = true\n[hook b]\ncommand = true\n", HOOKS_KNOWN="b left-1 left-2")
    assert [s for s in h.said if "registered" in s] == ["unregistered left-1", "unregistered left-2", "registered a "]
    h.expect("announced a 0")
    h.send("push a - normal plain x")
    h.send("dismiss a")
    assert h.outcome("0000000000000001") == "refused"


@pytest.mark.parametrize("state", ["waiting", "running"])
def test_the_end(hooks, state):
    """Nothing is lost: what was not taken is given back, and the command is ended."""
    h = hooks("[hook a]\ncommand = sh -c 'echo $$ >@DIR/pid; exec sleep 1000'\nquiet = %s\n" % ("1h" if state == "waiting" else "0"))
    message = h.push("a", "x")
    pid = None
    if state == "running":
        wait_until(lambda: (h.directory / "pid").exists() and (h.directory / "pid").read_text(), 10, "the run")
        pid = int((h.directory / "pid").read_text())
    h.child.stdin.close()
    assert h.outcome(message) == "shutdown"
    assert h.child.wait(10) == 0, h.log()
    assert pid is None or not is_alive(pid) or wait_until(lambda: not is_alive(pid), 20)
