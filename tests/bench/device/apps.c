/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bellwire-bench-apps COUNT: that many UnifiedPush apps on one bus connection, which register with
 * the distributor and take what comes. A line each: "endpoint N URL", "message N NANOSECONDS" (of
 * CLOCK_REALTIME, when the call was read from the bus). A number on standard input makes that app
 * register again.
 * bellwire-bench-apps --call: the bus alone, for comparison. A number on standard input makes it
 * call that app with 200 bytes, as the distributor would; it prints "called N NANOSECONDS".
 */
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>
#include <time.h>
#include <unistd.h>

#define APPS_SERVICE "org.bellwire.bench.App%d"
enum { APPS_MAX = 1000 };

static void apps_check(int result, const char *what) {
	if (result < 0) {
		(void)fprintf(stderr, "bellwire-bench-apps: %s: %s\n", what, strerror(-result));
		exit(1);
	}
}

static long long apps_now_ns(void) {
	struct timespec now;
	(void)clock_gettime(CLOCK_REALTIME, &now);
	return (long long)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* The texts of an a{sv}: whose it is, and the endpoint if there is one. */
static int apps_read(sd_bus_message *call, int *out_number, const char **out_endpoint) {
	const char *key, *value, *type;
	*out_number = -1;
	*out_endpoint = "";
	int result = sd_bus_message_enter_container(call, 'a', "{sv}");
	while (result >= 0 && (result = sd_bus_message_enter_container(call, 'e', "sv")) > 0) {
		result = sd_bus_message_read_basic(call, 's', &key);
		result = result < 0 ? result : sd_bus_message_peek_type(call, NULL, &type);
		if (result >= 0 && strcmp(type, "s") == 0) {
			result = sd_bus_message_read(call, "v", "s", &value);
			if (result >= 0 && strcmp(key, "token") == 0) {
				*out_number = (int)strtol(value, NULL, 10);
			} else if (result >= 0 && strcmp(key, "endpoint") == 0) {
				*out_endpoint = value;
			}
		} else if (result >= 0) {
			result = sd_bus_message_skip(call, "v");
		}
		result = result < 0 ? result : sd_bus_message_exit_container(call);
	}
	return result;
}

static int apps_on_endpoint(sd_bus_message *call, void *userdata, sd_bus_error *error) {
	(void)userdata;
	(void)error;
	int number;
	const char *endpoint;
	apps_check(apps_read(call, &number, &endpoint), "NewEndpoint");
	(void)printf("endpoint %d %s\n", number, endpoint);
	return sd_bus_reply_method_return(call, "a{sv}", 0);
}

static int apps_on_message(sd_bus_message *call, void *userdata, sd_bus_error *error) {
	(void)userdata;
	(void)error;
	int number;
	const char *endpoint;
	long long now_ns = apps_now_ns();
	apps_check(apps_read(call, &number, &endpoint), "Message");
	(void)printf("message %d %lld\n", number, now_ns);
	return sd_bus_reply_method_return(call, "a{sv}", 0);
}

static int apps_on_unregistered(sd_bus_message *call, void *userdata, sd_bus_error *error) {
	(void)userdata;
	(void)error;
	return sd_bus_reply_method_return(call, "a{sv}", 0);
}

static const sd_bus_vtable apps_vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_METHOD("NewEndpoint", "a{sv}", "a{sv}", apps_on_endpoint, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD("Message", "a{sv}", "a{sv}", apps_on_message, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD(
		"Unregistered", "a{sv}", "a{sv}", apps_on_unregistered, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_VTABLE_END,
};

static int apps_on_registered(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
	(void)userdata;
	(void)error;
	const sd_bus_error *failure = sd_bus_message_get_error(reply);
	if (failure) {
		(void)fprintf(stderr, "bellwire-bench-apps: Register: %s\n", failure->name);
	}
	return 0;
}

static void apps_register(sd_bus *bus, int number) {
	char service[64], token[16];
	(void)snprintf(service, sizeof service, APPS_SERVICE, number);
	(void)snprintf(token, sizeof token, "%d", number);
	apps_check(
		sd_bus_call_method_async(bus, NULL, "org.unifiedpush.Distributor.bellwire",
			"/org/unifiedpush/Distributor", "org.unifiedpush.Distributor2", "Register",
			apps_on_registered, NULL, "a{sv}", 2, "service", "s", service, "token", "s", token),
		"Register");
}

static void apps_call(sd_bus *bus, int number) {
	static const uint8_t body[200];
	char service[64], token[16];
	sd_bus_message *call = NULL;
	(void)snprintf(service, sizeof service, APPS_SERVICE, number);
	(void)snprintf(token, sizeof token, "%d", number);
	long long begin_ns = apps_now_ns();
	int result = sd_bus_message_new_method_call(
		bus, &call, service, "/org/unifiedpush/Connector", "org.unifiedpush.Connector2", "Message");
	result = result < 0 ? result : sd_bus_message_open_container(call, 'a', "{sv}");
	result = result < 0 ? result : sd_bus_message_append(call, "{sv}", "token", "s", token);
	result = result < 0 ? result : sd_bus_message_open_container(call, 'e', "sv");
	result = result < 0 ? result : sd_bus_message_append(call, "s", "message");
	result = result < 0 ? result : sd_bus_message_open_container(call, 'v', "ay");
	result = result < 0 ? result : sd_bus_message_append_array(call, 'y', body, sizeof body);
	result = result < 0 ? result : sd_bus_message_close_container(call);
	result = result < 0 ? result : sd_bus_message_close_container(call);
	result = result < 0 ? result : sd_bus_message_close_container(call);
	result = result < 0 ? result : sd_bus_call_async(bus, NULL, call, apps_on_registered, NULL, 0);
	apps_check(result, "a call");
	sd_bus_message_unref(call);
	(void)printf("called %d %lld\n", number, begin_ns);
}

static void apps_process(sd_bus *bus) {
	int result;
	while ((result = sd_bus_process(bus, NULL)) > 0) {
	}
	apps_check(result, "the bus");
	apps_check(sd_bus_flush(bus), "the bus");
	(void)fflush(stdout);
}

/* Until standard input ends. */
static void apps_run(sd_bus *bus, void (*asked)(sd_bus *bus, int number)) {
	struct pollfd fds[] = {
		{.fd = sd_bus_get_fd(bus), .events = POLLIN}, {.fd = STDIN_FILENO, .events = POLLIN}};
	char line[32];
	for (;;) {
		apps_process(bus);
		if (poll(fds, 2, -1) < 0 && errno != EINTR) {
			apps_check(-errno, "poll");
		}
		if (fds[1].revents) {
			ssize_t bytes = read(STDIN_FILENO, line, sizeof line - 1);
			if (bytes <= 0) {
				return;
			}
			line[bytes] = '\0';
			asked(bus, (int)strtol(line, NULL, 10));
		}
	}
}

static void apps_start(sd_bus *bus, int count) {
	apps_check(sd_bus_add_object_vtable(bus, NULL, "/org/unifiedpush/Connector",
				   "org.unifiedpush.Connector2", apps_vtable, NULL),
		"the connector");
	for (int i = 0; i < count; i++) {
		char service[64];
		(void)snprintf(service, sizeof service, APPS_SERVICE, i);
		apps_check(sd_bus_request_name(bus, service, 0), service);
		apps_register(bus, i);
	}
}

int main(int argc, char **argv) {
	sd_bus *bus = NULL;
	bool calls = argc == 2 && strcmp(argv[1], "--call") == 0;
	int count = argc == 2 ? (int)strtol(argv[1], NULL, 10) : 0;
	if (!calls && (count < 1 || count > APPS_MAX)) {
		(void)fprintf(stderr, "usage: bellwire-bench-apps COUNT|--call\n");
		return 2;
	}
	apps_check(sd_bus_open_user(&bus), "no session bus");
	if (!calls) {
		apps_start(bus, count);
	}
	apps_run(bus, calls ? apps_call : apps_register);
	sd_bus_flush_close_unref(bus);
	return 0;
}
