/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs one link for the scenarios: events go to standard output as JSON lines, commands come from
 * standard input, one a line. Usage: link_driver URL [uaid=…] [ca=FILE] [insecure] [proxy]
 * [network] [heartbeats=FILE] [noack]. Built as link_net_driver, "network" is the machine's own.
 */
#include "common/json.h"
#include "common/mem.h"
#include "distributor/link/heartbeat.h"
#include "distributor/link/link.h"
#include "distributor/link/websocket_library.h"
#ifdef LINK_DRIVER_REAL_NETWORK
#include "distributor/monitor/network.h"
#else
#include "fake_network.h"
#endif
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct driver {
	struct ev_loop *loop;
	struct alarms *alarms;
	struct heartbeats *heartbeats;
	struct network *network;
	struct link *link;
	bool no_ack;
	char line[4096];
	size_t used;
};

static void driver_print(json_t *take_line) {
	char *text = json_dumps(take_line, JSON_COMPACT);
	json_decref(take_line);
	(void)puts(text ? text : "{\"event\":\"unprintable\"}");
	(void)fflush(stdout);
	free(text);
}

static void driver_on_entered(enum link_state state, void *ctx) {
	struct driver *driver = ctx;
	struct link_status status;
	link_status(driver->link, &status);
	driver_print(json_pack("{s:s,s:s,s:s,s:I}", "event", "entered", "state", link_state_name(state),
		"reason", status.reason, "next_ms", (json_int_t)status.next_attempt_ms));
}

static void driver_on_greeted(const struct link_greeting *greeting, void *ctx) {
	(void)ctx;
	driver_print(json_pack("{s:s,s:s,s:b,s:I}", "event", "greeted", "uaid", greeting->uaid,
		"is_new", greeting->is_new, "missed", (json_int_t)greeting->missed));
}

static void driver_on_registered(
	struct slice channel, int status, struct slice endpoint, void *ctx) {
	(void)ctx;
	driver_print(json_pack("{s:s,s:s%,s:i,s:s%}", "event", "registered", "channel", channel.data,
		channel.len, "status", status, "endpoint", endpoint.len > 0 ? endpoint.data : "",
		endpoint.len));
}

static void driver_on_unregistered(struct slice channel, int status, void *ctx) {
	(void)ctx;
	driver_print(json_pack("{s:s,s:s%,s:i}", "event", "unregistered", "channel", channel.data,
		channel.len, "status", status));
}

static void driver_on_notified(const struct link_notification *notification, void *ctx) {
	struct driver *driver = ctx;
	char *body = mem_zalloc(2 * notification->body.len + 1);
	for (size_t i = 0; i < notification->body.len; i++) {
		(void)snprintf(body + 2 * i, 3, "%02x", (unsigned char)notification->body.data[i]);
	}
	driver_print(json_pack("{s:s,s:s%,s:s%,s:s,s:I,s:i,s:s%,s:s%}", "event", "notified", "channel",
		notification->channel.data, notification->channel.len, "version",
		notification->version.data, notification->version.len, "body", body, "ttl",
		(json_int_t)notification->ttl_sec, "urgency", (int)notification->urgency, "topic",
		notification->topic.len > 0 ? notification->topic.data : "", notification->topic.len,
		"encoding", notification->encoding.len > 0 ? notification->encoding.data : "",
		notification->encoding.len));
	free(body);
	if (!driver->no_ack) {
		(void)link_ack(driver->link, notification->channel, notification->version);
	}
}

static const struct link_events driver_events = {
	.entered = driver_on_entered,
	.greeted = driver_on_greeted,
	.registered = driver_on_registered,
	.unregistered = driver_on_unregistered,
	.notified = driver_on_notified,
};

