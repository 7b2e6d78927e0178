/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hook_unit_start -> StartTransientUnit -> on_started; the unit's PropertiesChanged says that it is
 * at its end -> on_changed -> GetAll -> on_properties -> finish.
 */
#include "distributor/action/hook_unit.h"
#include "common/cleanup.h"
#include "common/list.h"
#include "common/log.h"
#include "common/mem.h"
#include "distributor/action/program.h"
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SYSTEMD_NAME "org.freedesktop.systemd1"
#define SYSTEMD_PATH "/org/freedesktop/systemd1"
#define SYSTEMD_MANAGER "org.freedesktop.systemd1.Manager"
#define SYSTEMD_UNIT "org.freedesktop.systemd1.Unit"
#define SYSTEMD_SERVICE "org.freedesktop.systemd1.Service"
#define DBUS_PROPERTIES "org.freedesktop.DBus.Properties"

enum {
	UNIT_GRACE_MS = 15000, /* beyond its time limit, until we ask by ourselves */
	UNIT_STOP_USEC = 1000000,
	UNIT_EXIT_FIRST_OWN = 200, /* systemd's own exit statuses: the program did not even start */
	UNIT_EXIT_LAST_OWN = 243,
};

struct hook_units {
	struct sd_bus *bus;
	struct list units; /* struct hook_unit::link */
	bool are_there;
	uint64_t started;
	sd_bus_slot *subscribing, *owner_match;
};

struct hook_unit {
	struct list link; /* struct hook_units::units */
	struct hook_units *units;
	char *name, *path; /* "bellwire-….service", its object */
	sd_bus_slot *starting, *changes, *reading; /* calls and match under way, or NULL */
	struct alarm limit;
	bool was_asked; /* to stop, beyond its limit */
	hook_ended_fn *done;
	void *ctx;
};

static int unit_on_started(sd_bus_message *reply, void *ctx, sd_bus_error *error);
static int unit_on_changed(sd_bus_message *message, void *ctx, sd_bus_error *error);
static void unit_read(struct hook_unit *unit);
static int unit_on_properties(sd_bus_message *reply, void *ctx, sd_bus_error *error);
static void unit_finish(struct hook_unit *unit, enum hook_end end, int status, const char *detail);

/* ---- the manager ---- */

static int units_on_subscribed(sd_bus_message *reply, void *ctx, sd_bus_error *error) {
	(void)error;
	struct hook_units *units = ctx;
	units->subscribing = sd_bus_slot_unref(units->subscribing);
	units->are_there = !sd_bus_message_is_method_error(reply, NULL);
	log_debug("hooks", "systemd's user manager is%s here", units->are_there ? "" : " not");
	return 0;
}

/* Without this the manager sends no signals. */
static void units_subscribe(struct hook_units *units) {
	sd_bus_message *call = NULL;
	units->subscribing = sd_bus_slot_unref(units->subscribing);
	int result = sd_bus_message_new_method_call(
		units->bus, &call, SYSTEMD_NAME, SYSTEMD_PATH, SYSTEMD_MANAGER, "Subscribe");
	if (result >= 0) {
		(void)sd_bus_message_set_auto_start(call, false);
		result =
			sd_bus_call_async(units->bus, &units->subscribing, call, units_on_subscribed, units, 0);
	}
	sd_bus_message_unref(call);
	if (result < 0) {
		log_debug("hooks", "systemd is not asked error=\"%s\"", strerror(-result));
	}
}

static int units_on_owner(sd_bus_message *message, void *ctx, sd_bus_error *error) {
	(void)error;
	struct hook_units *units = ctx;
	const char *name, *old, *new;
	if (sd_bus_message_read(message, "sss", &name, &old, &new) <= 0) {
		return 0;
	}
	units->are_there = false;
	struct hook_unit *unit;
	while (old[0] && (unit = list_first(&units->units, struct hook_unit, link))) {
		unit_finish(unit, HOOK_LOST, 0, "systemd went away");
	}
	if (new[0]) {
		units_subscribe(units);
	}
	return 0;
}

