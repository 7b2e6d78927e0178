# SPDX-License-Identifier: Apache-2.0
"""Redis killed, restarted, paused, refusing: senders see 503 with Retry-After, sockets stay open, recovery is its own."""

import shutil
import signal
import socket
import threading
import time

import pytest
from harness.device import body_of
from harness.process import wait_until
from harness.relay import Relay, assert_refused

# within the store's deadline, on a busy machine: whoever waited for the store would take longer
BUSY_SEC = 4.5


class Load:
    """Posts in the background, remembering what was answered and how long it took."""

    def __init__(self, relay, endpoint, threads=4):
        self.relay, self.endpoint = relay, endpoint
        self.accepted, self.statuses, self.slowest = [], set(), 0.0
        self.done = threading.Event()
        self.threads = [threading.Thread(target=self.run, args=(n,)) for n in range(threads)]

    def run(self, sender):
        number = 0
        with self.relay.connect(timeout=30) as connection:
            path = "/p/" + self.endpoint.rsplit("/", 1)[1]
            while not self.done.is_set():
                number += 1
                body = b"%d:%d" % (sender, number)
                begin = time.monotonic()
                answer = connection.request("POST", path, [("TTL", "600")], body)
                self.slowest = max(self.slowest, time.monotonic() - begin)
                self.statuses.add(answer.status)
                if answer.status == 201:
                    self.accepted.append(body)
                else:
                    assert_refused(answer, 503)
                    self.done.wait(0.05)

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        for thread in self.threads:
            thread.join(40)


def take_all(device, accepted):
    """Everything accepted arrives; what was refused may (its outcome was unknown)."""
    missing, got = set(accepted), []
    while missing:
        body = device.take(timeout=15)
        got.append(body)
        missing.discard(body)
    return got


def is_up(relay):
    return relay.get("/health").status == 200


def test_killed_and_restarted_under_load(start_relay, start_redis):
    redis = start_redis(appendfsync="always")
    relay = start_relay(redis.url)
    device, _, endpoint = relay.subscribed()
    away, _, queue = relay.subscribed()
    away.close()
    with Load(relay, endpoint) as load, Load(relay, queue) as other:
        for _ in range(3):
            wait_until(lambda n=len(load.accepted): len(load.accepted) > n + 20, 20, "traffic")
            redis.kill()
            wait_until(lambda: not is_up(relay), 10, "the relay to notice")
            redis.start()
            wait_until(lambda: is_up(relay), 15, "recovery")
    assert load.statuses <= {201, 503} and other.statuses <= {201, 503}
    take_all(device, load.accepted)
    take_all(relay.device(away.uaid), other.accepted)
    device.register()


def test_paused_under_load(start_relay, start_redis):
    """SIGSTOP: no answer hangs beyond the store's deadline, and the sockets are still there afterwards."""
    redis = start_redis()
    relay = start_relay(redis.url)
    device, _, endpoint = relay.subscribed()
    with Load(relay, endpoint) as load:
        wait_until(lambda: len(load.accepted) > 50, 20, "traffic")
        redis.process.signal(signal.SIGSTOP)
        try:
            wait_until(lambda: 503 in load.statuses, 12, "503 while Redis is paused")
            assert device.ping() < BUSY_SEC
        finally:
            redis.process.signal(signal.SIGCONT)
        count = len(load.accepted)
        wait_until(lambda: len(load.accepted) > count + 50, 20, "recovery")
    assert load.statuses == {201, 503} and load.slowest < 10
    take_all(device, load.accepted)


@pytest.mark.parametrize(
    "breaking, mending",
    [
        (("CONFIG", "SET", "maxmemory", "1"), ("CONFIG", "SET", "maxmemory", "0")),
        (("REPLICAOF", "127.0.0.1", "1"), ("REPLICAOF", "NO", "ONE")),
        (("CONFIG", "SET", "min-replicas-to-write", "1"), ("CONFIG", "SET", "min-replicas-to-write", "0")),
    ],
    ids=["OOM", "READONLY", "NOREPLICAS"],
)
def test_refusals_of_redis(start_relay, start_redis, breaking, mending):
    redis = start_redis()
    relay = start_relay(redis.url)
    device, _, endpoint = relay.subscribed()
    relay.push(endpoint, b"before")
    redis.command(*breaking)
    assert_refused(relay.post(endpoint, b"refused"), 503)
    answer = device.ask_register("11111111-2222-4333-8444-555555555555")
    assert answer["status"] == 500 and "pushEndpoint" not in answer
    redis.command(*mending)
    wait_until(lambda: relay.post(endpoint, b"after").status == 201, 15, "recovery")
    assert device.take() == b"before"
    assert device.take() == b"after"


