/* SPDX-License-Identifier: Apache-2.0 */
/* `bellwire status`, `apps` and `log`: what the daemon tells about itself. */
#include "distributor/ctl/arguments.h"
#include "distributor/ctl/commands.h"
#include "distributor/ctl/daemon.h"
#include "distributor/ctl/readable.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { STATUS_NOT_CONNECTED = 3 };

static const char status_usage[] =
	"usage: bellwire status [--json]   how the distributor is connected, and if not, why\n"
	"       bellwire apps [--json]     who gets pushes on this device\n"
	"       bellwire log [--json]      the last events, oldest first\n"
	"\n"
	"Exit status of status: 0 when connected, 3 when not, 1 when the distributor does not run.\n";

/* When it is tried next, to be put behind the state. */
static void status_print_next(const json_t *status) {
	char next[READABLE_MAX];
	int64_t next_ms = daemon_number(status, "next_attempt_ms");
	readable_duration(next_ms, next);
	if (strcmp(daemon_text(status, "state"), "offline") == 0) {
		printf(", next attempt when there is a route");
	} else if (next_ms == 0) {
		printf(", an attempt is under way");
	} else if (next_ms > 0) {
		printf(", next attempt in %s", next);
	}
}

static void status_print_link(const json_t *status) {
	char since[READABLE_MAX], heard[READABLE_MAX], trip[READABLE_MAX], beat[READABLE_MAX];
	bool is_up = strcmp(daemon_text(status, "state"), "up") == 0;
	readable_time(daemon_number(status, "since_ms"), since);
	readable_duration(daemon_number(status, "last_heard_ms"), heard);
	readable_duration(daemon_number(status, "round_trip_ms"), trip);
	readable_duration(daemon_number(status, "heartbeat_ms"), beat);
	if (is_up) {
		printf("connected to %s (%s) since %s\n", daemon_text(status, "relay"),
			daemon_text(status, "peer"), since);
		printf("heartbeat after %s of silence%s%s%s%s\n", beat, heard[0] ? ", last heard " : "",
			heard, heard[0] ? " ago" : "", "");
		if (trip[0]) {
			printf("round trip %s, %" PRId64 " reconnections since the start\n", trip,
				daemon_number(status, "reconnects"));
		}
		return;
	}
	printf("not connected%s%s: %s\n", daemon_text(status, "relay")[0] ? " to " : "",
		daemon_text(status, "relay"), daemon_text(status, "reason"));
	if (daemon_number(status, "since_ms") > 0) { /* else there was no link yet */
		printf("%s since %s", daemon_text(status, "state"), since);
		status_print_next(status);
		(void)putchar('\n');
	}
}

static void status_print_login(const json_t *login) {
	char pushed[READABLE_MAX], synced[READABLE_MAX], next[READABLE_MAX];
	const char *way = daemon_text(login, "way"), *reason = daemon_text(login, "reason");
	bool is_poll = strcmp(way, "poll") == 0, is_none = strcmp(way, "none") == 0;
	readable_time(daemon_number(login, "pushed_ms"), pushed);
	readable_time(daemon_number(login, "synced_ms"), synced);
	readable_duration(daemon_number(login, "again_ms"), next);
	printf("mail login %s (%s): %s%s%s\n", daemon_text(login, "name"), daemon_text(login, "user"),
		is_none ? "hears nothing" : way, reason[0] ? ": " : "", reason);
	printf("  last %s %s, last look %s, %" PRId64 " unread%s%s\n",
		is_poll || is_none ? "push" : way, pushed, synced, daemon_number(login, "unread"),
		(is_poll || is_none) && next[0] ? ", next attempt in " : "",
		is_poll || is_none ? next : "");
}

static void status_print(const json_t *status) {
	status_print_link(status);
	printf("%s, %s network%s; messages below urgency %s wait at the relay\n",
		daemon_bool(status, "on_mains")		 ? "on mains"
		: daemon_bool(status, "battery_low") ? "on battery, low"
											 : "on battery",
		daemon_bool(status, "metered") ? "metered" : "unmetered",
		daemon_bool(status, "power_saver") ? ", power saver" : "",
		daemon_text(status, "min_urgency"));
	printf("%" PRId64 " registrations; since the start %" PRId64 " pushes received, %" PRId64
		   " taken, %" PRId64 " dropped, %" PRId64 " expired\n",
		daemon_number(status, "registrations"), daemon_number(status, "received"),
		daemon_number(status, "taken"), daemon_number(status, "dropped"),
		daemon_number(status, "expired"));
	if (daemon_number(status, "waiting") > 0) {
		printf("%" PRId64 " wait for their app (%" PRId64
			   " of them kept on disk); see: bellwire apps\n",
			daemon_number(status, "waiting"), daemon_number(status, "kept_on_disk"));
	}
	if (daemon_text(status, "disk_trouble")[0]) {
		printf("the state directory cannot be written: %s; new apps cannot register until there is "
			   "room\n",
			daemon_text(status, "disk_trouble"));
	}
	if (daemon_number(status, "former_relays") > 0) {
		printf(
			"%" PRId64 " former relay is still drained\n", daemon_number(status, "former_relays"));
	}
	size_t i;
	const json_t *login;
	json_array_foreach(json_object_get(status, "mail"), i, login) {
		status_print_login(login);
	}
}

