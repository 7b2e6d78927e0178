/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bus side of UnifiedPush alone, with a scripted core behind it. Commands come by standard
 * input, one a line; events go to standard output as JSON lines.
 *   push TOKEN TEXT    delivers once and tells the outcome
 *   announce TOKEN     NewEndpoint once and tells the outcome
 *   drop TOKEN         the user removes it
 *   outcome N          answers further new registrations with enum register_outcome N
 *   hold, release      keeps answers back, gives them
 * The event "told" says that a command has been carried out.
 */
#include "common/buffer.h"
#include "common/json.h"
#include "common/log.h"
#include "common/mem.h"
#include "distributor/bus/unifiedpush.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct registrations {
	struct alarms *alarms;
	struct list all; /* struct registration::link */
	struct list pending; /* struct pending::link */
	enum register_outcome outcome;
	bool is_held;
	uint32_t numbers;
	const struct dispatch_target *target;
	void *target_ctx;
};

struct pending {
	struct list link;
	struct alarm later;
	struct registrations *owner;
	struct register_request request;
	char *token, *service, *description, *vapid_key;
	registered_fn *done;
	void *ctx;
};

struct dispatch {
	struct registrations *registrations;
	uint64_t ids;
};

struct outgoing {
	struct message message;
	char what[16];
};

