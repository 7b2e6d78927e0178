/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Drives the monitor alone: commands on standard input, JSON lines on standard output. For the
 * scenarios of network namespaces and of a mock system bus.
 * Usage: monitor_driver [SYSFS [metered]]; metered: as if `metered 1` came before all else.
 *
 *   path ADDRESS   the path now            keep           remembers it as the session's
 *   same [LOCAL]   keep's against path's   route          is there a default route that carries
 *   status         network_status()        power          power_state()
 *   metered 0|1    power_set_metered()     look           power_look()
 *
 *   sleep MS   the clocks show that the machine slept so long, from the next turn of the loop on
 *
 *   set MS     the wall clock is set forward by so much
 *
 *   bus 0|1    power and network without the system bus, or with it again
 */
#include "common/log.h"
#include "common/mem.h"
#include "distributor/monitor/address.h"
#include "distributor/monitor/clock_watch.h"
#include "distributor/monitor/network.h"
#include "distributor/monitor/power.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { DRIVER_LINE_MAX = 512 };

struct driver {
	struct ev_loop *loop;
	struct alarms *alarms;
	struct bus *bus;
	struct network *network;
	struct power *power;
	struct network_path now, then;
	ev_io io;
	char line[DRIVER_LINE_MAX];
	size_t length;
};

/* What was added to the machine's clocks; the callback that reads them has no context. */
static int64_t driver_slept_ms, driver_set_ms;

static struct clock_reading driver_clock(void) {
	struct clock_reading now = clock_reading_now();
	now.boot_ms += driver_slept_ms;
	now.wall_ms += driver_slept_ms + driver_set_ms;
	return now;
}

static void driver_print(json_t *take_object) {
	(void)json_dumpf(take_object, stdout, JSON_COMPACT);
	(void)putchar('\n');
	(void)fflush(stdout);
	json_decref(take_object);
}

static void driver_on_news(enum network_news news, int64_t slept_ms, void *ctx) {
	(void)ctx;
	static const char *const names[] = {[NETWORK_CHANGED] = "changed",
		[NETWORK_SLEEPING] = "sleeping",
		[NETWORK_RESUMED] = "resumed",
		[NETWORK_CLOCK_JUMPED] = "clock"};
	driver_print(json_pack("{s:s,s:I,s:I}", "news", names[news], "slept_ms", (json_int_t)slept_ms,
		"at_ms", (json_int_t)clock_boot_ms()));
}

static json_t *driver_power(const struct power_state *state, enum urgency min) {
	static const char *const names[] = {"very-low", "low", "normal", "high"};
	return json_pack("{s:b,s:b,s:b,s:b,s:s,s:I}", "mains", state->on_mains, "low", state->is_low,
		"saving", state->is_saving, "metered", state->is_metered, "min", names[min], "at_ms",
		(json_int_t)clock_boot_ms());
}

static void driver_on_power(const struct power_state *state, enum urgency min, void *ctx) {
	(void)ctx;
	driver_print(json_pack("{s:o}", "changed_power", driver_power(state, min)));
}

static bool driver_address(const char *text, struct sockaddr_storage *out) {
	struct sockaddr_in in = {.sin_family = AF_INET};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
	memset(out, 0, sizeof *out);
	if (inet_pton(AF_INET, text, &in.sin_addr) == 1) {
		memcpy(out, &in, sizeof in);
		return true;
	}
	if (inet_pton(AF_INET6, text, &in6.sin6_addr) == 1) {
		memcpy(out, &in6, sizeof in6);
		return true;
	}
	return false;
}