static int status_show(json_t *status, bool json) {
	bool is_up = strcmp(daemon_text(status, "state"), "up") == 0;
	json_t *logins = NULL;
	int result = daemon_ask("JmapList", &logins);
	if (result != COMMAND_OK) {
		return result;
	}
	(void)json_object_set_new(status, "mail", logins);
	if (json && !command_print_json(json_incref(status))) {
		return COMMAND_FAILED;
	}
	if (!json) {
		status_print(status);
	}
	return is_up ? COMMAND_OK : STATUS_NOT_CONNECTED;
}

/* ---- apps ---- */

/* What it has not taken yet, and why. */
static void apps_print_trouble(const json_t *app) {
	const char *reason = daemon_text(app, "reason");
	int64_t waiting = daemon_number(app, "waiting");
	if (waiting > 0) {
		printf("  %" PRId64 " waiting", waiting);
	} else if (!daemon_bool(app, "announced")) {
		printf("  does not know its push URL yet");
	} else {
		return;
	}
	printf("%s%s", reason[0] ? ": " : "", reason);
}

static void apps_print_one(const json_t *app) {
	char pushed[READABLE_MAX];
	bool is_app = strcmp(daemon_text(app, "kind"), "app") == 0;
	readable_time(daemon_number(app, "pushed_ms"), pushed);
	printf("%6" PRId64 "  %-5s  %-32s  %6" PRId64 "  %-16s", daemon_number(app, "number"),
		daemon_text(app, "kind"), daemon_text(app, is_app ? "service" : "name"),
		daemon_number(app, "pushes"), pushed);
	if (daemon_bool(app, "blocked")) {
		printf("  blocked");
	}
	apps_print_trouble(app);
	if (daemon_text(app, "description")[0]) {
		printf("  %s", daemon_text(app, "description"));
	}
	(void)putchar('\n');
}

static int apps_show(json_t *apps, bool json) {
	if (json) {
		return command_print_json(json_incref(apps)) ? COMMAND_OK : COMMAND_FAILED;
	}
	if (json_array_size(apps) == 0) {
		(void)puts(
			"Nothing is registered. Apps register by themselves; see also: bellwire register");
		return COMMAND_OK;
	}
	printf("%6s  %-5s  %-32s  %6s  %-16s\n", "number", "kind", "service or name", "pushes",
		"last push");
	for (size_t i = 0; i < json_array_size(apps); i++) {
		apps_print_one(json_array_get(apps, i));
	}
	return COMMAND_OK;
}

/* ---- log ---- */

static void log_print_one(const json_t *event) {
	char time[READABLE_MAX];
	readable_time(daemon_number(event, "time_ms"), time);
	printf("%s  %-9s", time, daemon_text(event, "event"));
	if (daemon_number(event, "number") > 0) {
		printf("  %s (%" PRId64 ")", daemon_text(event, "name"), daemon_number(event, "number"));
		printf("  %" PRId64 " bytes", daemon_number(event, "bytes"));
	}
	printf("%s%s\n", daemon_text(event, "detail")[0] ? "  " : "", daemon_text(event, "detail"));
}

static int log_show(json_t *events, bool json) {
	for (size_t i = 0; i < json_array_size(events); i++) {
		json_t *event = json_array_get(events, i);
		if (!json) {
			log_print_one(event);
		} else if (!command_print_json(json_incref(event))) {
			return COMMAND_FAILED;
		}
	}
	return COMMAND_OK;
}

/* ---- the commands ---- */

static const struct status_command {
	const char *name, *method;
	int (*show)(json_t *answer, bool json); /* the exit status */
} status_commands[] = {
	{"status", "Status", status_show},
	{"apps", "List", apps_show},
	{"log", "Log", log_show},
};

int status_command(int argc, char **argv) {
	const struct status_command *command = status_commands;
	bool json = false;
	const struct arguments_flag flags[] = {{"json", .is_given = &json}, {.name = NULL}};
	const struct arguments arguments = {.usage = status_usage, .flags = flags};
	json_t *answer = NULL;
	int result;
	while (strcmp(command->name, argv[0]) != 0) {
		command++; /* main.c names no other */
	}
	if (!arguments_read(&arguments, argc, argv, NULL, &result)) {
		return result;
	}
	result = daemon_ask(command->method, &answer);
	if (result == COMMAND_OK) {
		result = command->show(answer, json);
		json_decref(answer);
	}
	return result;
}
