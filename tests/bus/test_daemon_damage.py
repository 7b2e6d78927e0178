# SPDX-License-Identifier: Apache-2.0
"""Spoiled files in the state directory: the daemon starts, says so, keeps what is damaged, and loses nothing that the
copy or the relay still knows."""

import json
import os
import random
import shutil

import pytest
from harness.process import wait_until
from session import SUCCEEDED

SERVICE, ABSENT = "org.example.App", "org.example.Absent"
ODD_VALUES = [None, True, -1, 0, 2**63 - 1, -(2**63), 1e300, "", "x" * 100000, "\u202e\n\0", [], [[]], {}, {"a": 1}]


# ---- ways to spoil a file -----------------------------------------------------------------------


def truncated(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def emptied(path):
    path.write_bytes(b"")


def zeroed(path):
    path.write_bytes(bytes(path.stat().st_size))


def scrambled(path):
    path.write_bytes(random.Random(1).randbytes(path.stat().st_size))


def swollen(path):
    with open(path, "ab") as file:
        file.truncate(65 << 20)


def wrong_types(path):
    """Every value has another type."""

    def turn(value):
        if isinstance(value, dict):
            return {key: turn(item) for key, item in value.items()}
        if isinstance(value, list):
            return [turn(item) for item in value]
        return str(value) if not isinstance(value, str) else 7

    path.write_text(json.dumps(turn(json.loads(path.read_text()))))


def absurd_numbers(path):
    text = path.read_text()
    path.write_text(json.dumps(json.loads(text), default=str))

    def turn(value):
        if isinstance(value, dict):
            return {key: turn(item) for key, item in value.items()}
        if isinstance(value, list):
            return [turn(item) for item in value]
        return random.choice([2**63 - 1, -(2**63), -1]) if type(value) is int else value

    path.write_text(json.dumps(turn(json.loads(text))))


def another_document(path):
    path.write_text('["neither", "this", "nor", "that"]')


def a_folder(path):
    path.unlink()
    path.mkdir()
    (path / "something").write_text("else")


def a_pipe(path):
    path.unlink()
    os.mkfifo(path)


def a_loop(path):
    path.unlink()
    path.symlink_to(path.name)


def somebody_elses(path):
    path.chmod(0o600)
    os.chown(path, 4711, 4711)


WAYS = [truncated, emptied, zeroed, scrambled, swollen, wrong_types, absurd_numbers, another_document, a_folder,
        a_pipe, a_loop, somebody_elses]


def is_same(kept, before):
    """What was set aside is what lay there."""
    return kept.is_dir() or kept.is_fifo() or kept.is_symlink() or kept.read_bytes() == before


class Household:
    """An app, one that is absent and has a message in the queue, and a registration of the user's."""

    def __init__(self, session, daemon, caller):
        self.session, self.daemon, self.caller = session, daemon, caller
        self.dir = daemon.state_dir
        # root may read anything, unless it leaves that right behind
        if os.geteuid() == 0:
            rights = "-dac_override,-dac_read_search,-fowner"
            daemon.wrapper = ["setpriv", f"--bounding-set={rights}", "--inh-caps=-all"]
            daemon.restart()
        self.app = session.app(SERVICE).start()
        assert caller.register(SERVICE, "token") == SUCCEEDED
        self.endpoint = self.app.wait("NewEndpoint")[0]["endpoint"]
        absent = session.app(ABSENT).start()
        assert caller.register(ABSENT, "absent") == SUCCEEDED
        self.absent_endpoint = absent.wait("NewEndpoint")[0]["endpoint"]
        absent.stop()
        self.door = json.loads(daemon.tool("register", "door").stdout)["endpoint"]
        daemon.push(self.absent_endpoint, b"in the queue")
        daemon.wait_acknowledged(1)
        daemon.push(self.endpoint, b"taken")
        self.app.wait("Message")
        daemon.wait_acknowledged(2)
        self.daemon.stop()
        for endpoint in (self.endpoint, self.absent_endpoint, self.door):
            daemon.push(endpoint, b"at the relay", ttl=600)

    def spoil(self, way, *names):
        """The contents are remembered."""
        before = {}
        for name in names:
            path = self.dir / name
            way(path)
            plain = not path.is_symlink() and path.is_file()
            before[path] = path.read_bytes() if plain else None
        return before

    def check_kept(self, before):
        log = self.daemon.process.log()
        for path, content in before.items():
            (kept,) = path.parent.glob(f"{path.name}.damaged-*")
            assert is_same(kept, content), kept
            assert str(path) in log and str(kept) in log, log[-3000:]

    def check_nothing_lost(self, queue_is_lost=False):
        daemon, app = self.daemon, self.app
        app.wait("Message", 2)
        late = self.session.app(ABSENT).start()
        wanted = {b"at the relay"} | (set() if queue_is_lost else {b"in the queue"})
        wait_until(lambda: {bytes.fromhex(e["message"]) for e in late.events("Message")} == wanted, 20, "messages")
        assert [e["endpoint"] for e in app.events("NewEndpoint")] == [self.endpoint]
        assert json.loads(daemon.tool("keys", "door", "--state-dir", daemon.state_dir).stdout)["endpoint"] == self.door
        assert self.caller.register(SERVICE, "token") == SUCCEEDED
        assert app.wait("NewEndpoint", 2)[1]["endpoint"] == self.endpoint
        assert self.caller.register(SERVICE, "another") == SUCCEEDED

    def check_it_is_whole_again(self):
        """Nothing to say about at the next start."""
        self.daemon.stop()
        before = set(self.dir.rglob("*.damaged-*"))
        self.daemon.start()
        assert "damaged" not in self.daemon.process.log()
        assert set(self.dir.rglob("*.damaged-*")) == before


@pytest.fixture
def household(session, daemon, caller):
    return Household(session, daemon, caller)


def skip_what_needs_root(way):
    if way is somebody_elses and os.geteuid() != 0:
        pytest.skip("giving files away needs root")


@pytest.mark.parametrize("way", WAYS)
def test_the_copy_is_enough(household, way):
    """Each file once, beside the copy of the state."""
    skip_what_needs_root(way)
    if not (household.dir / "heartbeats.json").exists():
        (household.dir / "heartbeats.json").write_text('{"v":1,"networks":[{"key":"home","cur":300,"used_at":1}]}')
    before = household.spoil(way, "state.json", "delivered.json", "heartbeats.json")
    household.daemon.start()
    household.check_kept(before)
    household.check_nothing_lost()
    household.check_it_is_whole_again()


@pytest.mark.parametrize("way", [truncated, scrambled, wrong_types, a_folder, a_pipe, somebody_elses])
def test_a_message_in_the_queue(household, way):
    skip_what_needs_root(way)
    (entry,) = (household.dir / "queue").glob("*.json")
    before = household.spoil(way, entry.relative_to(household.dir))
    household.daemon.start()
    household.check_kept(before)
    household.check_nothing_lost(queue_is_lost=True)
    household.check_it_is_whole_again()


def test_a_file_for_the_queue(household):
    shutil.rmtree(household.dir / "queue")
    (household.dir / "queue").write_text("no folder")
    household.daemon.start()
    household.check_kept({household.dir / "queue": b"no folder"})
    household.daemon.push(household.absent_endpoint, b"in the queue")
    wait_until(lambda: list((household.dir / "queue").glob("*.json")), 20, "the queue")
    household.check_nothing_lost()
    household.check_it_is_whole_again()


def test_lost_rights_are_given_back(household):
    """Ours, but with no permission for anybody."""
    for path in [*household.dir.iterdir(), *(household.dir / "queue").iterdir()]:
        path.chmod(0)
    household.daemon.start()
    assert not list(household.dir.rglob("*.damaged-*"))
    household.check_nothing_lost()


def test_a_folder_for_the_lock(household):
    (household.dir / "lock").unlink()
    (household.dir / "lock").mkdir()
    household.daemon.start()
    household.check_kept({household.dir / "lock": None})
    household.check_nothing_lost()


def test_half_written_files_are_removed(household):
    halves = [household.dir / name for name in ("state.json.new-aB3dEf", "queue/1-2.json.new-123456")]
    for path in halves:
        path.write_text("{")
    (household.dir / "state.json.backup").write_text("the user's own")
    household.daemon.start()
    assert not any(path.exists() for path in halves)  # others may be under way
    assert (household.dir / "state.json.backup").exists()
    household.check_nothing_lost()


@pytest.mark.parametrize("way", [truncated, zeroed, another_document, a_folder])
def test_both_are_lost(household, way):
    """It begins anew; apps get other endpoints when they register."""
    before = household.spoil(way, "state.json", "state.json.bak")
    household.daemon.start()
    household.check_kept(before)
    events = [json.loads(line) for line in household.daemon.tool("log", "--json").stdout.splitlines()]
    assert any(e["event"] == "damaged" and "lost" in e["detail"] for e in events), events
    assert household.caller.register(SERVICE, "token") == SUCCEEDED
    endpoint = household.app.wait("NewEndpoint", 2)[1]["endpoint"]
    assert endpoint != household.endpoint
    household.daemon.push(endpoint, b"new")
    household.app.wait("Message", 2)
    household.check_it_is_whole_again()


def test_what_makes_sense_of_two_damaged_ones_is_kept(household):
    """One registration and its channel are spoiled in both files; the others go on."""
    for name in ("state.json", "state.json.bak"):
        state = json.loads((household.dir / name).read_text())
        (spoiled,) = [r for r in state["registrations"]["list"] if r["token"] == "absent"]
        spoiled["number"] = "many"
        (household.dir / name).write_text(json.dumps(state))
    household.daemon.start()
    assert len(list(household.dir.glob("state.json*.damaged-*"))) == 2
    household.app.wait("Message", 2)
    assert json.loads(household.daemon.tool("keys", "door", "--state-dir", household.dir).stdout)["endpoint"] == household.door
    assert household.caller.register(SERVICE, "token") == SUCCEEDED
    assert household.app.wait("NewEndpoint", 2)[1]["endpoint"] == household.endpoint
    household.check_it_is_whole_again()


def test_a_lost_identity(household):
    """Channels without the identity that the relay knows them by: every one is made anew, and apps are told."""
    for name in ("state.json", "state.json.bak"):
        state = json.loads((household.dir / name).read_text())
        state["accounts"][0]["uaid"] = "nobody"
        (household.dir / name).write_text(json.dumps(state))
    household.daemon.start()
    endpoint = household.app.wait("NewEndpoint", 2)[1]["endpoint"]
    assert endpoint != household.endpoint
    household.daemon.push(endpoint, b"new")
    household.app.wait("Message", 2)


def places(value, path=()):
    """Of everything in a document."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from places(item, (*path, key))


def test_any_value_may_be_odd(household):
    """Whatever a value is replaced with, in both files: it starts, and serves apps."""
    daemon, dice = household.daemon, random.Random(int(os.environ.get("SEED", "1")))
    whole = json.loads((household.dir / "state.json").read_text())
    for _ in range(int(os.environ.get("ROUNDS", "20"))):
        state = {"document": json.loads(json.dumps(whole))}
        for _ in range(3):
            *way, last = ("document", *dice.choice(list(places(state["document"]))))
            at = state
            for key in way:
                at = at[key]
            at[last] = json.loads(json.dumps(dice.choice(ODD_VALUES)))
        for name in ("state.json", "state.json.bak"):
            (household.dir / name).write_text(json.dumps(state["document"]))
        daemon.start()
        assert household.caller.register(SERVICE, "token") == SUCCEEDED, state
        for words in (["status"], ["apps"], ["log"]):
            assert daemon.tool(*words).returncode in (0, 3), (words, state)
        daemon.kill()
        for kept in household.dir.glob("*.damaged-*"):
            kept.unlink()
    daemon.start()
