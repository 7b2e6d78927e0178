# SPDX-License-Identifier: Apache-2.0
"""The rows: what is run, and what of it is compared with which goal.

Servers that are compared run in turn within each round, and the median of the rounds' ratios counts, so
that what else the machine does falls on both."""
import json
import os
import signal
import time

from report import Result, median, server_us
from servers import BenchError, cpu_seconds, private_bytes

DEVICES = 1000
RESERVED_FILES = 400  # of the limit on open files: for everything but device sockets


def run(name, bench):
    try:
        return ROWS[name](bench)
    except BenchError as error:
        return [Result(name, "", f"not measured: {error}", False)]


def rounds(bench, variants, most=None):
    """{name: function} -> {name: [a run each round]}; a variant that fails once is left out with its reason."""
    runs, failed = {name: [] for name in variants}, {}
    for _ in range(min(bench.runs, most or bench.runs)):
        for name, measure in variants.items():
            if name not in failed:
                try:
                    runs[name].append(measure())
                except BenchError as error:
                    failed[name] = str(error)
    return runs, failed


def ratio(runs, base_runs, key="per_second"):
    return median([run[key] / base[key] for run, base in zip(runs, base_runs)])


def med(runs, key):
    return median([run[key] for run in runs])


def result(row, goal, measured, passed, runs):
    return Result(row, goal, measured, passed, median([server_us(run) for run in runs]),
                  median([run.get("self_cpu") for run in runs]), runs)


def failure(row, goal, reason):
    return Result(row, goal, f"not measured: {reason}", False)


def is_clean(run):
    return run["lost"] == run["doubled"] == run["disordered"] == 0


def register(bench, server, count=DEVICES):
    path = server.log_path.parent / "devices"
    bench.loadgen("register", server, devices=count, devices_file=path)
    return path


# POST to offline devices

def accept_bare(bench):
    with bench.using(bench.bare()) as server:
        return bench.loadgen("post", server, path="/x")


def accept_relay(bench, store, **options):
    with bench.using(bench.relay(store)) as server:
        return bench.loadgen("post", server, devices_file=register(bench, server), **options)


def row_accept(bench):
    stores = {"memory": 1.0, "sqlite": 0.7, "redis": 0.5}
    variants = {"bare": lambda: accept_bare(bench)}
    for store in stores:
        variants[store] = lambda store=store: accept_relay(bench, store)
    runs, failed = rounds(bench, variants)
    if "bare" in failed:
        raise BenchError(failed["bare"])
    results = [result("POST, c=64: bare libwebsockets 201", "", f"{med(runs['bare'], 'per_second'):,.0f}/s",
                      None, runs["bare"])]
    for store, goal in stores.items():
        row = f"POST, c=64: relay, {store}"
        if store in failed:
            results.append(failure(row, f">= {goal} of bare", failed[store]))
            continue
        share = ratio(runs[store], runs["bare"])
        results.append(result(row, f">= {goal} of bare",
                              f"{share:.2f} ({med(runs[store], 'per_second'):,.0f}/s, "
                              f"p50 {med(runs[store], 'p50_us') / 1e3:.2f} ms)", share >= goal, runs[store]))
    return results


def row_single(bench):
    runs, failed = rounds(bench, {
        "probe": bench.probe,
        "sqlite": lambda: accept_relay(bench, "sqlite", connections=1),
    })
    if failed:
        raise BenchError("; ".join(failed.values()))
    over = median([run["p50_us"] - probe["sqlite_commit_p50_us"]
                   for run, probe in zip(runs["sqlite"], runs["probe"])])
    return [result("POST, c=1: relay, sqlite", "p50 <= commit + 0.15 ms",
                   f"commit {over / 1e3:+.2f} ms (commit {med(runs['probe'], 'sqlite_commit_p50_us') / 1e3:.2f}, "
                   f"fdatasync {med(runs['probe'], 'fdatasync_p50_us') / 1e3:.2f} ms)", over <= 150, runs["sqlite"])]


# POST to a frame at the device

def deliver(bench, server, **options):
    with bench.using(server):
        return bench.loadgen("deliver", server, devices=DEVICES, **options)


