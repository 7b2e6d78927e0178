/* SPDX-License-Identifier: Apache-2.0 */
/* A link of its own for a moment; nothing is registered, so the relay forgets it. */
#include "distributor/ctl/login_check.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "common/mem.h"
#include "distributor/ctl/commands.h"
#include "distributor/link/heartbeat.h"
#include "distributor/link/link.h"
#include "distributor/link/websocket_library.h"
#include <stdio.h>

enum { LOGIN_CHECK_SEC = 30 };

struct login_check {
	struct ev_loop *loop;
	struct link *link;
	bool is_good, is_ended;
};

static void login_on_entered(enum link_state state, void *ctx) {
	struct login_check *check = ctx;
	check->is_good = state == LINK_UP;
	if (state == LINK_UP || state == LINK_WAITING || state == LINK_REFUSED ||
		state == LINK_OFFLINE) {
		check->is_ended = true;
		ev_break(check->loop, EVBREAK_ALL);
	}
}

static void login_on_greeted(const struct link_greeting *greeting, void *ctx) {
	(void)greeting; /* nothing is registered, so the relay forgets us */
	(void)ctx;
}

static void login_on_registered(
	struct slice channel, int status, struct slice endpoint, void *ctx) {
	(void)channel;
	(void)status;
	(void)endpoint;
	(void)ctx;
}

static void login_on_unregistered(struct slice channel, int status, void *ctx) {
	(void)channel;
	(void)status;
	(void)ctx;
}

static void login_on_notified(const struct link_notification *notification, void *ctx) {
	(void)notification;
	(void)ctx;
}

static void login_on_timeout(struct ev_loop *loop, ev_timer *timer, int events) {
	(void)timer;
	(void)events;
	ev_break(loop, EVBREAK_ALL);
}

static int login_report(const struct login_check *check, int64_t began_ms) {
	struct link_status status;
	link_status(check->link, &status);
	if (check->is_good) {
		(void)fprintf(stderr, "bellwire: the relay answers (%s, %lld ms)\n", status.peer,
			(long long)(clock_mono_ms() - began_ms));
		return COMMAND_OK;
	}
	return command_fail("the relay cannot be used: %s",
		check->is_ended ? status.reason : "it did not answer within 30 s");
}

static int login_check_run(struct login_check *check, struct link_options *options) {
	CLEANUP_FREE char *error = NULL;
	ev_timer timeout;
	int64_t began_ms = clock_mono_ms();
	options->ctx = check;
	check->link = link_create(options, &error);
	if (!check->link) {
		return command_fail("%s", error);
	}
	ev_timer_init(&timeout, login_on_timeout, LOGIN_CHECK_SEC, 0.);
	link_start(check->link);
	ev_timer_start(check->loop, &timeout);
	(void)ev_run(check->loop, 0);
	ev_timer_stop(check->loop, &timeout);
	int result = login_report(check, began_ms);
	link_destroy(check->link);
	return result;
}

int login_check(const struct config *config) {
	static const struct link_events events = {
		.entered = login_on_entered,
		.greeted = login_on_greeted,
		.registered = login_on_registered,
		.unregistered = login_on_unregistered,
		.notified = login_on_notified,
	};
	CLEANUP_FREE char *error = NULL;
	struct login_check check = {.loop = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV)};
	struct alarms *alarms = alarms_create(check.loop);
	struct heartbeats *heartbeats = heartbeats_open(NULL);
	struct websocket_library_options trust = {
		.loop = check.loop, .ca_file = config->ca_file, .insecure = config->insecure};
	struct websocket_library *library = websocket_library_create(&trust, &error);
	struct link_options options = {.loop = check.loop,
		.alarms = alarms,
		.library = library,
		.url = config->relay,
		.use_proxy = config->use_proxy,
		.heartbeats = heartbeats,
		.events = &events};
	log_set_level(LOG_LEVEL_ERROR); /* the link's steps are the daemon's news */
	int result = library ? login_check_run(&check, &options) : command_fail("%s", error);
	websocket_library_destroy(library);
	heartbeats_close(heartbeats);
	alarms_destroy(alarms);
	ev_loop_destroy(check.loop);
	return result;
}