struct hook_units *hook_units_open(struct sd_bus *bus) {
	struct hook_units *units = mem_zalloc(sizeof *units);
	units->bus = sd_bus_ref(bus);
	list_init(&units->units);
	int result = sd_bus_add_match_async(bus, &units->owner_match,
		"type='signal',sender='org.freedesktop.DBus',interface='org.freedesktop.DBus',"
		"member='NameOwnerChanged',arg0='" SYSTEMD_NAME "'",
		units_on_owner, NULL, units);
	if (result >= 0) {
		units_subscribe(units);
	}
	return units;
}

void hook_units_close(struct hook_units *units) {
	if (units) {
		sd_bus_slot_unref(units->subscribing);
		sd_bus_slot_unref(units->owner_match);
		sd_bus_unref(units->bus);
		free(units);
	}
}

bool hook_units_are_there(const struct hook_units *units) {
	return units && units->are_there;
}

/* ---- one unit ---- */

static void unit_free(struct hook_unit *unit) {
	list_remove(&unit->link);
	alarm_stop(&unit->limit);
	sd_bus_slot_unref(unit->starting);
	sd_bus_slot_unref(unit->changes);
	sd_bus_slot_unref(unit->reading);
	free(unit->name);
	free(unit->path);
	free(unit);
}

/* It was kept for us to read; now it may go. */
static void unit_unref(const struct hook_unit *unit) {
	(void)sd_bus_call_method_async(
		unit->units->bus, NULL, SYSTEMD_NAME, unit->path, SYSTEMD_UNIT, "Unref", NULL, NULL, "");
}

static void unit_finish(struct hook_unit *unit, enum hook_end end, int status, const char *detail) {
	const struct hook_result result = {.end = end, .status = status, .detail = detail};
	hook_ended_fn *done = unit->done;
	void *ctx = unit->ctx;
	if (end != HOOK_NO_UNIT && end != HOOK_LOST) {
		unit_unref(unit);
	}
	unit_free(unit);
	done(&result, ctx);
}

static void unit_ask_to_stop(const struct hook_unit *unit) {
	(void)sd_bus_call_method_async(unit->units->bus, NULL, SYSTEMD_NAME, SYSTEMD_PATH,
		SYSTEMD_MANAGER, "StopUnit", NULL, NULL, "ss", unit->name, "replace");
}

/* Waits for the answer: the manager refuses whom it no longer finds on the bus. */
void hook_unit_stop(struct hook_unit *unit) {
	if (!unit) {
		return;
	}
	sd_bus_message *call = NULL, *reply = NULL;
	int result = sd_bus_message_new_method_call(
		unit->units->bus, &call, SYSTEMD_NAME, SYSTEMD_PATH, SYSTEMD_MANAGER, "StopUnit");
	result = result < 0 ? result : sd_bus_message_append(call, "ss", unit->name, "replace");
	result =
		result < 0 ? result : sd_bus_call(unit->units->bus, call, UNIT_STOP_USEC, NULL, &reply);
	if (result < 0) {
		log_debug("hooks", "unit was not stopped error=\"%s\"", strerror(-result));
	}
	sd_bus_message_unref(call);
	sd_bus_message_unref(reply);
	unit_free(unit);
}

void hook_unit_leave(struct hook_unit *unit) {
	if (unit) {
		unit_unref(unit);
		unit_free(unit);
	}
}

/* systemd keeps the limit; this is for one whose end we did not hear of. */
static void unit_on_limit(struct alarm *alarm, void *ctx) {
	struct hook_unit *unit = ctx;
	if (unit->was_asked) {
		unit_finish(unit, HOOK_TIMED_OUT, 0, NULL);
		return;
	}
	unit->was_asked = true;
	unit_ask_to_stop(unit);
	unit_read(unit);
	alarm_set(alarm, UNIT_GRACE_MS, ALARM_SLACK_DEADLINE_MS);
}

