/* SPDX-License-Identifier: Apache-2.0 */
/* An object on the session bus that the daemon hands pushes to; printed, then acknowledged. */
#include "distributor/ctl/take.h"
#include "common/cleanup.h"
#include "distributor/bus/control.h"
#include "distributor/ctl/commands.h"
#include "distributor/ctl/daemon.h"
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

struct take {
	int64_t count, printed;
	bool is_ended;
	int status;
};

static int take_on_push(sd_bus_message *call, void *userdata, sd_bus_error *error) {
	struct take *take = userdata;
	json_t *push = daemon_read_dict(call);
	if (!push) {
		return sd_bus_error_set(error, SD_BUS_ERROR_INVALID_ARGS, "no push");
	}
	if (take->is_ended || !command_print_json(push)) {
		take->is_ended = true; /* not shown, so not acknowledged */
		take->status = command_reader_is_gone() ? COMMAND_OK : COMMAND_FAILED;
		return sd_bus_error_set(error, SD_BUS_ERROR_FAILED, "the listener ends");
	}
	take->printed++;
	take->is_ended = take->count > 0 && take->printed >= take->count;
	return sd_bus_reply_method_return(call, NULL);
}

static int take_on_ended(sd_bus_message *call, void *userdata, sd_bus_error *error) {
	struct take *take = userdata;
	const char *name;
	(void)error;
	int result = sd_bus_message_read(call, "s", &name);
	if (result < 0) {
		return result;
	}
	take->status = command_fail("%s was unregistered", name);
	take->is_ended = true;
	return sd_bus_reply_method_return(call, NULL);
}

static const sd_bus_vtable take_vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_METHOD("Push", "a{sv}", "", take_on_push, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD("Ended", "s", "", take_on_ended, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_VTABLE_END,
};

/* The daemon has left the bus. */
static int take_on_left(sd_bus_message *message, void *userdata, sd_bus_error *error) {
	struct take *take = userdata;
	const char *name, *before, *now;
	(void)error;
	if (sd_bus_message_read(message, "sss", &name, &before, &now) >= 0 &&
		strcmp(name, CONTROL_NAME) == 0 && now[0] == '\0') {
		take->status = command_fail("the distributor has ended");
		take->is_ended = true;
	}
	return 0;
}

static const char take_match[] =
	"type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged',arg0='" CONTROL_NAME "'";

static int take_signals(void) {
	sigset_t wanted;
	(void)sigemptyset(&wanted);
	(void)sigaddset(&wanted, SIGINT);
	(void)sigaddset(&wanted, SIGTERM);
	(void)sigprocmask(SIG_BLOCK, &wanted, NULL);
	return signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK);
}

static int take_loop(sd_bus *bus, struct take *take, int signals) {
	while (!take->is_ended) {
		int result = sd_bus_process(bus, NULL);
		if (result < 0) {
			return command_fail("the session bus is gone: %s", strerror(-result));
		}
		if (result > 0) {
			continue;
		}
		struct pollfd fds[] = {{.fd = sd_bus_get_fd(bus), .events = (short)sd_bus_get_events(bus)},
			{.fd = signals, .events = POLLIN}, {.fd = STDOUT_FILENO, .events = 0}};
		if (poll(fds, 3, -1) < 0 && errno != EINTR) {
			return command_fail("waiting failed: %s", strerror(errno));
		}
		take->is_ended =
			take->is_ended || fds[1].revents != 0 || (fds[2].revents & (POLLERR | POLLHUP)) != 0;
	}
	return take->status;
}

int take_run(const char *name, int64_t count) {
	CLEANUP(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
	CLEANUP_CLOSE int signals = take_signals();
	struct take take = {.count = count};
	int result = daemon_open(&bus);
	if (result != COMMAND_OK) {
		return result;
	}
	int added = sd_bus_add_object_vtable(
		bus, NULL, CONTROL_LISTENER_PATH, CONTROL_LISTENER_INTERFACE, take_vtable, &take);
	added = added < 0 ? added : sd_bus_add_match(bus, NULL, take_match, take_on_left, &take);
	if (added < 0) {
		return command_fail("the session bus refuses: %s", strerror(-added));
	}
	result = daemon_call(bus, "Listen", NULL, "s", name ? name : "");
	return result != COMMAND_OK ? result : take_loop(bus, &take, signals);
}
