# SPDX-License-Identifier: Apache-2.0
"""The mail of one JMAP account: mailboxes, emails, and the log of changes that state strings point into."""

import datetime
import itertools
import time

SPECIAL = (("inbox", "Inbox"), ("archive", "Archive"), ("sent", "Sent"), ("junk", "Junk"), ("trash", "Trash"))
_numbers = itertools.count(1)


class CannotCalculate(Exception):
    """A state that is unknown here, or older than what is kept."""


def utc(moment=None):
    moment = moment or datetime.datetime.now(datetime.timezone.utc)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


class Account:
    def __init__(self, identifier, name, is_personal=True, is_read_only=False):
        self.id, self.name = identifier, name
        self.is_personal, self.is_read_only = is_personal, is_read_only
        self.prefix = f"s{next(_numbers)}-"
        self.clock = 0  # counts every change
        self.now = time.time
        self.kept_from = 0  # changes before it are forgotten
        self.log = []  # (clock, type, "created" | "updated" | "destroyed", id)
        self.latest = {}  # type: clock of its last change
        self.emails = {}
        self.mailboxes = {}
        for order, (role, title) in enumerate(SPECIAL):
            self.add_mailbox(title, role, order)

    # ---- states ----

    def state(self, kind):
        return f"{self.prefix}{self.latest.get(kind, 0)}"

    def states(self, kinds):
        return {kind: self.state(kind) for kind in kinds}

    def note(self, kind, what, identifier):
        self.latest[kind] = self.clock
        self.log.append((self.clock, kind, what, identifier))

    def forget_history(self):
        """All states known so far are too old from now on."""
        self.clock += 1
        self.kept_from = self.clock
        self.log.clear()
        for kind in ("Email", "Mailbox", "Thread", "EmailDelivery"):
            self.latest[kind] = self.clock

    def changes(self, kind, since, limit):
        """(created, updated, destroyed, new state, whether there are more) since a state."""
        number = since.removeprefix(self.prefix)
        if not since.startswith(self.prefix) or not number.isdigit():
            raise CannotCalculate
        after = int(number)
        if after < self.kept_from or after > self.clock:
            raise CannotCalculate
        order, where = [], after
        groups = itertools.groupby((e for e in self.log if e[0] > after and e[1] == kind), key=lambda e: e[0])
        has_more = False
        for clock, entries in groups:
            entries = list(entries)
            if limit and order and len({e[3] for e in order + entries}) > limit:
                has_more = True
                break
            order += entries
            where = clock
        sets = {"created": [], "updated": [], "destroyed": []}
        for identifier in dict.fromkeys(e[3] for e in order):
            what = [e[2] for e in order if e[3] == identifier]
            if "created" in what and "destroyed" in what:
                continue
            for word in ("created", "destroyed", "updated"):
                if word in what:
                    sets[word].append(identifier)
                    break
        state = f"{self.prefix}{where}" if has_more else self.state(kind)
        return sets["created"], sets["updated"], sets["destroyed"], state, has_more

    # ---- what happens to mail; each gives the names of the types it changed ----

    def add_mailbox(self, title, role=None, order=10):
        self.clock += 1
        identifier = f"mb{next(_numbers)}"
        self.mailboxes[identifier] = {
            "id": identifier, "name": title, "role": role, "parentId": None, "sortOrder": order, "isSubscribed": True,
            "myRights": {"mayReadItems": True, "maySetSeen": True},
        }  # fmt: skip
        self.note("Mailbox", "created", identifier)
        return identifier

    def mailbox_id(self, name):
        for identifier, mailbox in self.mailboxes.items():
            if name in (identifier, mailbox["role"], mailbox["name"]):
                return identifier
        raise KeyError(name)

    def deliver(self, subject="Hello", sender=("Bob", "bob@example.net"), mailbox="inbox", is_seen=False, **more):
        """A mail that arrives: its id."""
        self.clock += 1
        number = next(_numbers)
        identifier, where = f"em{number}", self.mailbox_id(mailbox)
        now = utc(datetime.datetime.fromtimestamp(self.now(), datetime.timezone.utc))
        self.emails[identifier] = {
            "id": identifier, "blobId": f"bl{number}", "threadId": f"th{number}", "mailboxIds": {where: True},
            "keywords": {"$seen": True} if is_seen else {}, "size": 1000 + len(subject),
            "receivedAt": now, "sentAt": now, "messageId": [f"{number}@example.net"], "inReplyTo": None,
            "from": [{"name": sender[0], "email": sender[1]}], "to": [{"name": None, "email": self.name}],
            "cc": None, "bcc": None, "replyTo": None, "sender": None,
            "subject": subject, "preview": f"Text of {number}", "hasAttachment": False, **more,
        }  # fmt: skip
        for kind in ("Email", "EmailDelivery", "Thread"):
            self.note(kind, "created", identifier if kind != "Thread" else f"th{number}")
        self.note("Mailbox", "updated", where)
        return identifier

    def change(self, identifier, keywords=None, mailbox=None):
        """Keywords set (True) or taken away (None, False), and another mailbox."""
        self.clock += 1
        email = self.emails[identifier]
        for keyword, value in (keywords or {}).items():
            email["keywords"].pop(keyword, None)
            if value:
                email["keywords"][keyword] = True
        touched = set(email["mailboxIds"])
        if mailbox:
            email["mailboxIds"] = {self.mailbox_id(mailbox): True}
            touched |= set(email["mailboxIds"])
        self.note("Email", "updated", identifier)
        for where in touched:
            self.note("Mailbox", "updated", where)

    def destroy(self, identifier):
        self.clock += 1
        email = self.emails.pop(identifier)
        self.note("Email", "destroyed", identifier)
        self.note("Thread", "destroyed", email["threadId"])
        for where in email["mailboxIds"]:
            self.note("Mailbox", "updated", where)

    def touch(self, kind):
        """A change of another type: Calendar, ContactCard."""
        self.clock += 1
        self.note(kind, "updated", f"{kind}1")

    # ---- what is asked ----

    def mailbox(self, identifier):
        inside = [e for e in self.emails.values() if identifier in e["mailboxIds"]]
        unread = sum("$seen" not in e["keywords"] for e in inside)
        counts = {"totalEmails": len(inside), "unreadEmails": unread}
        return {**self.mailboxes[identifier], **counts, "totalThreads": len(inside), "unreadThreads": unread}

    def query(self, condition, ascending=False):
        found = [e for e in self.emails.values() if matches(e, condition or {})]
        found.sort(key=lambda e: (e["receivedAt"], int(e["id"][2:])), reverse=not ascending)
        return [e["id"] for e in found]


def matches(email, condition):
    if "operator" in condition:
        results = [matches(email, each) for each in condition["conditions"]]
        return {"AND": all(results), "OR": any(results), "NOT": not any(results)}[condition["operator"]]
    tests = {
        "inMailbox": lambda v: v in email["mailboxIds"],
        "inMailboxOtherThan": lambda v: bool(set(email["mailboxIds"]) - set(v)),
        "hasKeyword": lambda v: v in email["keywords"],
        "notKeyword": lambda v: v not in email["keywords"],
        "after": lambda v: email["receivedAt"] >= v,
        "before": lambda v: email["receivedAt"] < v,
        "subject": lambda v: v.lower() in email["subject"].lower(),
        "text": lambda v: v.lower() in email["subject"].lower(),
    }
    return all(tests[name](value) for name, value in condition.items())