static int unit_on_started(sd_bus_message *reply, void *ctx, sd_bus_error *error) {
	(void)error;
	struct hook_unit *unit = ctx;
	unit->starting = sd_bus_slot_unref(unit->starting);
	if (sd_bus_message_is_method_error(reply, NULL)) {
		CLEANUP_FREE char *why = mem_strdup(sd_bus_message_get_error(reply)->message
												? sd_bus_message_get_error(reply)->message
												: sd_bus_message_get_error(reply)->name);
		unit_finish(unit, HOOK_NO_UNIT, 0, why);
	}
	return 0;
}

/* Is it at its end, by a dictionary of properties of interface Unit? */
static bool unit_says_ended(sd_bus_message *message) {
	const char *key, *state;
	bool has_ended = false;
	if (sd_bus_message_enter_container(message, 'a', "{sv}") <= 0) {
		return false;
	}
	while (sd_bus_message_enter_container(message, 'e', "sv") > 0) {
		if (sd_bus_message_read(message, "s", &key) <= 0) {
			return false;
		}
		if (strcmp(key, "ActiveState") != 0) {
			(void)sd_bus_message_skip(message, "v"); /* of no interest */
		} else if (sd_bus_message_read(message, "v", "s", &state) > 0) {
			has_ended = strcmp(state, "inactive") == 0 || strcmp(state, "failed") == 0;
		}
		if (sd_bus_message_exit_container(message) < 0) {
			return has_ended;
		}
	}
	return has_ended;
}

static int unit_on_changed(sd_bus_message *message, void *ctx, sd_bus_error *error) {
	(void)error;
	struct hook_unit *unit = ctx;
	const char *interface;
	if (sd_bus_message_read(message, "s", &interface) > 0 && strcmp(interface, SYSTEMD_UNIT) == 0 &&
		unit_says_ended(message)) {
		unit_read(unit);
	}
	return 0;
}

static void unit_read(struct hook_unit *unit) {
	if (unit->reading) {
		return;
	}
	int result = sd_bus_call_method_async(unit->units->bus, &unit->reading, SYSTEMD_NAME,
		unit->path, DBUS_PROPERTIES, "GetAll", unit_on_properties, unit, "s", SYSTEMD_SERVICE);
	if (result < 0) {
		log_debug("hooks", "unit is not read error=\"%s\"", strerror(-result));
	}
}

struct unit_properties {
	const char *result; /* "success", "exit-code", "signal", "timeout", … */
	int code, status; /* CLD_EXITED, …; exit status or signal */
};

static int unit_read_property(sd_bus_message *message, struct unit_properties *out) {
	const char *key;
	int result = sd_bus_message_read(message, "s", &key);
	if (result <= 0) {
		return result;
	}
	if (strcmp(key, "Result") == 0) {
		return sd_bus_message_read(message, "v", "s", &out->result);
	}
	if (strcmp(key, "ExecMainCode") == 0) {
		return sd_bus_message_read(message, "v", "i", &out->code);
	}
	if (strcmp(key, "ExecMainStatus") == 0) {
		return sd_bus_message_read(message, "v", "i", &out->status);
	}
	return sd_bus_message_skip(message, "v");
}

static bool unit_read_properties(sd_bus_message *message, struct unit_properties *out) {
	if (sd_bus_message_enter_container(message, 'a', "{sv}") < 0) {
		return false;
	}
	while (sd_bus_message_enter_container(message, 'e', "sv") > 0) {
		if (unit_read_property(message, out) < 0 || sd_bus_message_exit_container(message) < 0) {
			return false;
		}
	}
	return out->result != NULL;
}

