/* SPDX-License-Identifier: Apache-2.0 */
/* JmapList is asked again when JmapChanged comes, and now and then. */
#include "distributor/ctl/jmap_wait.h"
#include "common/cleanup.h"
#include "common/mem.h"
#include "distributor/alarm.h"
#include "distributor/bus/control.h"
#include "distributor/ctl/commands.h"
#include "distributor/ctl/daemon.h"
#include <string.h>

enum {
	WAIT_QUIET_MS = 4000, /* then the user hears what is waited for */
	WAIT_LOOK_MS = 500,
	WAIT_SETTLE_MS = 700, /* a failure and its reason come in two steps */
	WAIT_STREAM_MS = 5000, /* an event stream is tried meanwhile */
};

struct jmap_wait {
	sd_bus *bus;
	const char *name;
	int64_t until_ms, tell_ms;
	int64_t failed_ms; /* since when it has failed for one reason; 0: it has not */
	char *failure; /* that reason */
	char *told; /* the reason that the user knows */
};

static int jmap_wait_on_changed(sd_bus_message *signal, void *ctx, sd_bus_error *error) {
	(void)signal; /* it ends sd_bus_wait() */
	(void)ctx;
	(void)error;
	return 0;
}

static int jmap_wait_look(struct jmap_wait *wait, json_t **out_login) {
	CLEANUP(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	size_t i;
	json_t *login;
	int result = daemon_call(wait->bus, "JmapList", &reply, NULL);
	if (result != COMMAND_OK) {
		return result;
	}
	json_t *logins = daemon_read_dicts(reply);
	*out_login = NULL;
	json_array_foreach(logins, i, login) {
		if (strcmp(daemon_text(login, "name"), wait->name) == 0) {
			*out_login = json_incref(login);
		}
	}
	json_decref(logins);
	return *out_login ? COMMAND_OK
					  : command_fail("the distributor knows nothing of %s; does it read another "
									 "configuration? See --config",
							wait->name);
}

/* It failed, and knows why. */
static bool jmap_wait_has_failed(const json_t *login) {
	const char *push = daemon_text(login, "push"), *way = daemon_text(login, "way");
	return strcmp(push, "waiting") == 0 || strcmp(push, "unsupported") == 0 ||
		   daemon_bool(login, "paused") ||
		   (strcmp(way, "none") == 0 && daemon_number(login, "again_ms") > 0);
}

/* How long a failure must last to be believed. */
static int64_t jmap_wait_settle_ms(const json_t *login) {
	bool may_stream = strcmp(daemon_text(login, "push"), "unsupported") == 0 &&
					  strcmp(daemon_text(login, "way"), "stream") != 0;
	return may_stream ? WAIT_STREAM_MS : WAIT_SETTLE_MS;
}

static bool jmap_wait_is_over(struct jmap_wait *wait, const json_t *login) {
	const char *reason = daemon_text(login, "reason");
	int64_t now_ms = clock_mono_ms();
	if (!jmap_wait_has_failed(login)) {
		wait->failed_ms = 0;
	} else if (wait->failed_ms == 0 || strcmp(wait->failure, reason) != 0) {
		free(wait->failure);
		wait->failure = mem_strdup(reason);
		wait->failed_ms = now_ms;
	}
	bool is_settled = wait->failed_ms > 0 && now_ms - wait->failed_ms >= jmap_wait_settle_ms(login);
	return strcmp(daemon_text(login, "way"), "push") == 0 || is_settled || now_ms >= wait->until_ms;
}

/* After a moment, and then each time that it changes. */
static void jmap_wait_tell(struct jmap_wait *wait, const json_t *login) {
	const char *reason = daemon_text(login, "reason");
	if (clock_mono_ms() < wait->tell_ms || !reason[0] || strcmp(reason, wait->told) == 0) {
		return;
	}
	CLEANUP_FREE char *news = mem_printf("so far: %s", reason);
	command_note("%s", news);
	free(wait->told);
	wait->told = mem_strdup(reason);
}

static int jmap_wait_run(struct jmap_wait *wait, json_t **out_login) {
	for (;;) {
		json_t *login;
		int result = jmap_wait_look(wait, &login);
		if (result != COMMAND_OK) {
			return result;
		}
		if (jmap_wait_is_over(wait, login)) {
			*out_login = login;
			return COMMAND_OK;
		}
		jmap_wait_tell(wait, login);
		json_decref(login);
		(void)sd_bus_wait(wait->bus, WAIT_LOOK_MS * 1000); /* a failure shows in the next look */
		while (sd_bus_process(wait->bus, NULL) > 0) {
		}
	}
}

int jmap_wait(const char *name, int64_t max_ms, json_t **out_login) {
	CLEANUP(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
	struct jmap_wait wait = {.name = name,
		.until_ms = clock_mono_ms() + max_ms,
		.tell_ms = clock_mono_ms() + WAIT_QUIET_MS,
		.told = mem_strdup("")};
	int result = daemon_open(&bus);
	if (result == COMMAND_OK) {
		wait.bus = bus;
		(void)sd_bus_match_signal(bus, NULL, CONTROL_NAME, CONTROL_PATH, CONTROL_INTERFACE,
			"JmapChanged", jmap_wait_on_changed, NULL); /* without it: now and then */
		result = jmap_wait_run(&wait, out_login);
	}
	free(wait.told);
	free(wait.failure);
	return result;
}
