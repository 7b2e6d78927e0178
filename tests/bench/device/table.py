# SPDX-License-Identifier: Apache-2.0
"""The table of what the distributor costs, beside what others need for an idle hour."""

# Computed for TLS 1.3 over IPv4 (52 bytes of headers a segment, 22 a record, an acknowledgement for each exchange).
PEERS = {
    "Firefox": "0.4 KB, 2.9 with a server's ping each 300 s",
    "Sunup": "13.3 KB, 15.8 with a server's ping each 300 s",
    "KUnifiedPush": "2.5 KB, 5.0 with a server's ping each 300 s",
    "ntfy": "17 KB (JSON, 1 topic), 28 KB (10 topics), 21 KB (WebSocket)",
}


def rows(found):
    """(cost, goal, measured, passed)."""
    def milliseconds(name):
        return f"p50 {found[name]['p50_ms']:.2f} ms, p99 {found[name]['p99_ms']:.2f} ms"

    return [
        ("idle hour: traffic, both directions", "<= 1.5 KB", f"{found['bytes_hour'] / 1000:.2f} KB",
         found["bytes_hour"] <= 1500),
        ("idle hour: wake-ups beyond traffic, all threads", "<= 10", f"{found['wakeups_hour']:.1f}",
         found["wakeups_hour"] <= 10),
        ("armed timers, the next one due", "", f"{len(found['timers'])}, in {found['timers'][0]:.0f} s", None),
        ("private memory", "<= 6 MB", f"{found['private_bytes'] / 1e6:.2f} MB", found["private_bytes"] <= 6e6),
        ("relay's frame on the wire to the call at the app", "p99 < 2 ms", milliseconds("frame_to_app"),
         found["frame_to_app"]["p99_ms"] < 2),
        ("  the same bus and app, called by a program that does nothing else", "", milliseconds("bus_alone"), None),
        ("POST to the call at the app", "", milliseconds("post_to_app"), None),
    ]


def markdown(found):
    lines = [("cost", "goal", "Bellwire", "", *PEERS)]
    for number, (cost, goal, measured, passed) in enumerate(rows(found)):
        verdict = {True: "pass", False: "MISS", None: ""}[passed]
        peers = PEERS.values() if number == 0 else [""] * len(PEERS)
        lines.append((cost, goal, measured, verdict, *peers))
    text = ["| " + " | ".join(line) + " |" for line in lines]
    return "\n".join([text[0], "|" + "---|" * len(lines[0]), *text[1:]])


def explanation(found):
    return (
        f"{found['apps']} apps registered, a learned heartbeat of {found['heartbeat_s'] // 60} min, on battery, TLS 1.3, "
        f"{found['idle_min']:g} min watched.\n"
        f"Traffic: IP packets on the wire with their IP and TCP headers: {found['idle_bytes']} bytes in the "
        f"{found['idle_min']:g} min beside heartbeats, and {found['exchange_bytes']} bytes for a heartbeat, "
        f"{found['exchanges_hour']:.1f} of them an hour.\n"
        f"Wake-ups: voluntary context switches; {found['wakeups_beside']} in the {found['idle_min']:g} min without a "
        f"packet near them, {found['wakeups_all']} in all.\n"
        f"Latency: {found['messages']} messages, one at a time, to apps in turn; the clock starts with the packet of the "
        "relay's frame, and with the POST.\n"
        "Other clients: traffic computed for their usual settings, not measured; they publish no other figures."
    )