static void driver_command_path(struct driver *driver, const char *text) {
	struct sockaddr_storage peer;
	if (!driver_address(text, &peer)) {
		log_fatal("no address: %s", text);
	}
	network_path_to(driver->network, (struct sockaddr *)&peer, &driver->now);
	char source[INET6_ADDRSTRLEN], gateway[INET6_ADDRSTRLEN], mac[18];
	const uint8_t *m = driver->now.gateway_mac;
	address_print((struct sockaddr *)&driver->now.source, source);
	address_print((struct sockaddr *)&driver->now.gateway, gateway);
	(void)snprintf(
		mac, sizeof mac, "%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5]);
	driver_print(json_pack("{s:b,s:i,s:s,s:s,s:s,s:s,s:b}", "usable", driver->now.is_usable,
		"ifindex", driver->now.ifindex, "source", source, "gateway", gateway, "mac", mac, "key",
		driver->now.key, "cellular", driver->now.is_cellular));
}

static void driver_command_same(struct driver *driver, const char *text) {
	struct sockaddr_storage local;
	bool has_local = driver_address(text, &local);
	driver_print(json_pack("{s:b}", "same",
		network_path_is_same(driver->network, &driver->then, &driver->now,
			has_local ? (struct sockaddr *)&local : NULL)));
}

static void driver_command_status(struct driver *driver) {
	static const char *const metered[] = {"unknown", "yes", "no"};
	struct network_status status;
	network_status(driver->network, &status);
	driver_print(json_pack("{s:s,s:I,s:I,s:b,s:b,s:I,s:I,s:I}", "metered", metered[status.metered],
		"nm_state", (json_int_t)status.nm_state, "nm_connectivity",
		(json_int_t)status.nm_connectivity, "logind", status.has_logind, "nm",
		status.has_network_manager, "hints", (json_int_t)status.hints, "news",
		(json_int_t)status.news, "wakeups", (json_int_t)alarms_wakeups(driver->alarms)));
}

static void driver_on_lost(struct bus *bus, void *ctx) {
	(void)bus;
	struct driver *driver = ctx;
	network_set_bus(driver->network, NULL);
	power_set_bus(driver->power, NULL);
	driver_print(json_pack("{s:b}", "lost", true));
}

static void driver_command_bus(struct driver *driver, bool is_wanted) {
	network_set_bus(driver->network, NULL);
	power_set_bus(driver->power, NULL);
	bus_close(driver->bus);
	driver->bus = NULL;
	if (is_wanted &&
		bus_open(driver->loop, BUS_SYSTEM, "driver", driver_on_lost, driver, &driver->bus) >= 0) {
		network_set_bus(driver->network, driver->bus);
		power_set_bus(driver->power, driver->bus);
	}
	driver_print(json_pack("{s:b}", "bus", driver->bus != NULL));
}

static void driver_command(struct driver *driver, char *line) {
	char *argument = strchr(line, ' ');
	if (argument) {
		*argument++ = '\0';
	} else {
		argument = line + strlen(line);
	}
	if (strcmp(line, "path") == 0) {
		driver_command_path(driver, argument);
	} else if (strcmp(line, "keep") == 0) {
		driver->then = driver->now;
		driver_print(json_pack("{s:b}", "kept", true));
	} else if (strcmp(line, "same") == 0) {
		driver_command_same(driver, argument);
	} else if (strcmp(line, "route") == 0) {
		driver_print(json_pack("{s:b}", "route", network_has_route(driver->network)));
	} else if (strcmp(line, "status") == 0) {
		driver_command_status(driver);
	} else if (strcmp(line, "power") == 0) {
		const struct power_state *state = power_state(driver->power);
		driver_print(driver_power(state, power_min_urgency(state)));
	} else if (strcmp(line, "metered") == 0) {
		power_set_metered(driver->power, argument[0] == '1');
		driver_print(json_pack("{s:b}", "metered", argument[0] == '1'));
	} else if (strcmp(line, "look") == 0) {
		power_look(driver->power);
		driver_print(json_pack("{s:b}", "looked", true));
	} else if (strcmp(line, "sleep") == 0) {
		driver_slept_ms += strtoll(argument, NULL, 10);
		driver_print(json_pack("{s:I}", "slept", (json_int_t)driver_slept_ms));
	} else if (strcmp(line, "set") == 0) {
		driver_set_ms += strtoll(argument, NULL, 10);
		driver_print(json_pack("{s:I}", "set", (json_int_t)driver_set_ms));
	} else if (strcmp(line, "bus") == 0) {
		driver_command_bus(driver, argument[0] == '1');
	} else {
		log_fatal("no such command: %s", line);
	}
}

static void driver_on_input(struct ev_loop *loop, ev_io *io, int events) {
	(void)events;
	struct driver *driver = io->data;
	ssize_t bytes =
		read(STDIN_FILENO, driver->line + driver->length, sizeof driver->line - driver->length - 1);
	if (bytes <= 0) {
		ev_break(loop, EVBREAK_ALL);
		return;
	}
	driver->length += (size_t)bytes;
	driver->line[driver->length] = '\0';
	char *end;
	while ((end = strchr(driver->line, '\n'))) {
		*end = '\0';
		driver_command(driver, driver->line);
		driver->length -= (size_t)(end + 1 - driver->line);
		memmove(driver->line, end + 1, driver->length + 1);
	}
}

int main(int argc, char **argv) {
	const char *sysfs = argc > 1 ? argv[1] : "/sys/class/power_supply";
	struct driver driver = {.loop = ev_loop_new(EVBACKEND_EPOLL)};
	log_set_level(LOG_LEVEL_DEBUG);
	driver.alarms = alarms_create(driver.loop);
	int result = bus_open(driver.loop, BUS_SYSTEM, "driver", driver_on_lost, &driver, &driver.bus);
	if (result < 0) {
		log_info("no system bus error=%s", strerror(-result));
	}
	char *error = NULL;
	driver.network = network_open(&(struct network_options){.loop = driver.loop,
									  .alarms = driver.alarms,
									  .system_bus = driver.bus,
									  .news = driver_on_news,
									  .ctx = &driver,
									  .clock = driver_clock},
		&error);
	if (!driver.network) {
		log_fatal("%s", error);
	}
	driver.power = power_open(&(struct power_options){.loop = driver.loop,
		.alarms = driver.alarms,
		.system_bus = driver.bus,
		.sysfs = sysfs,
		.changed = driver_on_power,
		.ctx = &driver});
	if (argc > 2 && strcmp(argv[2], "metered") == 0) {
		power_set_metered(driver.power, true); /* before any source can answer */
	}
	ev_io_init(&driver.io, driver_on_input, STDIN_FILENO, EV_READ);
	driver.io.data = &driver;
	ev_io_start(driver.loop, &driver.io);
	driver_print(json_pack("{s:b}", "ready", true));
	ev_run(driver.loop, 0);
	power_close(driver.power);
	network_close(driver.network);
	bus_close(driver.bus);
	alarms_destroy(driver.alarms);
	ev_loop_destroy(driver.loop);
	return 0;
}