def test_wrong_password(start_redis, tmp_path):
    """Said once, with the cure and without the password; the relay waits for it to be put right."""
    redis = start_redis(requirepass="right")
    for name, url in (("none", redis.url), ("wrong", f"redis://:wr0ng@127.0.0.1:{redis.port}/0")):
        (tmp_path / name).mkdir()
        relay = Relay(url, tmp_path / name, start=False)
        relay.start(wait=False)
        wait_until(lambda r=relay: listening(r.port), 10, "the port")
        assert_refused(relay.post("/p/" + "A" * 66, b"x"), 404)
        wait_until(lambda r=relay: "unavailable" in r.process.log(), 10, "the trouble in the log")
        time.sleep(1.5)  # several attempts must not say it again
        lines = [line for line in relay.process.log().splitlines() if "unavailable" in line]
        assert len(lines) == 1 and "redis-password" in lines[0] and "wr0ng" not in relay.process.log(), lines
        relay.finish()


def test_misconf(start_relay, start_redis, tmp_path):
    """Redis cannot write its snapshot and refuses writes: 503 with the cure in the log, and back by itself."""
    folder = tmp_path / "snapshots"
    folder.mkdir()
    redis = start_redis(dir=folder, appendonly="no", save="3600 1000000")
    relay = start_relay(redis.url)
    device, _, endpoint = relay.subscribed()
    relay.push(endpoint, b"before")
    folder.rename(tmp_path / "gone")
    shutil.rmtree(tmp_path / "gone")
    redis.command("BGSAVE")
    wait_until(lambda: "rdb_last_bgsave_status:err" in redis.command("INFO", "persistence"), 10, "a failed snapshot")
    assert_refused(relay.post(endpoint, b"refused"), 503)
    assert device.ask_register("11111111-2222-4333-8444-555555555555")["status"] == 500
    wait_until(lambda: "stop-writes-on-bgsave-error" in relay.process.log(), 5, "the cure in the log")
    redis.command("CONFIG", "SET", "stop-writes-on-bgsave-error", "no")
    wait_until(lambda: relay.post(endpoint, b"after").status == 201, 15, "recovery")
    assert device.take() == b"before"
    assert device.take() == b"after"
    device.expect_nothing()


def test_loading(start_relay, start_redis):
    """Redis is back and reads its data: 503 meanwhile, never 404; the socket stays; then everything is there."""
    redis = start_redis(appendfsync="always")
    relay = start_relay(redis.url)
    device, _, endpoint = relay.subscribed()
    away, _, queue = relay.subscribed()
    away.close()
    relay.push(queue, b"kept")
    redis.command("EVAL", "for i = 1, 3000 do redis.call('SET', 'other:' .. i, ('x'):rep(100)) end", "0")
    redis.kill()
    redis.options.update({"key-load-delay": 3000, "loading-process-events-interval-bytes": 1024})
    redis.start(wait=False)
    wait_until(lambda: is_loading(redis), 10, "redis to load")
    wait_until(lambda: "loading" in relay.process.log(), 10, "the relay to notice")
    while is_loading(redis):
        answer, bad = relay.post(endpoint, b"meanwhile"), relay.post(endpoint, b"x", "bad")
        if is_loading(redis):
            assert_refused(answer, 503)
            assert_refused(bad, 503)
            assert device.ping() < BUSY_SEC
    wait_until(lambda: is_up(relay), 15, "recovery")
    relay.push(endpoint, b"after")
    assert b"after" in take_all(device, [b"after"])
    assert relay.device(away.uaid).take() == b"kept"


def is_loading(redis):
    try:
        return "loading:1" in redis.command("INFO", "persistence")
    except (OSError, EOFError):
        return False


def test_scripts_flushed_and_connections_killed(start_relay, start_redis):
    """NOSCRIPT is answered by loading them again, at no one's cost; a lost connection comes back by itself."""
    redis = start_redis()
    relay = start_relay(redis.url)
    device, _, endpoint = relay.subscribed()
    redis.command("SCRIPT", "FLUSH")
    relay.push(endpoint, b"1")
    assert device.take() == b"1"
    device.settle()
    redis.command("CLIENT", "KILL", "SKIPME", "yes")
    wait_until(lambda: relay.post(endpoint, b"2").status == 201, 10, "recovery")
    assert device.take() == b"2"


def test_starting_before_redis(start_relay, start_redis):
    """It starts, says so, answers 503 (never 404), and is there by itself once Redis is."""
    redis = start_redis(appendfsync="always")
    ready = start_relay(redis.url)
    device, _, endpoint = ready.subscribed()
    device.close()
    ready.stop()
    redis.kill()
    ready.start(wait=False)
    wait_until(lambda: listening(ready.port), 10, "the port")
    assert ready.get("/health").status == 503
    assert_refused(ready.post(endpoint, b"x"), 503)
    assert_refused(ready.post(endpoint, b"x", None), 503)
    redis.start()
    ready.wait_ready()
    ready.push(endpoint, b"x")
    assert body_of(ready.device(device.uaid).notification()) == b"x"


