# SPDX-License-Identifier: Apache-2.0
"""The method calls of JMAP (RFC 8620, RFC 8621) that a mail notifier needs, on accounts of mailstore."""

import datetime
import itertools
import secrets
import urllib.parse

from mailstore import CannotCalculate, utc
from pusher import WEEK, Subscription
from webpush import check_keys, raw_keys

MAX_CHANGES = 100
OTHER_TYPES = ("Calendar", "CalendarEvent", "AddressBook", "ContactCard", "SieveScript", "Quota")
SUBSCRIPTION_FIELDS = ("id", "deviceClientId", "verificationCode", "expires", "types")
WRITABLE = {"verificationCode", "expires", "types"}
_numbers = itertools.count(1)


class MethodError(Exception):
    """Becomes ["error", {"type": ...}, id]."""

    def __init__(self, kind, **more):
        super().__init__(kind)
        self.answer = {"type": kind, **more}


# ---- result references, RFC 8620 section 3.7 ----


def resolve(arguments, answers):
    resolved = {}
    for name, value in arguments.items():
        if not name.startswith("#"):
            resolved[name] = value
            continue
        if name[1:] in arguments:
            raise MethodError("invalidArguments", description=f"{name} twice")
        source = next((a for a in answers if a[2] == value["resultOf"] and a[0] == value["name"]), None)
        if source is None:
            raise MethodError("invalidResultReference")
        resolved[name[1:]] = walk(source[1], value["path"].split("/")[1:])
    return resolved


def walk(thing, steps):
    for at, step in enumerate(steps):
        if isinstance(thing, list) and step == "*":
            found = [walk(each, steps[at + 1 :]) for each in thing]
            return [x for each in found for x in (each if isinstance(each, list) else [each])]
        try:
            thing = thing[int(step)] if isinstance(thing, list) else thing[step.replace("~1", "/").replace("~0", "~")]
        except (KeyError, ValueError, IndexError, TypeError):
            raise MethodError("invalidResultReference") from None
    return thing


# ---- the methods: (server, login, arguments) -> answer ----


def account_of(login, arguments):
    account = login.accounts.get(arguments.get("accountId"))
    if account is None:
        raise MethodError("accountNotFound")
    return account


def get(account, kind, arguments, found):
    """What /get of every type has in common; found: id -> object."""
    ids = arguments.get("ids")
    wanted = list(found) if ids is None else list(dict.fromkeys(ids))
    names = arguments.get("properties")
    things = [found[i] for i in wanted if i in found]
    if names is not None:
        things = [{k: v for k, v in each.items() if k == "id" or k in names} for each in things]
    return {
        "accountId": account.id, "state": account.state(kind), "list": things,
        "notFound": [i for i in wanted if i not in found],
    }  # fmt: skip


def core_echo(server, login, arguments):
    return arguments


def mailbox_get(server, login, arguments):
    account, ids = account_of(login, arguments), arguments.get("ids")
    if len(account.mailboxes if ids is None else ids) > server.max_objects:
        raise MethodError("requestTooLarge")
    return get(account, "Mailbox", arguments, {i: account.mailbox(i) for i in account.mailboxes})


def mailbox_query(server, login, arguments):
    account = account_of(login, arguments)
    role = (arguments.get("filter") or {}).get("role")
    ids = [i for i, m in account.mailboxes.items() if role is None or m["role"] == role]
    return query_answer(account, "Mailbox", arguments, ids)


def email_get(server, login, arguments):
    account = account_of(login, arguments)
    if arguments.get("ids") is None or len(arguments["ids"]) > server.max_objects:
        raise MethodError("requestTooLarge")
    return get(account, "Email", arguments, account.emails)


def query_answer(account, kind, arguments, ids):
    position = max(0, arguments.get("position") or 0)
    limit = arguments.get("limit")
    answer = {
        "accountId": account.id, "queryState": account.state(kind), "canCalculateChanges": False, "position": position,
        "ids": ids[position:] if limit is None else ids[position : position + limit],
    }  # fmt: skip
    return {**answer, "total": len(ids)} if arguments.get("calculateTotal") else answer


def email_query(server, login, arguments):
    account = account_of(login, arguments)
    sort = (arguments.get("sort") or [{}])[0]
    try:
        ids = account.query(arguments.get("filter"), sort.get("isAscending", "property" in sort))
    except KeyError as error:
        raise MethodError("unsupportedFilter", description=str(error)) from None
    return query_answer(account, "Email", arguments, ids)