static void driver_print_status(struct driver *driver) {
	struct link_status s;
	link_status(driver->link, &s);
	driver_print(json_pack("{s:s,s:s,s:s,s:I,s:I,s:I,s:I,s:I,s:I,s:s,s:s,s:I,s:I,s:I,s:I}", "event",
		"status", "state", link_state_name(s.state), "reason", s.reason, "next_ms",
		(json_int_t)s.next_attempt_ms, "reconnects", (json_int_t)s.reconnects, "attempts",
		(json_int_t)s.attempts, "heartbeat_ms", (json_int_t)s.heartbeat_ms, "round_trip_ms",
		(json_int_t)s.round_trip_ms, "last_heard_ms", (json_int_t)s.last_heard_ms, "peer", s.peer,
		"key", s.network_key, "sent", (json_int_t)s.sent_bytes, "received",
		(json_int_t)s.received_bytes, "wakeups", (json_int_t)alarms_wakeups(driver->alarms),
		"iterations", (json_int_t)ev_iteration(driver->loop)));
}

#ifdef LINK_DRIVER_REAL_NETWORK
static void driver_on_news(enum network_news news, int64_t slept_ms, void *ctx) {
	static const enum link_hint hints[] = {
		[NETWORK_CHANGED] = LINK_HINT_NETWORK,
		[NETWORK_SLEEPING] = LINK_HINT_SLEEPING,
		[NETWORK_RESUMED] = LINK_HINT_RESUMED,
		[NETWORK_CLOCK_JUMPED] = LINK_HINT_CLOCK,
	};
	struct driver *driver = ctx;
	if (driver->link) {
		link_hint(driver->link, hints[news], slept_ms);
	}
}

static void driver_open_network(struct driver *driver) {
	struct network_options options = {
		.loop = driver->loop, .alarms = driver->alarms, .news = driver_on_news, .ctx = driver};
	char *error = NULL;
	driver->network = network_open(&options, &error);
	free(error);
}

static void driver_close_network(struct driver *driver) {
	network_close(driver->network);
}

static void driver_set_network(struct driver *driver, const json_t *command) {
	(void)driver;
	(void)command;
}
#else
static void driver_open_network(struct driver *driver) {
	driver->network = mem_zalloc(sizeof *driver->network);
	fake_network_init(driver->network);
}

static void driver_close_network(struct driver *driver) {
	free(driver->network);
}

static void driver_set_network(struct driver *driver, const json_t *command) {
	struct network *network = driver->network;
	struct slice key;
	network->changed_ms = clock_boot_ms();
	int64_t value;
	if (json_get_string(command, "key", &key) == JSON_PRESENT) {
		(void)snprintf(network->path.key, sizeof network->path.key, "%.*s", (int)key.len, key.data);
	}
	if (json_get_integer(command, "usable", &value) == JSON_PRESENT) {
		network->path.is_usable = network->has_route = value != 0;
	}
	if (json_get_integer(command, "cellular", &value) == JSON_PRESENT) {
		network->path.is_cellular = value != 0;
	}
	if (json_get_integer(command, "ifindex", &value) == JSON_PRESENT) {
		network->path.ifindex = (int)value;
	}
	if (json_get_integer(command, "connectivity", &value) == JSON_PRESENT) {
		network->nm_connectivity = (uint32_t)value;
	}
}
#endif

static void driver_do(struct driver *driver, const json_t *command) {
	static const char *const hints[] = {
		"network", "resumed", "sleeping", "clock", "power", "used", "now"};
	struct slice what = {"", 0}, text = {"", 0}, key = {NULL, 0};
	int64_t number = 0;
	(void)json_get_string(command, "do", &what);
	(void)json_get_string(command, "text", &text);
	(void)json_get_string(command, "key", &key);
	(void)json_get_integer(command, "number", &number);
	char *copy = mem_strndup(text.data, text.len);
	char *vapid = key.data ? mem_strndup(key.data, key.len) : NULL;
	for (size_t i = 0; i < sizeof hints / sizeof hints[0]; i++) {
		if (slice_equals(what, "hint") && slice_equals(text, hints[i])) {
			link_hint(driver->link, (enum link_hint)i, number);
		}
	}
	bool did = true;
	if (slice_equals(what, "register")) {
		did = link_register(driver->link, copy, vapid, number<0, number> 0 ? (uint32_t)number : 0);
	} else if (slice_equals(what, "unregister")) {
		did = link_unregister(driver->link, copy);
	} else if (slice_equals(what, "urgency")) {
		link_set_urgency(driver->link, (enum urgency)number);
	} else if (slice_equals(what, "thrift")) {
		link_set_thrift(driver->link, (enum link_thrift)number, json_object_get(command, "mains"));
	} else if (slice_equals(what, "network")) {
		driver_set_network(driver, command);
	} else if (slice_equals(what, "status")) {
		driver_print_status(driver);
	} else if (slice_equals(what, "start")) {
		link_start(driver->link);
	} else if (slice_equals(what, "stop")) {
		link_stop(driver->link);
	} else if (slice_equals(what, "quit")) {
		ev_break(driver->loop, EVBREAK_ALL);
	}
	if (!did) {
		driver_print(json_pack("{s:s,s:s%}", "event", "not-up", "do", what.data, what.len));
	}
	free(vapid);
	free(copy);
}