def listening(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_hello_while_redis_is_away(start_relay, start_redis):
    """Device case 12: never a wrong answer; the socket ends or waits, and the identity is not lost."""
    redis = start_redis(appendfsync="always")
    relay = start_relay(redis.url)
    device, _, endpoint = relay.subscribed()
    relay.push(endpoint, b"x")
    device.close()
    redis.kill()
    wait_until(lambda: not is_up(relay), 10, "the relay to notice")
    waiting = type(device)(relay.port)
    waiting.send_json({"messageType": "hello", "uaid": device.uaid})
    redis.start()
    wait_until(lambda: is_up(relay), 15, "recovery")
    try:
        assert waiting.read_hello(timeout=15)["uaid"] == device.uaid
    except Exception as closed:
        assert getattr(closed, "code", 1) is None
    waiting.close()
    assert relay.device(device.uaid).bodies(1, timeout=10) == [b"x"]


def test_ack_during_the_outage_is_not_forgotten(start_relay, start_redis):
    """Acknowledged is acknowledged: the relay brings it to the store when that is back, and does not send again."""
    redis = start_redis(appendfsync="always")
    relay = start_relay(redis.url)
    device, _, endpoint = relay.subscribed()
    for i in range(3):
        relay.push(endpoint, b"%d" % i)
    messages = device.notifications(3)
    redis.kill()
    wait_until(lambda: not is_up(relay), 10, "the relay to notice")
    device.ack(messages[0])
    device.ack(messages[1], messages[2])
    assert device.ping() < BUSY_SEC
    redis.start()
    wait_until(lambda: is_up(relay), 15, "recovery")
    device.expect_nothing(1)
    device.close()
    relay.device(device.uaid).expect_nothing(0.5)


def test_every_key_expires(start_relay, start_redis):
    """Nothing grows for ever."""
    redis = start_redis()
    relay = start_relay(redis.url)
    device, channel, endpoint = relay.subscribed()
    _, other = device.register()
    relay.push(endpoint, b"x", topic="t")
    relay.push(other, b"x")
    device.unregister(channel)
    device.close()
    keys = redis.command("KEYS", "*")
    assert keys
    assert {key: redis.command("PTTL", key) for key in keys if redis.command("PTTL", key) == -1} == {}
    assert all("{" in key for key in keys if device_key(key)), keys


def device_key(key):
    return key.startswith("bw:") and key.count(":") > 1


@pytest.mark.parametrize(
    "options, words",
    [
        ({"appendonly": "no"}, ("persist",)),
        ({"maxmemory": "100mb", "maxmemory-policy": "allkeys-lru"}, ("evict",)),
    ],
    ids=["no persistence", "eviction"],
)
def test_warns_of_a_redis_that_would_lose_messages(start_relay, start_redis, options, words):
    relay = start_relay(start_redis(**options).url)
    wait_until(lambda: all(w in relay.process.log() for w in words), 5, f"a warning with {words}")


def test_password_user_and_database(start_relay, start_redis):
    redis = start_redis()
    redis.command("ACL", "SETUSER", "bell", "on", ">se cret", "~*", "&*", "+@all")
    redis.command("ACL", "SETUSER", "default", "-@all", "+auth")
    relay = start_relay(f"redis://127.0.0.1:{redis.port}/3", redis_user="bell", redis_password="se cret")
    device, _, endpoint = relay.subscribed()
    relay.push(endpoint, b"x")
    assert device.take() == b"x"
    assert "se cret" not in relay.process.log()


def test_unix_socket(start_relay, start_redis, tmp_path):
    path = tmp_path / "redis.sock"
    start_redis(unixsocket=path)
    relay = start_relay(f"unix://{path}?db=1")
    device, _, endpoint = relay.subscribed()
    relay.push(endpoint, b"x")
    assert device.take() == b"x"


def test_waits_for_replicas(start_relay, start_redis):
    """redis_wait: without a replica that has it, a message is not answered with 201."""
    redis = start_redis()
    relay = start_relay(redis.url, redis_wait=1)
    device = relay.device()
    _, endpoint = device.register()
    assert_refused(relay.post(endpoint, b"alone", 60), 503)
    replica = start_redis(replicaof=f"127.0.0.1 {redis.port}")
    wait_until(lambda: "state=online" in redis.command("INFO", "replication"), 20, "the replica")
    wait_until(lambda: relay.post(endpoint, b"both").status == 201, 15, "201")
    assert replica.process.is_running()