def row_deliver(bench):
    goals = {"memory": 1.0, "sqlite": 0.5, "redis": None}
    variants = {"bare": lambda: deliver(bench, bench.bare(), connections=16),
                "bare, no acks": lambda: deliver(bench, bench.bare(), connections=16, no_acks=True)}
    for store in goals:
        variants[store] = lambda store=store: deliver(bench, bench.relay(store), connections=16)
    runs, failed = rounds(bench, variants)
    for name in ("bare", "bare, no acks"):
        if name in failed:
            raise BenchError(failed[name])
    results = [result("deliver, 16 in flight: bare forwarder", "", f"{med(runs['bare'], 'per_second'):,.0f}/s, "
                      f"p50 {med(runs['bare'], 'p50_us') / 1e3:.2f} ms", None, runs["bare"]),
               result("  the same without acks", "", f"{med(runs['bare, no acks'], 'per_second'):,.0f}/s",
                      None, runs["bare, no acks"])]
    for store, goal in goals.items():
        row, text = f"deliver, 16 in flight: relay, {store}", f">= {goal} of bare" if goal else ""
        if store in failed:
            results.append(failure(row, text, failed[store]))
            continue
        share, strict = ratio(runs[store], runs["bare"]), ratio(runs[store], runs["bare, no acks"])
        clean = all(is_clean(run) for run in runs[store])
        measured = (f"{share:.2f} ({strict:.2f} of no acks; {med(runs[store], 'per_second'):,.0f}/s, "
                    f"p50 {med(runs[store], 'p50_us') / 1e3:.2f} ms){'' if clean else ', LOST, DOUBLED or DISORDERED'}")
        results.append(result(row, text, measured, clean and (goal is None or share >= goal), runs[store]))
    return results


def row_beside(bench):
    idle = min(17000, bench.files - DEVICES - RESERVED_FILES)
    limits_us = {"memory": 300, "sqlite": 900}
    variants = {}
    for store in limits_us:
        for count in (0, idle):
            variants[store, count] = lambda store=store, count=count: deliver(
                bench, bench.relay(store), rate=2000, connections=64, idle=count)
    runs, failed = rounds(bench, variants)
    results = []
    for store, limit in limits_us.items():
        row, goal = f"deliver, 2,000/s beside {idle:,} idle: relay, {store}", f"p50 <= {limit / 1e3} ms, no worse"
        alone, beside = runs[store, 0], runs[store, idle]
        reason = failed.get((store, 0)) or failed.get((store, idle))
        if reason:
            results.append(failure(row, goal, reason))
            continue
        p50, times = med(beside, "p50_us"), ratio(beside, alone, "p50_us")
        # "No worse" within what two runs of the same thing differ by.
        passed = p50 <= limit and (times <= 1.2 or p50 - med(alone, "p50_us") <= 30)
        clean = all(is_clean(run) for run in beside)
        results.append(result(row, goal, f"p50 {p50 / 1e3:.3f} ms, p99 {med(beside, 'p99_us') / 1e3:.2f}; none idle "
                              f"{med(alone, 'p50_us') / 1e3:.3f}", passed and clean, beside))
    return results


# Memory and CPU of idle sockets

def idle_sockets(bench, server, count, port, **options):
    """Private bytes a socket, and the server's CPU share while nothing happens."""
    with bench.using(server):
        before = private_bytes(server.process.pid)
        with bench.loadgen_running("idle", server, devices=count, port=port, burst=128, limit=300, **options) as held:
            time.sleep(2)  # allocators and handshake buffers settle
            after, used, begin = private_bytes(server.process.pid), cpu_seconds(server.process.pid), time.monotonic()
            time.sleep(8)
            share = (cpu_seconds(server.process.pid) - used) / (time.monotonic() - begin)
            opened = held.first
    return {"bytes": (after - before) / count, "idle_cpu": share, "requests": count, "open_s": opened["seconds"],
            "self_cpu": opened["self_cpu"], "server_cpu_s": opened["server_cpu_s"]}