static int unit_on_properties(sd_bus_message *reply, void *ctx, sd_bus_error *error) {
	(void)error;
	struct hook_unit *unit = ctx;
	unit->reading = sd_bus_slot_unref(unit->reading);
	struct unit_properties found = {0};
	if (sd_bus_message_is_method_error(reply, NULL) || !unit_read_properties(reply, &found)) {
		unit_finish(unit, HOOK_LOST, 0, "systemd does not know it");
		return 0;
	}
	bool has_exited = found.code == CLD_EXITED;
	if (found.code == 0 && strcmp(found.result, "success") == 0 && !unit->was_asked) {
		return 0; /* a new unit says "inactive" first: it has not run yet */
	}
	if (unit->was_asked || strcmp(found.result, "timeout") == 0) {
		unit_finish(unit, HOOK_TIMED_OUT, 0, NULL);
	} else if (strcmp(found.result, "success") == 0) {
		unit_finish(unit, HOOK_WELL, 0, NULL);
	} else if (found.code == 0) {
		unit_finish(unit, HOOK_NOT_STARTED, 0, found.result);
	} else if (has_exited && found.status == HOOK_EXIT_NOT_NOW) {
		unit_finish(unit, HOOK_NOT_NOW, 0, NULL);
	} else if (has_exited && found.status >= UNIT_EXIT_FIRST_OWN &&
			   found.status <= UNIT_EXIT_LAST_OWN) {
		unit_finish(unit, HOOK_NOT_STARTED, found.status, "systemd could not execute it");
	} else {
		unit_finish(unit, HOOK_FAILED, has_exited ? found.status : 128 + found.status, NULL);
	}
	return 0;
}

/* ---- the start ---- */

/* Words are taken as they are: by default systemd expands $NAME in them. */
static int unit_append_command(sd_bus_message *call, const char *program, char *const *command) {
	int result = sd_bus_message_open_container(call, 'r', "sv");
	result = result < 0 ? result : sd_bus_message_append(call, "s", "ExecStartEx");
	result = result < 0 ? result : sd_bus_message_open_container(call, 'v', "a(sasas)");
	result = result < 0 ? result : sd_bus_message_open_container(call, 'a', "(sasas)");
	result = result < 0 ? result : sd_bus_message_open_container(call, 'r', "sasas");
	result = result < 0 ? result : sd_bus_message_append(call, "s", program);
	result = result < 0 ? result : sd_bus_message_append_strv(call, (char **)(uintptr_t)command);
	result = result < 0 ? result : sd_bus_message_append(call, "as", 1, "no-env-expand");
	for (int i = 0; i < 4; i++) {
		result = result < 0 ? result : sd_bus_message_close_container(call);
	}
	return result;
}

static int unit_append_variables(sd_bus_message *call, char *const *variables) {
	int result = sd_bus_message_open_container(call, 'r', "sv");
	result = result < 0 ? result : sd_bus_message_append(call, "s", "Environment");
	result = result < 0 ? result : sd_bus_message_open_container(call, 'v', "as");
	result = result < 0 ? result : sd_bus_message_append_strv(call, (char **)(uintptr_t)variables);
	result = result < 0 ? result : sd_bus_message_close_container(call);
	return result < 0 ? result : sd_bus_message_close_container(call);
}

/* Descriptors of the job's own mean that what it leaves behind lives on. */
static int unit_append_outputs(sd_bus_message *call, const int *outputs) {
	return outputs ? sd_bus_message_append(call, "(sv)(sv)(sv)", "StandardOutputFileDescriptor",
						 "h", outputs[0], "StandardErrorFileDescriptor", "h", outputs[1],
						 "KillMode", "s", "process")
				   : sd_bus_message_append(call, "(sv)(sv)", "StandardOutput", "s", "journal",
						 "StandardError", "s", "journal");
}

