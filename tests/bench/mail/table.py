# SPDX-License-Identifier: Apache-2.0
"""The table of what new mail costs in time, and a flood of changes in requests."""

GOAL_MS = 50


def rows(found):
    """(what, goal, measured, passed)."""

    def milliseconds(name):
        return "median {p50_ms:.1f} ms, p99 {p99_ms:.1f} ms, longest {max_ms:.1f} ms".format(**found[name])

    most = found["windows"] + 2  # the first change is looked at at once, and the last after its window
    return [
        ("mail server's POST to the relay's 201: the message is on the disk", "", milliseconds("kept"), None),
        ("mail server's POST to the notification", "", milliseconds("shown"), None),
        ("  beyond the mail server's answers", f"p99 < {GOAL_MS} ms", milliseconds("shown_beyond"),
         found["shown_beyond"]["p99_ms"] < GOAL_MS),
        ("mail server's POST to the command's start", "", milliseconds("began"), None),
        ("  beyond the mail server's answers", f"p99 < {GOAL_MS} ms", milliseconds("began_beyond"),
         found["began_beyond"]["p99_ms"] < GOAL_MS),
        ("requests for a mail", "", f"{found['requests_mail']:.2f}", None),
        (f"{found['changes']} changes in {found['flood_s']:.0f} s: requests", f"one a window ({most:.0f})",
         f"{found['requests']}", found["requests"] <= most),
        ("  runs of the command", "", f"{found['commands']}", None),
        ("  CPU of the distributor, of the relay", "", f"{found['cpu_ms']:.0f} ms, {found['relay_cpu_ms']:.0f} ms", None),
    ]  # fmt: skip


def markdown(found):
    verdicts = {True: "pass", False: "MISS", None: ""}
    lines = [("cost", "goal", "measured", "")]
    lines += [(what, goal, measured, verdicts[passed]) for what, goal, measured, passed in rows(found)]
    text = ["| " + " | ".join(line) + " |" for line in lines]
    return "\n".join([text[0], "|" + "---|" * len(lines[0]), *text[1:]])


def explanation(found):
    return (
        f"{found['mails']} mails, one at a time, each outside of the window of the last; the mail server is the one of "
        "the tests, TLS on all ways, the relay's store is SQLite, and everything runs on one machine.\n"
        "The notification is there when the desktop's program has it, the command when its first instruction runs, as a "
        "child of the distributor.\n"
        "Beyond the answers: without the time that the mail server took from the head of a request to its answer."
    )