def row_memory(bench):
    certificate = bench.certificate()
    results = []
    # A device over TLS takes the relay three files: its socket, and the pair to libwebsockets.
    for name, tls, goal, files in (("idle socket", None, 2500, 1), ("idle TLS socket", certificate, 19000, 3)):
        count = min(15000, (bench.files - RESERVED_FILES) // files)
        server = bench.bare(tls)
        bare = idle_sockets(bench, server, count, server.port, **({"tls": True} if tls else {}))
        results.append(result(f"{name}, {count:,}: bare", "", f"{bare['bytes']:,.0f} B private", None, [bare]))
        server = bench.relay("sqlite", tls=tls)
        port = server.tls_port or server.port
        relay = idle_sockets(bench, server, count, port, **({"tls": True} if tls else {}))
        results.append(result(f"{name}, {count:,}: relay", f"<= {goal / 1e3:g} KB, idle CPU < 0.5 %",
                              f"{relay['bytes']:,.0f} B private, idle CPU {relay['idle_cpu']:.2%}",
                              relay["bytes"] <= goal and relay["idle_cpu"] < 0.005, [relay]))
    return results


# Queues, returning devices, growth

def drain(bench):
    with bench.using(bench.relay("sqlite")) as server:
        devices = register(bench, server)
        bench.loadgen("post", server, devices_file=devices, per_device=50)
        run = bench.loadgen("drain", server, devices_file=devices, per_device=50, burst=DEVICES, limit=60)
        again = bench.loadgen("drain", server, devices_file=devices, per_device=0, burst=DEVICES, limit=30)
        run["again"] = again["unexpected"]
        return run


def row_drain(bench):
    runs, failed = rounds(bench, {"sqlite": lambda: drain(bench)})
    if failed:
        raise BenchError(failed["sqlite"])
    runs = runs["sqlite"]
    clean = all(is_clean(run) and run["unexpected"] == run["again"] == 0 for run in runs)
    rate = med(runs, "per_second")
    return [result("drain, 1,000 devices x 50: relay, sqlite", ">= 60,000/s, in order, once",
                   f"{rate:,.0f}/s, {'in order, none lost, none twice' if clean else 'LOST, DOUBLED or DISORDERED'}",
                   clean and rate >= 60000, runs)]


def come_back(bench, server, count, **options):
    """kill -9 and start again, with the devices and the senders watching."""
    with bench.using(server):
        options = dict(options, burst=3000, connections=8, limit=90)
        if options.get("rate"):
            options["devices_file"] = register(bench, server, count)
        else:
            options["devices"] = count
        with bench.loadgen_running("return", server, **options) as watching:
            time.sleep(1)  # some messages first
            server.stop(signal.SIGKILL)
            server.start()
            text, errors = watching.communicate()
        if watching.returncode != 0:
            raise BenchError(errors.strip())
        return json.loads(text)


def row_return(bench):
    count = min(10000, bench.files - RESERVED_FILES)
    runs, failed = rounds(bench, {
        "bare": lambda: come_back(bench, bench.bare(), count),
        "sqlite": lambda: come_back(bench, bench.relay("sqlite"), count, rate=200),
    })
    if failed:
        raise BenchError("; ".join(failed.values()))
    for run in runs["bare"] + runs["sqlite"]:
        run["back_s"] = run["away_s"] + run["return_s"]
    times = ratio(runs["sqlite"], runs["bare"], "back_s")
    bad = sorted({status for run in runs["sqlite"] for status in run["statuses"] if status not in ("201", "503")})
    lost = sum(run["lost"] for run in runs["sqlite"])
    measured = (f"{times:.2f} x ({med(runs['sqlite'], 'back_s'):.2f} s for {med(runs['bare'], 'back_s'):.2f} s); "
                f"senders: {'only 201, 503, refused' if not bad else 'ALSO ' + ' '.join(bad)}, {lost} lost")
    return [result(f"{count:,} devices back after kill -9: relay, sqlite", "<= 2 x bare; 201, 503 or refused",
                   measured, times <= 2 and not bad and lost == 0, [dict(run, server_cpu_s=[]) for run in runs["sqlite"]])]


def row_growth(bench):
    devices = int(os.environ.get("BENCH_GROWTH", "100000"))
    folder = bench.folder()
    with bench.using(bench.relay("sqlite", folder=folder)) as server:
        paths = register(bench, server, devices)
        bench.loadgen("post", server, devices_file=paths, per_device=10, limit=600)

    def filled():
        with bench.using(bench.relay("sqlite", folder=folder)) as full:
            return dict(bench.loadgen("post", full, devices_file=paths), start_s=full.start_sec)

    runs, failed = rounds(bench, {"empty": lambda: accept_relay(bench, "sqlite"), "filled": filled})
    if failed:
        raise BenchError("; ".join(failed.values()))
    times = ratio(runs["empty"], runs["filled"])
    cpu = median([server_us(full) / server_us(empty) for full, empty in zip(runs["filled"], runs["empty"])])
    start = max(run["start_s"] for run in runs["filled"])
    return [result(f"POST at {devices:,} devices, {devices * 10:,} queued: relay, sqlite", "<= 1.2 x the empty store",
                   f"{times:.2f} x the time ({med(runs['filled'], 'per_second'):,.0f}/s), {cpu:.2f} x the CPU",
                   times <= 1.2, runs["filled"]),
            Result("  start-up with it", "< 2 s", f"{start:.2f} s (worst)", start < 2)]


# Two workers

def cores(run):
    used = [seconds / run["seconds"] for seconds in run["server_cpu_s"]]
    return f"cores: redis {used[1]:.2f}, workers {' + '.join(f'{share:.2f}' for share in used[2:])}"


def row_workers(bench):
    def post():
        with bench.using(bench.relay("redis", workers=2)) as server:
            return bench.loadgen("post", server, devices_file=register(bench, server))

    runs, failed = rounds(bench, {
        "post": post, "deliver": lambda: deliver(bench, bench.relay("redis", workers=2), connections=16)})
    results = []
    for name, row in (("post", "POST, c=64: 2 workers, redis"), ("deliver", "deliver, 16 in flight: 2 workers, redis")):
        if name in failed:
            results.append(failure(row, "", failed[name]))
            continue
        middle = sorted(runs[name], key=lambda run: run["per_second"])[len(runs[name]) // 2]
        results.append(result(row, "", f"{middle['per_second']:,.0f}/s, {cores(middle)}", None, runs[name]))
    return results


ROWS = {
    "accept": row_accept,
    "single": row_single,
    "deliver": row_deliver,
    "beside": row_beside,
    "memory": row_memory,
    "drain": row_drain,
    "return": row_return,
    "growth": row_growth,
    "workers": row_workers,
}