static void driver_on_input(struct ev_loop *loop, ev_io *io, int events) {
	(void)events;
	struct driver *driver = io->data;
	ssize_t got =
		read(STDIN_FILENO, driver->line + driver->used, sizeof driver->line - driver->used);
	if (got <= 0) {
		ev_break(loop, EVBREAK_ALL);
		return;
	}
	driver->used += (size_t)got;
	char *end;
	while ((end = memchr(driver->line, '\n', driver->used))) {
		json_t *command = json_parse((struct slice){driver->line, (size_t)(end - driver->line)});
		driver_do(driver, command);
		json_decref(command);
		driver->used -= (size_t)(end + 1 - driver->line);
		memmove(driver->line, end + 1, driver->used);
	}
}

static const char *driver_option(const char *argument, const char *name) {
	size_t len = strlen(name);
	return strncmp(argument, name, len) == 0 ? argument + len : NULL;
}

int main(int argc, char **argv) {
	struct driver driver = {0};
	char *error = NULL;
	const char *heartbeats = NULL, *value;
	if (argc < 2) {
		return 2;
	}
	driver.loop = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
	driver.alarms = alarms_create(driver.loop);
	struct websocket_library_options trust = {.loop = driver.loop};
	struct link_options options = {
		.loop = driver.loop,
		.alarms = driver.alarms,
		.url = argv[1],
		.events = &driver_events,
		.ctx = &driver,
	};
	for (int i = 2; i < argc; i++) {
		options.uaid = (value = driver_option(argv[i], "uaid=")) ? value : options.uaid;
		trust.ca_file = (value = driver_option(argv[i], "ca=")) ? value : trust.ca_file;
		heartbeats = (value = driver_option(argv[i], "heartbeats=")) ? value : heartbeats;
		trust.insecure = trust.insecure || strcmp(argv[i], "insecure") == 0;
		options.use_proxy = options.use_proxy || strcmp(argv[i], "proxy") == 0;
		if (strcmp(argv[i], "network") == 0) {
			driver_open_network(&driver);
		}
		driver.no_ack = driver.no_ack || strcmp(argv[i], "noack") == 0;
	}
	struct websocket_library *library = websocket_library_create(&trust, &error);
	options.network = driver.network;
	options.library = library;
	options.heartbeats = driver.heartbeats = heartbeats_open(heartbeats);
	driver.link = library ? link_create(&options, &error) : NULL;
	if (!driver.link) {
		(void)fprintf(stderr, "%s\n", error);
		free(error);
		return 1;
	}
	ev_io input;
	ev_io_init(&input, driver_on_input, STDIN_FILENO, EV_READ);
	input.data = &driver;
	ev_io_start(driver.loop, &input);
	link_start(driver.link);
	(void)ev_run(driver.loop, 0);
	link_destroy(driver.link);
	websocket_library_destroy(library);
	if (driver.network) {
		driver_close_network(&driver);
	}
	heartbeats_close(driver.heartbeats);
	alarms_destroy(driver.alarms);
	ev_loop_destroy(driver.loop);
	return 0;
}