def changes_of(kind):
    def changes(server, login, arguments):
        account = account_of(login, arguments)
        since, limit = arguments.get("sinceState"), arguments.get("maxChanges")
        if not isinstance(since, str) or (limit is not None and limit <= 0):
            raise MethodError("invalidArguments")
        try:
            created, updated, destroyed, state, more = account.changes(kind, since, min(limit or MAX_CHANGES, MAX_CHANGES))
        except CannotCalculate:
            raise MethodError("cannotCalculateChanges") from None
        answer = {
            "accountId": account.id, "oldState": since, "newState": state, "hasMoreChanges": more,
            "created": created, "updated": updated, "destroyed": destroyed,
        }  # fmt: skip
        return {**answer, "updatedProperties": None} if kind == "Mailbox" else answer

    return changes


def state_of(kind):
    """/get of types that have no objects here, but states."""
    return lambda server, login, arguments: get(account_of(login, arguments), kind, arguments, {})


def email_set(server, login, arguments):
    account = account_of(login, arguments)
    if account.is_read_only:
        raise MethodError("accountReadOnly")
    old = account.state("Email")
    if arguments.get("ifInState") not in (None, old):
        raise MethodError("stateMismatch")
    updated, failed = {}, {}
    for identifier, patch in (arguments.get("update") or {}).items():
        if identifier not in account.emails:
            failed[identifier] = {"type": "notFound"}
            continue
        keywords = {k.removeprefix("keywords/"): v for k, v in patch.items() if k.startswith("keywords/")}
        account.change(identifier, patch.get("keywords", keywords))
        updated[identifier] = None
    destroyed = [i for i in arguments.get("destroy") or [] if i in account.emails]
    for identifier in destroyed:
        account.destroy(identifier)
    if updated or destroyed:
        server.announce(account, ("Email", "Mailbox"))
    return {
        "accountId": account.id, "oldState": old, "newState": account.state("Email"), "created": None,
        "updated": updated or None, "destroyed": destroyed or None, "notUpdated": failed or None,
    }  # fmt: skip


# ---- PushSubscription, RFC 8620 section 7.2: no accountId, no states ----


def shown(subscription, digits=0):
    code = subscription.code if subscription.is_verified else None
    expires = utc(datetime.datetime.fromtimestamp(subscription.expires, datetime.timezone.utc))
    if digits:
        expires = f"{expires[:-1]}.{'1' * digits}Z"
    return {
        "id": subscription.id, "deviceClientId": subscription.device, "verificationCode": code,
        "expires": expires,
        "types": subscription.types,
    }  # fmt: skip


def push_get(server, login, arguments):
    refuse_account(arguments)
    names = arguments.get("properties") or SUBSCRIPTION_FIELDS
    if "url" in names or "keys" in names:
        raise MethodError("forbidden")
    found = {s.id: shown(s, server.pusher.style.expires_digits) for s in server.pusher.of(login.user)}
    ids = arguments.get("ids")
    wanted = list(found) if ids is None else ids
    things = [{k: v for k, v in found[i].items() if k == "id" or k in names} for i in wanted if i in found]
    return {"list": things, "notFound": [i for i in wanted if i not in found]}


def refuse_account(arguments):
    if set(arguments) & {"accountId", "ifInState"}:
        raise MethodError("invalidArguments", description="PushSubscription has neither account nor state")


def set_error(kind, *properties, description=None):
    error = {"type": kind, "description": description or kind}
    return {**error, "properties": list(properties)} if properties else error


def expires_of(server, wish):
    latest = server.pusher.clock() + server.pusher.lifetime
    if wish is None:
        return latest
    moment = datetime.datetime.strptime(wish, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=datetime.timezone.utc)
    return min(latest, moment.timestamp())


def push_keys(server, wish):
    keys = wish.get("keys")
    return raw_keys(keys) if keys and server.pusher.style.keys_are_spki else keys


def push_problem(server, login, wish):
    """The SetError of a creation, or None."""
    url = wish.get("url")
    if set(wish) - {"deviceClientId", "url", "keys", "expires", "types", "verificationCode"}:
        return set_error("invalidProperties", *wish)
    if not isinstance(wish.get("deviceClientId"), str) or not wish["deviceClientId"]:
        return set_error("invalidProperties", "deviceClientId")
    schemes = ("https", "http") if server.allow_http else ("https",)
    if not isinstance(url, str) or len(url) >= 512 or urllib.parse.urlsplit(url).scheme not in schemes:
        return set_error("invalidProperties", "url")
    if wish.get("verificationCode") is not None:
        return set_error("invalidProperties", "verificationCode")
    try:
        if wish.get("keys") is not None:
            check_keys(push_keys(server, wish))
    except (ValueError, KeyError, TypeError) as error:
        if server.pusher.style.keys_are_spki:
            return set_error("invalidArguments", description=f"java.security.InvalidKeyException: {error}")
        return set_error("invalidProperties", "keys", description=str(error))
    others = server.pusher.of(login.user)
    if server.pusher.style.must_verify and any(other.device == wish["deviceClientId"] for other in others):
        return set_error("invalidArguments", description=f"`{wish['deviceClientId']}` deviceClientId must be unique")
    if len(others) >= server.max_subscriptions:
        return set_error(server.limit_error, description="There are too many subscriptions.")
    return None


