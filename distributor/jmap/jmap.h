/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mail by JMAP: for each login of the config a PushSubscription of our own at the mail server,
 * whose endpoint is a registration here; a StateChange makes us ask what changed, show it, and run
 * the user's command. Without PushSubscription at the server: EventSource, or a look every 15
 * minutes. Nothing is missed: after gaps every login resynchronises by state.
 */
#pragma once
#include "distributor/alarm.h"
#include "distributor/bus/bus.h"
#include "distributor/disk.h"
#include "distributor/dispatch.h"
#include "distributor/jmap/jmap_config.h"
#include "distributor/registrations.h"

struct notify;
struct jmap_options {
	struct ev_loop *loop;
	struct alarms *alarms;
	struct bus *session_bus; /* NULL: no notifications, no Secret Service, no transient units */
	struct registrations *registrations;
	struct dispatch *dispatch;
	struct disk *disk;
	struct notify *notify;
	const char *state_dir; /* jmap-NAME.json lies there; copied */
	bool is_on_mains, is_online; /* at the start */
	bool use_proxy; /* of the environment */
	/* Something that jmap_status() says has changed. */
	void (*changed)(void *ctx);
	void *ctx;
};
struct jmap;
/* Becomes the dispatch target of REGISTRATION_MAIL. Registrations of logins that are not in the
 * config go. */
struct jmap *jmap_open(const struct jmap_options *options, struct jmap_configs *take_configs);
/* NULL is fine. What is to be kept is handed to the disk: before disk_close(). */
void jmap_close(struct jmap *jmap);
/* Another config (the struct is empty afterwards): logins that are new or changed start anew,
 * those that are gone end at their server, too. */
void jmap_reload(struct jmap *jmap, struct jmap_configs *take_configs);

/* Look at every login now, by state: "missed", "resume", "relay", "network", "asked". jmap NULL is
 * fine here and in what follows. */
void jmap_resync(struct jmap *jmap, const char *why);
/* The link to the relay: while it is down logins poll. */
void jmap_set_relay_up(struct jmap *jmap, bool is_up);
void jmap_set_mains(struct jmap *jmap, bool on_mains);
/* Is there a way into the network? Without one nothing is asked. */
void jmap_set_online(struct jmap *jmap, bool is_online);
/* It may be another one than before. */
void jmap_on_network(struct jmap *jmap);
/* False when there is no such login. A pause is kept over restarts: done, once, later, when it is
 * on the disk. */
bool jmap_pause(struct jmap *jmap, const char *name, bool is_paused, disk_done_fn *done, void *ctx);

enum jmap_way { JMAP_WAY_NONE, JMAP_WAY_PUSH, JMAP_WAY_STREAM, JMAP_WAY_POLL, JMAP_WAY_COUNT };
const char *jmap_way_name(enum jmap_way way);
struct jmap_status {
	const char *name, *user, *server;
	enum jmap_way way;
	const char *reason; /* why this way, and not push; or what is wrong; "" when all is well */
	const char *push; /* push_subscription_state_name() */
	bool is_paused;
	int64_t verified_ms, expires_ms, pushed_ms, synced_ms; /* wall clock; 0: never */
	int64_t round_trip_ms; /* from PushSubscription/set to its PushVerification; -1: unknown */
	int64_t again_ms; /* until the next look or attempt; -1: none is planned */
	uint32_t unread; /* in the chosen mailboxes */
};
/* Visits all: for (size_t at = 0; jmap_status(jmap, at, &status); at++) */
size_t jmap_count(const struct jmap *jmap);
bool jmap_status(const struct jmap *jmap, size_t at, struct jmap_status *out_status);

/* Once, later: a sentence for people, and whether it worked. */
typedef void jmap_tested_fn(bool is_good, const char *sentence, void *ctx);
/* `bellwire jmap test`: makes the server push, and waits for it. */
void jmap_test(struct jmap *jmap, const char *name, jmap_tested_fn *done, void *ctx);
/* `bellwire jmap remove`: ends it at the server, and here until the next reload. */
void jmap_remove(struct jmap *jmap, const char *name, jmap_tested_fn *done, void *ctx);