static int unit_append_properties(
	sd_bus_message *call, const struct hook_job *job, const char *program) {
	CLEANUP_FREE char *description = mem_printf("Bellwire %s %s", job->what, job->name);
	CLEANUP_FREE char *identifier = mem_printf("bellwire-%s-%s", job->what, job->name);
	const char *home = getenv("HOME");
	int result = sd_bus_message_append(call, "(sv)(sv)(sv)(sv)(sv)(sv)(sv)(sv)", "Description", "s",
		description, "Type", "s", "exec", "Slice", "s",
		job->is_for_person ? "app.slice" : "background.slice", "StandardInputFileDescriptor", "h",
		job->input, "SyslogIdentifier", "s", identifier, "TimeoutStopUSec", "t",
		(uint64_t)HOOK_KILL_MS * 1000, "CollectMode", "s", "inactive-or-failed", "AddRef", "b", 1);
	if (result >= 0 && job->timeout_ms > 0) {
		result = sd_bus_message_append(
			call, "(sv)", "RuntimeMaxUSec", "t", (uint64_t)job->timeout_ms * 1000);
	}
	result = result < 0 ? result : unit_append_outputs(call, job->outputs);
	if (result >= 0 && job->is_for_person) { /* what it started lives on */
		result = sd_bus_message_append(call, "(sv)", "ExitType", "s", "cgroup");
	}
	if (result >= 0 && home) {
		result = sd_bus_message_append(call, "(sv)", "WorkingDirectory", "s", home);
	}
	result = result < 0 ? result : unit_append_variables(call, job->variables);
	return result < 0 ? result : unit_append_command(call, program, job->command);
}

static int unit_call_make(
	struct hook_unit *unit, const struct hook_job *job, sd_bus_message **out_call) {
	CLEANUP_FREE char *program = program_find_dup(job->command[0]); /* the manager wants it whole */
	if (!program) {
		return -ENOENT;
	}
	int result = sd_bus_message_new_method_call(unit->units->bus, out_call, SYSTEMD_NAME,
		SYSTEMD_PATH, SYSTEMD_MANAGER, "StartTransientUnit");
	result = result < 0 ? result : sd_bus_message_append(*out_call, "ss", unit->name, "fail");
	result = result < 0 ? result : sd_bus_message_open_container(*out_call, 'a', "(sv)");
	result = result < 0 ? result : unit_append_properties(*out_call, job, program);
	result = result < 0 ? result : sd_bus_message_close_container(*out_call);
	return result < 0 ? result : sd_bus_message_append(*out_call, "a(sa(sv))", 0);
}

static int unit_send(struct hook_unit *unit, const struct hook_job *job) {
	struct sd_bus *bus = unit->units->bus;
	sd_bus_message *call = NULL;
	int result = unit_call_make(unit, job, &call);
	if (result >= 0) {
		result = sd_bus_match_signal_async(bus, &unit->changes, SYSTEMD_NAME, unit->path,
			DBUS_PROPERTIES, "PropertiesChanged", unit_on_changed, NULL, unit);
	}
	if (result >= 0) {
		result = sd_bus_call_async(bus, &unit->starting, call, unit_on_started, unit, 0);
	}
	sd_bus_message_unref(call);
	return result;
}

int hook_unit_start(struct hook_units *units, struct alarms *alarms, const struct hook_job *job,
	hook_ended_fn *done, void *ctx, struct hook_unit **out_unit) {
	struct hook_unit *unit = mem_zalloc(sizeof *unit);
	unit->units = units;
	unit->done = done;
	unit->ctx = ctx;
	unit->name = mem_printf("bellwire-%s-%s-%ld-%llu.service", job->what, job->name, (long)getpid(),
		(unsigned long long)++units->started);
	list_init(&unit->link);
	list_append(&units->units, &unit->link);
	alarm_init(&unit->limit, alarms, unit_on_limit, unit);
	int result = sd_bus_path_encode("/org/freedesktop/systemd1/unit", unit->name, &unit->path);
	result = result < 0 ? result : unit_send(unit, job);
	if (result < 0) {
		unit_free(unit);
		return result;
	}
	if (job->timeout_ms > 0) {
		alarm_set(&unit->limit, job->timeout_ms + UNIT_GRACE_MS, ALARM_SLACK_DEADLINE_MS);
	}
	*out_unit = unit;
	return 0;
}
