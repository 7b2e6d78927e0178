# SPDX-License-Identifier: Apache-2.0
"""What the tool says without a daemon: help, completions, manual and sample agree; wrong usage; no bus, no daemon."""

import pathlib
import re
import subprocess

import pytest
from daemon import BINARY
from harness.tool import run_tool

ROOT = pathlib.Path(__file__).resolve().parents[2]
COMPLETIONS = ROOT / "deploy/completions"
WITHOUT_URL = {"vapid": ["new"]}
OF_THE_DAEMON = {
    "status": [],
    "apps": [],
    "log": [],
    "register": ["door"],
    "unregister": ["1"],
    "block": ["door"],
    "unblock": ["1"],
    "pause": [],
    "resume": [],
    "reconnect": [],
    "move": ["wss://push.example/"],
    "listen": ["door"],
    "test": [],
    "jmap": ["list"],
}


def words_of(command):
    """jmap is a family of commands."""
    return [command, "list"] if command == "jmap" else [command]


def commands():
    return re.findall(r"^  ([a-z]+) +\S", run_tool("--help").stdout, re.MULTILINE)


def flags_of(command):
    done = run_tool(command, "--help")
    assert done.returncode == 0, done
    return set(re.findall(r"--[a-z0-9][a-z0-9-]*", done.stdout))


def bash_offers(*words):
    script = f"""
        source {COMPLETIONS}/bellwire.bash
        COMP_WORDS=({' '.join(words)} '') COMP_CWORD={len(words)}
        _bellwire
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    return set(subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True).stdout.split())


def test_every_command_is_known_everywhere():
    names = commands()
    assert len(names) >= 17, names
    assert bash_offers("bellwire") == {*names, "--help", "--version"}
    zsh = (COMPLETIONS / "_bellwire").read_text()
    assert re.findall(r"^\t'([a-z]+):", zsh, re.MULTILINE) == names
    fish = (COMPLETIONS / "bellwire.fish").read_text()
    assert re.findall(r"__fish_use_subcommand -a ([a-z]+) ", fish) == names
    manual = (ROOT / "deploy/man/bellwire.1").read_text()
    assert [name for name in names if not re.search(rf"\b{name}\b", manual)] == []


@pytest.mark.parametrize("command", commands())
def test_manual(command):
    """Every flag is in it, and every exit status."""
    manual = (ROOT / "deploy/man/bellwire.1").read_text().replace("\\-", "-")
    assert sorted(flag for flag in flags_of(command) - {"--help", "--now"} if flag not in manual) == []
    statuses = re.findall(r"\b([0-9]) (?:when|for|until)", run_tool(command, "--help").stdout.partition("Exit status")[2])
    told = re.findall(r"^\.B ([0-9])$", manual, re.MULTILINE)
    assert set(statuses) <= set(told), (statuses, told)


def zsh_flags(command):
    """Of its case in the completion function; the last case is for all that are not named."""
    text = (COMPLETIONS / "_bellwire").read_text()
    cases = dict(re.findall(r"^([a-z*| ]+)\)(.*?);;", text, re.MULTILINE | re.DOTALL))
    for names, body in cases.items():
        if command in [name.strip() for name in names.split("|")]:
            return set(re.findall(r"'(--[a-z0-9-]+)", body))
    return set(re.findall(r"'(--[a-z0-9-]+)", cases["*"]))


def mentioned(command):
    """Flags that the help of a command has for itself; some share one help."""
    shared = {"--vapid-key"} if command in OF_THE_DAEMON and command not in ("register", "listen") else set()
    return flags_of(command) - {"--help", "--now"} - shared


@pytest.mark.parametrize("command", commands())
def test_flags_are_completed(command):
    flags = mentioned(command)
    if command == "vapid":
        flags -= {"--vapid", "--vapid-key"}  # of send and listen, which it speaks of
    assert {word for word in bash_offers("bellwire", command) if word.startswith("--")} == {*flags, "--help"}
    assert zsh_flags(command) == flags
    fish = (COMPLETIONS / "bellwire.fish").read_text()
    of_command = re.findall(rf"__fish_seen_subcommand_from {command}' -l ([a-z0-9-]+)", fish)
    assert {f"--{flag}" for flag in of_command} == flags


@pytest.mark.parametrize("command", commands())
def test_wrong_usage(command):
    """What is wrong is named, and where to look; not a screen of help."""
    done = run_tool(*words_of(command), "--no-such-flag")
    assert done.returncode == 2 and done.stdout == "", done
    assert done.stderr == f"bellwire: there is no option --no-such-flag\nSee: bellwire {command} --help\n", done


@pytest.mark.parametrize("command", commands())
def test_values(command):
    """One that is missing is said, and so is one too many."""
    words, usage = words_of(command), run_tool(command, "--help").stdout
    for flag in sorted(mentioned(command) if command not in WITHOUT_URL else {"--out"}):
        if command != "jmap" and re.search(rf"{flag} [A-Z]", usage):
            done = run_tool(*words, flag)
            assert done.stderr.startswith(f"bellwire: {flag} takes a value, and none follows\n"), done
        elif flag == "--json":
            done = run_tool(*words, "--json=yes")
            assert done.stderr.startswith("bellwire: --json takes no value\n"), done
        else:
            continue
        assert done.returncode == 2 and done.stdout == "", done


@pytest.mark.parametrize("command", commands())
def test_too_much(command):
    done = run_tool(*words_of(command), "one", "two", "three")
    assert done.returncode == 2 and done.stdout == "", done
    assert re.search('"(one|two|three)"', done.stderr) or command == "vapid", done
    assert done.stderr.endswith(f"See: bellwire {command} --help\n"), done


@pytest.mark.parametrize(
    "words",
    [
        ["nonsense"],
        [],
        ["register"],
        ["register", "a", "b"],
        ["move"],
        ["pause", "now"],
        ["block"],
        ["move", "wss://a.example/", "--vapid-key", "x"],
        ["listen", "a", "b"],
        ["listen", "--count", "many"],
        ["login"],
        ["login", "a", "b"],
        ["login", "no url"],
        ["login", "ws://push.example/", "--no-check"],
        ["keys"],
        ["jmap"],
        ["jmap", "nonsense"],
        ["jmap", "list", "work"],
        ["jmap", "test"],
        ["jmap", "add"],
        ["jmap", "remove"],
        ["jmap", "password", "a", "b"],
        ["jmap", "pause", "a", "b"],
    ],
)
def test_wrong_words(words):
    done = run_tool(*words)
    assert done.returncode == 2 and done.stdout == "" and "bellwire" in done.stderr, done


@pytest.mark.parametrize("command", OF_THE_DAEMON)
def test_no_bus(tmp_path, command):
    env = {"DBUS_SESSION_BUS_ADDRESS": f"unix:path={tmp_path}/none", "XDG_RUNTIME_DIR": str(tmp_path)}
    done = run_tool(command, *OF_THE_DAEMON[command], "--json", env=env)
    assert done.returncode == 1 and done.stdout == "" and "session bus" in done.stderr, done


def test_no_daemon(session):
    for command, words in OF_THE_DAEMON.items():
        done = run_tool(command, *words, "--json", env=session.env)
        assert done.returncode == 1 and done.stdout == "", done
        assert "does not run" in done.stderr, done


def test_sample_config():
    printed = subprocess.run([BINARY, "sample-config"], capture_output=True, text=True, check=True).stdout
    assert printed == (ROOT / "deploy/distributor.conf").read_text()
    done = subprocess.run(
        ["env", "-u", "BELLWIRE_RELAY", BINARY, "--config", ROOT / "deploy/distributor.conf", "--check-config"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