def push_create(server, login, wish):
    """(created, None) or (None, SetError)."""
    problem = push_problem(server, login, wish)
    if problem:
        return None, problem
    pusher = server.pusher
    subscription = Subscription(
        f"ps{next(_numbers)}", login.user, wish["deviceClientId"], wish["url"], push_keys(server, wish), wish.get("types"),
        expires_of(server, wish.get("expires")), secrets.token_urlsafe(24), pusher.vapid,
    )  # fmt: skip
    pusher.subscriptions[subscription.id] = subscription
    if server.verify_first or pusher.style.must_verify:
        if not server.verified_in_time(subscription):
            del pusher.subscriptions[subscription.id]
            return None, set_error("invalidProperties", "url", description="the URL could not be verified")
    else:
        pusher.verify(subscription)
    return {"id": subscription.id, "keys": None, "expires": shown(subscription, pusher.style.expires_digits)["expires"]}, None


def push_update(server, subscription, patch):
    """The SetError of an update, or None."""
    if set(patch) - WRITABLE:
        return set_error("invalidProperties", *(set(patch) - WRITABLE))
    if patch.get("verificationCode") not in (None, subscription.code):
        return set_error("invalidProperties", "verificationCode")
    if patch.get("verificationCode"):
        subscription.is_verified = True
    if "expires" in patch:
        subscription.expires = expires_of(server, patch["expires"])
    if "types" in patch:
        subscription.types = patch["types"]
    server.pusher.verify(subscription)  # once more, when it is not verified yet
    return None


def push_set(server, login, arguments):
    refuse_account(arguments)
    answer = {name: {} for name in ("created", "updated", "notCreated", "notUpdated", "notDestroyed")}
    answer["destroyed"] = []
    mine = {s.id: s for s in server.pusher.of(login.user)}
    for identifier in arguments.get("destroy") or []:
        if mine.pop(identifier, None):
            del server.pusher.subscriptions[identifier]
            answer["destroyed"].append(identifier)
        else:
            answer["notDestroyed"][identifier] = set_error("notFound")
    for identifier, patch in (arguments.get("update") or {}).items():
        error = push_update(server, mine[identifier], patch) if identifier in mine else set_error("notFound")
        if error:
            answer["notUpdated"][identifier] = error
        else:
            wish = patch.get("expires")
            real = shown(mine[identifier], server.pusher.style.expires_digits)["expires"]
            answer["updated"][identifier] = {"expires": real} if "expires" in patch and wish != real else None
    for key, wish in (arguments.get("create") or {}).items():
        created, error = push_create(server, login, wish)
        answer["created" if created else "notCreated"][key] = created or error
    return {name: value or None for name, value in answer.items()}


METHODS = {
    "Core/echo": core_echo,
    "Mailbox/get": mailbox_get,
    "Mailbox/query": mailbox_query,
    "Mailbox/changes": changes_of("Mailbox"),
    "Email/get": email_get,
    "Email/query": email_query,
    "Email/changes": changes_of("Email"),
    "Email/set": email_set,
    **{f"{kind}/get": state_of(kind) for kind in OTHER_TYPES},
    "PushSubscription/get": push_get,
    "PushSubscription/set": push_set,
}
assert WEEK >= 48 * 3600


def run(server, login, calls, created_ids=None):
    """methodResponses of methodCalls."""
    answers = []
    for name, arguments, identifier in calls:
        try:
            fault = server.method_fault(name)
            if fault:
                raise MethodError(fault)
            if name not in METHODS:
                raise MethodError("unknownMethod")
            with server.lock:
                answer = METHODS[name](server, login, resolve(arguments, answers))
            twist = server.twists.get(name)
            answers.append([name, twist(arguments, answer) if twist else answer, identifier])
        except MethodError as error:
            answers.append(["error", error.answer, identifier])
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            answers.append(["error", {"type": "invalidArguments", "description": repr(error)}, identifier])
    return answers