static void event(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void event(const char *format, ...) {
	va_list arguments;
	va_start(arguments, format);
	(void)vprintf(format, arguments);
	va_end(arguments);
	(void)putchar('\n');
	(void)fflush(stdout);
}

const char *register_outcome_name(enum register_outcome outcome) {
	static const char *const names[] = {
		"", "INTERNAL_ERROR", "NETWORK", "ACTION_REQUIRED", "VAPID_REQUIRED", "UNAUTHORIZED"};
	return names[outcome];
}

const char *dispatch_outcome_name(enum dispatch_outcome outcome) {
	static const char *const names[] = {
		[DISPATCH_TAKEN] = "taken",
		[DISPATCH_ABSENT] = "absent",
		[DISPATCH_DENIED] = "denied",
		[DISPATCH_NOT_READY] = "not ready",
		[DISPATCH_NO_ANSWER] = "no answer",
		[DISPATCH_REFUSED] = "refused",
		[DISPATCH_SHUTDOWN] = "shutdown",
	};
	return names[outcome];
}

const struct registration *registrations_find(
	const struct registrations *registrations, enum registration_kind kind, struct slice token) {
	struct registration *at;
	LIST_FOREACH (at, &registrations->all, link) {
		if (at->kind == kind && slice_equals(token, at->token)) {
			return at;
		}
	}
	return NULL;
}

const struct registration *registrations_next(
	const struct registrations *registrations, const struct registration *after) {
	const struct list *next = after ? after->link.next : registrations->all.next;
	return next == &registrations->all ? NULL : container_of(next, struct registration, link);
}

uint32_t registrations_count(const struct registrations *registrations) {
	uint32_t count = 0;
	for (const struct registration *at = NULL; (at = registrations_next(registrations, at));) {
		count++;
	}
	return count;
}

static void registration_free(struct registration *registration) {
	list_remove(&registration->link);
	free(registration->token);
	free(registration->service);
	free(registration->description);
	free(registration->vapid_key);
	free(registration->endpoint);
	free(registration);
}

static void on_outcome(enum dispatch_outcome outcome, void *ctx) {
	struct outgoing *outgoing = ctx;
	event("{\"event\":\"%s\",\"id\":\"%s\",\"outcome\":\"%s\"}", outgoing->what,
		outgoing->message.id, dispatch_outcome_name(outcome));
	free(outgoing->message.body);
	free(outgoing);
}

static void announce(struct registrations *registrations, const struct registration *registration) {
	struct outgoing *outgoing = mem_zalloc(sizeof *outgoing);
	(void)snprintf(outgoing->what, sizeof outgoing->what, "announced");
	registrations->target->announce(registration, on_outcome, outgoing, registrations->target_ctx);
}

static void pending_end(struct pending *pending, enum register_outcome outcome) {
	struct registrations *registrations = pending->owner;
	struct registration *registration = (struct registration *)registrations_find(
		registrations, REGISTRATION_APP, slice_of(pending->token));
	const char *detail = outcome == REGISTER_OK ? "" : "As the script says";
	if (outcome == REGISTER_OK && registration && !pending->request.may_take_over &&
		strcmp(registration->service, pending->service) != 0) {
		outcome = REGISTER_INTERNAL_ERROR;
		detail = "The token belongs to another app";
	}
	if (outcome == REGISTER_OK && !registration) {
		registration = mem_zalloc(sizeof *registration);
		registration->number = ++registrations->numbers;
		registration->kind = REGISTRATION_APP;
		registration->token = mem_strdup(pending->token);
		registration->endpoint =
			mem_printf("https://push.example/p/%" PRIu32, registration->number);
		list_append(&registrations->all, &registration->link);
	}
	if (outcome == REGISTER_OK) {
		free(registration->service);
		free(registration->description);
		registration->service = mem_strdup(pending->service);
		registration->description = mem_strdup(pending->description);
		registration->version = pending->request.version;
		event("{\"event\":\"registered\",\"number\":%" PRIu32
			  ",\"version\":%d,\"service\":\"%s\",\"vapid\":\"%s\"}",
			registration->number, registration->version, registration->service, pending->vapid_key);
	}
	pending->done(outcome, registration, detail, pending->ctx);
	if (outcome == REGISTER_OK && registrations->target) {
		announce(registrations, registration);
	}
	list_remove(&pending->link);
	alarm_stop(&pending->later);
	free(pending->token);
	free(pending->service);
	free(pending->description);
	free(pending->vapid_key);
	free(pending);
}

static void pending_on_later(struct alarm *alarm, void *ctx) {
	(void)alarm;
	struct pending *pending = ctx;
	if (!pending->owner->is_held) {
		pending_end(pending, pending->owner->outcome);
	}
}

void registrations_register(struct registrations *registrations,
	const struct register_request *request, registered_fn *done, void *ctx) {
	struct pending *pending = mem_zalloc(sizeof *pending);
	pending->owner = registrations;
	pending->request = *request;
	pending->token = mem_strndup(request->token.data, request->token.len);
	pending->service = mem_strndup(request->service.data, request->service.len);
	pending->description = mem_strndup(request->description.data, request->description.len);
	pending->vapid_key = mem_strndup(request->vapid_key.data, request->vapid_key.len);
	pending->done = done;
	pending->ctx = ctx;
	list_append(&registrations->pending, &pending->link);
	alarm_init(&pending->later, registrations->alarms, pending_on_later, pending);
	alarm_set(&pending->later, 0, 0);
	event("{\"event\":\"asked\"}");
}

bool registrations_unregister(struct registrations *registrations, enum registration_kind kind,
	struct slice token, bool by_app) {
	struct registration *registration =
		(struct registration *)registrations_find(registrations, kind, token);
	struct pending *pending, *tmp;
	LIST_FOREACH_SAFE (pending, tmp, &registrations->pending, link) {
		if (slice_equals(token, pending->token)) {
			pending_end(pending, REGISTER_INTERNAL_ERROR);
		}
	}
	if (!registration) {
		return false;
	}
	event("{\"event\":\"unregistered\",\"number\":%" PRIu32 ",\"by_app\":%s}", registration->number,
		by_app ? "true" : "false");
	registrations->target->dismiss(registration, by_app, registrations->target_ctx);
	registration_free(registration);
	return true;
}

void registrations_service_left(struct registrations *registrations, const char *service) {
	event("{\"event\":\"left\",\"service\":\"%s\"}", service);
	struct registration *at, *tmp;
	LIST_FOREACH_SAFE (at, tmp, &registrations->all, link) {
		if (strcmp(at->service, service) == 0) {
			registration_free(at);
		}
	}
}

void registrations_note_service(
	struct registrations *registrations, const char *service, bool is_present) {
	(void)registrations;
	event("{\"event\":\"noted\",\"service\":\"%s\",\"present\":%s}", service,
		is_present ? "true" : "false");
}

void dispatch_set_target(struct dispatch *dispatch, enum registration_kind kind,
	const struct dispatch_target *target, void *ctx) {
	(void)kind;
	dispatch->registrations->target = target;
	dispatch->registrations->target_ctx = ctx;
}

void dispatch_service_appeared(
	struct dispatch *dispatch, enum registration_kind kind, const char *service) {
	(void)dispatch;
	(void)kind;
	event("{\"event\":\"appeared\",\"service\":\"%s\"}", service);
}

static void push(
	struct dispatch *dispatch, const struct registration *registration, const char *text) {
	struct outgoing *outgoing = mem_zalloc(sizeof *outgoing);
	struct registrations *registrations = dispatch->registrations;
	(void)snprintf(outgoing->what, sizeof outgoing->what, "delivered");
	(void)snprintf(
		outgoing->message.id, sizeof outgoing->message.id, "%016" PRIx64, ++dispatch->ids);
	outgoing->message.registration = registration;
	outgoing->message.body = mem_strdup(text);
	outgoing->message.bytes = strlen(text);
	registrations->target->deliver(
		&outgoing->message, on_outcome, outgoing, registrations->target_ctx);
}

/* ---- commands ---------------------------------------------------------------------------------
 */

struct driver {
	struct ev_loop *loop;
	struct dispatch dispatch;
	struct registrations registrations;
	struct buffer input;
};

static void release(struct registrations *registrations) {
	registrations->is_held = false;
	struct pending *pending, *tmp;
	LIST_FOREACH_SAFE (pending, tmp, &registrations->pending, link) {
		alarm_set(&pending->later, 0, 0);
	}
}

static void command(struct driver *driver, char *line) {
	char *rest = line;
	const char *word = strsep(&rest, " ");
	const char *argument = rest ? strsep(&rest, " ") : "";
	struct registrations *registrations = &driver->registrations;
	const struct registration *registration =
		registrations_find(registrations, REGISTRATION_APP, slice_of(argument));
	if (strcmp(word, "outcome") == 0) {
		registrations->outcome = (enum register_outcome)strtol(argument, NULL, 10);
	} else if (strcmp(word, "hold") == 0) {
		registrations->is_held = true;
	} else if (strcmp(word, "release") == 0) {
		release(registrations);
	} else if (registration && strcmp(word, "push") == 0) {
		push(&driver->dispatch, registration, rest ? rest : "");
	} else if (registration && strcmp(word, "announce") == 0) {
		announce(registrations, registration);
	} else if (registration && strcmp(word, "drop") == 0) {
		(void)registrations_unregister(registrations, REGISTRATION_APP, slice_of(argument), false);
	} else {
		log_error("command not understood line=\"%s %s\"", word, argument);
	}
	event("{\"event\":\"told\"}");
}

static void on_input(struct ev_loop *loop, ev_io *io, int events) {
	(void)events;
	struct driver *driver = io->data;
	char *room = buffer_reserve(&driver->input, 4096);
	ssize_t got = room ? read(0, room, 4096) : 0;
	if (got <= 0) {
		ev_break(loop, EVBREAK_ALL);
		return;
	}
	buffer_commit(&driver->input, (size_t)got);
	char *end;
	while ((end = memchr(buffer_begin(&driver->input), '\n', buffer_length(&driver->input)))) {
		*end = '\0';
		char *line = buffer_begin(&driver->input);
		command(driver, line);
		buffer_consume(&driver->input, (size_t)(end + 1 - line));
	}
}

static void on_signal(struct ev_loop *loop, ev_signal *watcher, int events) {
	(void)watcher;
	(void)events;
	ev_break(loop, EVBREAK_ALL);
}

static void on_bus_lost(struct bus *bus, void *ctx) {
	(void)bus;
	struct driver *driver = ctx;
	event("{\"event\":\"bus lost\"}");
	ev_break(driver->loop, EVBREAK_ALL);
}

static void finish(struct driver *driver) {
	struct pending *pending, *tmp_pending;
	LIST_FOREACH_SAFE (pending, tmp_pending, &driver->registrations.pending, link) {
		pending_end(pending, REGISTER_INTERNAL_ERROR);
	}
	struct registration *registration, *tmp;
	LIST_FOREACH_SAFE (registration, tmp, &driver->registrations.all, link) {
		registration_free(registration);
	}
	buffer_finish(&driver->input);
}

int main(int argc, char **argv) {
	log_set_level(LOG_LEVEL_DEBUG);
	struct driver driver = {.loop = ev_default_loop(EVBACKEND_EPOLL)};
	buffer_init(&driver.input, 1 << 20);
	list_init(&driver.registrations.all);
	list_init(&driver.registrations.pending);
	driver.registrations.alarms = alarms_create(driver.loop);
	driver.dispatch.registrations = &driver.registrations;

	struct unifiedpush_options options = {
		.alarms = driver.registrations.alarms,
		.registrations = &driver.registrations,
		.dispatch = &driver.dispatch,
		.only_sandboxed = argc > 1 && strcmp(argv[1], "--only-sandboxed") == 0,
	};
	struct unifiedpush *unifiedpush = NULL;
	int result = bus_open(driver.loop, BUS_SESSION, "test", on_bus_lost, &driver, &options.bus);
	if (result >= 0) {
		result = unifiedpush_open(&options, &unifiedpush);
	}
	ev_io input;
	ev_signal term;
	ev_io_init(&input, on_input, 0, EV_READ);
	ev_signal_init(&term, on_signal, SIGTERM);
	input.data = &driver;
	if (result >= 0) {
		ev_io_start(driver.loop, &input);
		ev_signal_start(driver.loop, &term);
		event("{\"event\":\"ready\"}");
		(void)ev_run(driver.loop, 0);
	}
	unifiedpush_close(unifiedpush);
	bus_close(options.bus);
	finish(&driver);
	alarms_destroy(driver.registrations.alarms);
	ev_io_stop(driver.loop, &input);
	ev_signal_stop(driver.loop, &term);
	ev_loop_destroy(driver.loop);
	return result < 0 ? -result : 0;
}
