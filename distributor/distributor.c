/* SPDX-License-Identifier: Apache-2.0 */
/* The daemon's parts, and who hears what from whom. */
#include "distributor/distributor.h"
#include "common/autopush.h"
#include "common/cleanup.h"
#include "common/json.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/url.h"
#include "distributor/action/notify.h"
#include "distributor/bus/control.h"
#include "distributor/bus/unifiedpush.h"
#include "distributor/disk.h"
#include "distributor/jmap/jmap.h"
#include "distributor/link/heartbeat.h"
#include "distributor/link/websocket_library.h"
#include "distributor/monitor/network.h"
#include "distributor/monitor/power.h"
#include "distributor/state.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

enum {
	DISTRIBUTOR_LONG_SLEEP_MS = 30000, /* after which hooks catch up */
	DISTRIBUTOR_LOGIN_MS = 24 * 3600 * 1000, /* so long a login page before the relay is borne */
	DISTRIBUTOR_BATTERY_PATIENCE_MS = 5000,
	DISTRIBUTOR_METERED_PATIENCE_MS = 30000,
	DISTRIBUTOR_SAVING_PATIENCE_MS = 15 * 60 * 1000,
	DISTRIBUTOR_CATCH_UP_MS = 500, /* with the network back; hooks add their own quiet time */
};

struct distributor {
	struct ev_loop *loop;
	const struct config *config;
	int lock;
	struct alarms *alarms;
	struct disk *disk;
	struct state_file *state;
	struct heartbeats *heartbeats;
	struct websocket_library *library;
	struct bus *session_bus, *control_bus, *system_bus;
	struct network *network;
	struct power *power;
	struct accounts *accounts;
	struct registrations *registrations;
	struct dispatch *dispatch;
	struct unifiedpush *unifiedpush;
	struct control *control;
	struct history *history;
	struct notify *notify;
	struct hooks *hooks;
	struct jmap *jmap;
	const char *config_path; /* NULL: none */
	struct alarm notice; /* the relay is out of reach for long */
	struct alarm catch_up;
	const char *catch_up_why; /* waits for the link; NULL: nothing to catch up */
	enum urgency min_urgency;
	int disk_error; /* 0: what is to be kept gets to the disk */
	char *configured_relay; /* what the config said when it was last heeded */
	bool is_paused, is_noticed, is_login_borne, is_ending;
	bool is_asked_for; /* an app wanted to register when no relay was set, and the user knows */
};

/* ---- the state file ---- */

static char *distributor_print_state(void *ctx) {
	struct distributor *d = ctx;
	json_t *json = json_pack("{s:i,s:b,s:s*,s:o,s:o}", "format", 1, "paused", d->is_paused,
		"configured_relay", d->configured_relay, "accounts", accounts_print(d->accounts),
		"registrations", registrations_print(d->registrations));
	char *text = json ? json_dumps(json, JSON_INDENT(1)) : NULL;
	json_decref(json);
	if (!text) {
		log_fatal("the state cannot be put into words");
	}
	return text;
}

static void distributor_notice(
	struct distributor *d, const char *key, const char *title, const char *text) {
	struct notification notification = {.key = key, .title = title, .text = text};
	notify_show(d->notify, &notification);
}

/* ---- news ---- */

static void distributor_update_status(struct distributor *d) {
	const struct account *account = accounts_present(d->accounts);
	struct link_status status;
	if (!account || !account->relay) {
		(void)sd_notify(0, "STATUS=No relay is set. Run: bellwire login URL");
		return;
	}
	link_status(account->relay, &status);
	(void)sd_notifyf(0, "STATUS=%s%s%s", link_state_name(status.state),
		status.reason[0] ? ": " : "", status.reason);
}

static void distributor_on_notice(struct alarm *alarm, void *ctx) {
	(void)alarm;
	struct distributor *d = ctx;
	const struct account *account = accounts_present(d->accounts);
	struct link_status status;
	if (!account || !account->relay) {
		return;
	}
	link_status(account->relay, &status);
	if (status.state == LINK_UP || status.state == LINK_OFFLINE || status.state == LINK_STOPPED) {
		return;
	}
	if (status.wants_login && !d->is_login_borne) {
		d->is_login_borne = true; /* no fault of the relay's, and most likely known */
		alarm_set(&d->notice, DISTRIBUTOR_LOGIN_MS, ALARM_SLACK_CARE_MS);
		return;
	}
	d->is_noticed = true;
	distributor_notice(d, "link", "Pushes do not arrive", status.reason);
}

static void distributor_on_catch_up(struct alarm *alarm, void *ctx) {
	(void)alarm;
	struct distributor *d = ctx;
	const char *why = steal(&d->catch_up_why);
	if (why) {
		hooks_catch_up(d->hooks, why);
	}
	if (why && strcmp(why, "start") != 0) { /* then logins look without waiting for the relay */
		jmap_resync(d->jmap, why);
	}
}

static void distributor_watch_link(struct distributor *d, enum link_state state) {
	if (state == LINK_UP || state == LINK_OFFLINE || state == LINK_STOPPED) {
		d->is_login_borne = false;
	}
	if (state == LINK_UP) {
		alarm_stop(&d->notice);
		if (d->is_noticed) {
			notify_withdraw(d->notify, "link");
		}
		d->is_noticed = false;
	} else if (state == LINK_REFUSED && !d->is_noticed) {
		distributor_on_notice(&d->notice, d);
	} else if (state == LINK_OFFLINE || state == LINK_STOPPED) {
		alarm_stop(&d->notice);
	} else if (!alarm_is_set(&d->notice) && !d->is_noticed && d->config->notice_after_sec > 0) {
		alarm_set(&d->notice, d->config->notice_after_sec * 1000, ALARM_SLACK_CARE_MS);
	}
}

/* A link that is up is a way into the network, whatever the routes look like. */
static bool distributor_is_online(const struct distributor *d, enum link_state state) {
	return state == LINK_UP || !d->network || network_has_route(d->network);
}

static void distributor_tell_jmap(struct distributor *d, enum link_state state) {
	jmap_set_relay_up(d->jmap, state == LINK_UP);
	jmap_set_online(d->jmap, distributor_is_online(d, state));
}

static void distributor_on_entered(struct account *account, enum link_state state, void *ctx) {
	struct distributor *d = ctx;
	struct link_status status;
	if (account != accounts_present(d->accounts)) {
		return;
	}
	link_status(account->relay, &status);
	distributor_tell_jmap(d, state);
	distributor_watch_link(d, state);
	distributor_update_status(d);
	if (state == LINK_UP || state == LINK_OFFLINE || state == LINK_WAITING ||
		state == LINK_REFUSED || state == LINK_STOPPED) { /* what lasts */
		history_add(d->history, link_state_name(state), 0, NULL, 0, status.reason);
	}
	control_changed(d->control);
}

static void distributor_on_greeted(
	struct account *account, uint64_t missed, bool forgotten, void *ctx) {
	struct distributor *d = ctx;
	if (missed > 0) {
		log_warn("messages were missed count=%llu: they expired or were too many",
			(unsigned long long)missed);
		dispatch_resync(d->dispatch, "missed");
	} else if (forgotten) {
		dispatch_resync(d->dispatch, "forgotten");
	}
	if (d->catch_up_why && account == accounts_present(d->accounts)) {
		alarm_set(&d->catch_up, DISTRIBUTOR_CATCH_UP_MS, ALARM_SLACK_DEADLINE_MS);
	}
}

static void distributor_on_noted(const char *what, const struct registration *registration,
	size_t bytes, const char *detail, void *ctx) {
	struct distributor *d = ctx;
	history_add(d->history, what, registration->number, registration->service, bytes, detail);
}

static void distributor_on_notified(
	struct account *account, const struct link_notification *notification, void *ctx) {
	struct distributor *d = ctx;
	dispatch_push(d->dispatch, account, notification);
}

static void distributor_on_endpoint(struct channel *channel, void *ctx) {
	registrations_on_endpoint(((struct distributor *)ctx)->registrations, channel);
}

static void distributor_on_refused(struct channel *channel, int status, void *ctx) {
	registrations_on_refused(((struct distributor *)ctx)->registrations, channel, status);
}

static void distributor_on_changed(void *ctx) {
	struct distributor *d = ctx;
	if (d->registrations) {
		registrations_touch(d->registrations);
	}
}

static const struct accounts_events distributor_accounts_events = {
	.endpoint = distributor_on_endpoint,
	.refused = distributor_on_refused,
	.notified = distributor_on_notified,
	.greeted = distributor_on_greeted,
	.entered = distributor_on_entered,
	.changed = distributor_on_changed,
};

static void distributor_announce(const struct registration *registration, bool spread, void *ctx) {
	dispatch_announce(((struct distributor *)ctx)->dispatch, registration, spread);
}

static void distributor_resume(const struct registration *registration, void *ctx) {
	dispatch_resume(((struct distributor *)ctx)->dispatch, registration);
}

static bool distributor_runs(const char *service, void *ctx) {
	return unifiedpush_sees(((struct distributor *)ctx)->unifiedpush, service);
}

static void distributor_leave(const struct registration *registration, void *ctx) {
	dispatch_leave(((struct distributor *)ctx)->dispatch, registration);
}

static void distributor_dismiss(const struct registration *registration, bool by_app, void *ctx) {
	dispatch_dismiss(((struct distributor *)ctx)->dispatch, registration, by_app);
}

static const struct registrations_events distributor_registrations_events = {
	.announce = distributor_announce,
	.resume = distributor_resume,
	.runs = distributor_runs,
	.leave = distributor_leave,
	.dismiss = distributor_dismiss,
};

/* What a hook's messages may wait for others. */
static int64_t distributor_patience_ms(const struct power_state *state) {
	if (state->is_low || state->is_saving) {
		return DISTRIBUTOR_SAVING_PATIENCE_MS;
	}
	if (state->on_mains) {
		return 0;
	}
	return state->is_metered ? DISTRIBUTOR_METERED_PATIENCE_MS : DISTRIBUTOR_BATTERY_PATIENCE_MS;
}

static void distributor_apply_power(struct distributor *d) {
	const struct power_state *state = power_state(d->power);
	accounts_set_thrift(d->accounts, (enum link_thrift)d->config->thrift, state->on_mains);
	hooks_set_patience_ms(d->hooks, distributor_patience_ms(state));
	jmap_set_mains(d->jmap, state->on_mains);
}

static void distributor_set_urgency(struct distributor *d, enum urgency min) {
	d->min_urgency = d->config->min_urgency > 0 ? (enum urgency)(d->config->min_urgency - 1) : min;
	accounts_set_urgency(d->accounts, d->min_urgency);
	control_changed(d->control);
}

static void distributor_on_power(const struct power_state *state, enum urgency min, void *ctx) {
	struct distributor *d = ctx;
	log_info("power changed mains=%d low=%d saver=%d metered=%d min_urgency=%s", state->on_mains,
		state->is_low, state->is_saving, state->is_metered, urgency_name(min));
	distributor_set_urgency(d, min);
	distributor_apply_power(d);
	if (state->on_mains) {
		accounts_hint(d->accounts, LINK_HINT_POWER, 0);
	}
}

static enum link_state distributor_link_state(const struct distributor *d) {
	const struct account *account = accounts_present(d->accounts);
	struct link_status status = {.state = LINK_STOPPED};
	if (account && account->relay) {
		link_status(account->relay, &status);
	}
	return status.state;
}

static void distributor_on_network(enum network_news news, int64_t slept_ms, void *ctx) {
	struct distributor *d = ctx;
	static const enum link_hint hints[] = {
		[NETWORK_CHANGED] = LINK_HINT_NETWORK,
		[NETWORK_SLEEPING] = LINK_HINT_SLEEPING,
		[NETWORK_RESUMED] = LINK_HINT_RESUMED,
		[NETWORK_CLOCK_JUMPED] = LINK_HINT_CLOCK,
	};
	struct network_status status;
	network_status(d->network, &status);
	power_set_metered(d->power, status.metered == NETWORK_METERED_YES);
	if (news == NETWORK_SLEEPING) {
		dispatch_save(d->dispatch);
	}
	if (news == NETWORK_RESUMED) {
		power_look(d->power); /* the battery may be another one than before */
	}
	if (news == NETWORK_RESUMED && slept_ms >= DISTRIBUTOR_LONG_SLEEP_MS) {
		d->catch_up_why = "resume"; /* when the relay has greeted us */
	}
	accounts_hint(d->accounts, hints[news], slept_ms);
	if (news == NETWORK_CHANGED || news == NETWORK_RESUMED) {
		jmap_set_online(d->jmap, distributor_is_online(d, distributor_link_state(d)));
		jmap_on_network(d->jmap);
	}
}

static void distributor_on_jmap_changed(void *ctx) {
	control_jmap_changed(((struct distributor *)ctx)->control);
}

/* An app registers. */
static void distributor_on_used(void *ctx) {
	struct distributor *d = ctx;
	accounts_hint(d->accounts, LINK_HINT_USED, 0);
	if (!accounts_present(d->accounts) && !d->is_asked_for) {
		d->is_asked_for = true; /* said once */
		distributor_notice(d, "relay", "Push messages are not set up",
			"An app asks for them, and no relay is set. Run: bellwire login URL");
	}
}

static void distributor_on_bus_lost(struct bus *bus, void *ctx) {
	(void)bus;
	struct distributor *d = ctx;
	log_warn("the session bus is gone; ending, so that the service manager starts us anew");
	d->is_ending = true;
	ev_break(d->loop, EVBREAK_ALL);
}

static void distributor_on_system_bus_lost(struct bus *bus, void *ctx) {
	(void)bus;
	(void)ctx;
	log_warn(
		"the system bus is gone: no news of sleep, battery and NetworkManager until restarted");
}

static void distributor_on_disk(int result, void *ctx) {
	struct distributor *d = ctx;
	d->disk_error = result;
	if (result == 0) {
		log_info("the state directory takes what is written again");
		history_add(d->history, "disk", 0, NULL, 0, "takes what is written again");
		notify_withdraw(d->notify, "disk");
		return;
	}
	CLEANUP_FREE char *text = mem_printf("%s: %s. Nothing is lost while it runs, but new apps "
										 "cannot register. Make room.",
		d->config->state_dir, strerror(-result));
	log_error(
		"the state directory cannot be written error=\"%s\" dir=%s: nothing is lost while this "
		"runs, but new apps cannot register, and messages for absent ones wait at the relay",
		strerror(-result), d->config->state_dir);
	history_add(d->history, "disk", 0, NULL, 0, strerror(-result));
	distributor_notice(d, "disk", "Push registrations cannot be kept", text);
}

/* ---- reading the state ---- */

static struct accounts *distributor_make_accounts(struct distributor *d) {
	struct accounts_options options = {
		.link = {.loop = d->loop,
			.alarms = d->alarms,
			.library = d->library,
			.use_proxy = d->config->use_proxy,
			.network = d->network,
			.heartbeats = d->heartbeats},
		.pool = (uint32_t)d->config->pool,
		.events = &distributor_accounts_events,
		.ctx = d,
	};
	return accounts_create(&options);
}

static struct registrations *distributor_make_registrations(
	struct distributor *d, struct accounts *accounts) {
	struct registrations_options options = {.alarms = d->alarms,
		.accounts = accounts,
		.file = d->state,
		.require_vapid = d->config->require_vapid,
		.events = &distributor_registrations_events,
		.ctx = d};
	return registrations_create(&options);
}

static bool distributor_load_parts(
	struct accounts *accounts, struct registrations *registrations, const json_t *json) {
	bool is_whole = accounts_load(accounts, json_object_get(json, "accounts"));
	return registrations_load(registrations, json_object_get(json, "registrations")) && is_whole;
}

/* Tried on parts that nobody else sees. */
static bool distributor_is_whole(const json_t *json, void *ctx) {
	struct distributor *d = ctx;
	struct accounts *accounts = distributor_make_accounts(d);
	struct registrations *registrations = distributor_make_registrations(d, accounts);
	bool is_whole = distributor_load_parts(accounts, registrations, json);
	registrations_destroy(registrations);
	accounts_destroy(accounts);
	return is_whole;
}

static void distributor_say_condition(struct distributor *d, enum state_condition condition) {
	if (condition == STATE_LOST || condition == STATE_PARTIAL) {
		distributor_notice(d, "state", "Push registrations were lost",
			"The state file was damaged and has been set aside. Apps register anew when they start "
			"next.");
		history_add(d->history, "damaged", 0, NULL, 0, "registrations were lost; see the log");
	} else if (condition == STATE_RESTORED) {
		history_add(d->history, "damaged", 0, NULL, 0, "the copy of the state is used");
	}
	if (condition != STATE_READ && condition != STATE_FRESH) {
		registrations_touch(d->registrations); /* both files are good again soon */
	}
}

static bool distributor_load_state(struct distributor *d) {
	enum state_condition condition;
	json_t *json = state_read(d->config->state_dir, distributor_is_whole, d, &condition);
	if (condition == STATE_UNREADABLE) {
		return false;
	}
	if (json) {
		/* what is left out was said */
		(void)distributor_load_parts(d->accounts, d->registrations, json);
		(void)json_get_bool(json, "paused", &d->is_paused); /* absent: not */
		d->configured_relay = json_get_string_dup(json, "configured_relay");
		json_decref(json);
	}
	distributor_say_condition(d, condition);
	return true;
}

/* ---- start ---- */

static void distributor_open_system_bus(struct distributor *d) {
	int result = bus_open(
		d->loop, BUS_SYSTEM, "bellwire-system", distributor_on_system_bus_lost, d, &d->system_bus);
	if (result < 0) {
		log_info("no system bus error=\"%s\": sleep is seen on the clocks, the battery in sysfs",
			strerror(-result));
	}
}

static void distributor_open_surroundings(struct distributor *d) {
	CLEANUP_FREE char *error = NULL;
	distributor_open_system_bus(d);
	struct network_options network = {.loop = d->loop,
		.alarms = d->alarms,
		.system_bus = d->system_bus,
		.news = distributor_on_network,
		.ctx = d};
	d->network = network_open(&network, &error);
	if (!d->network) {
		log_warn("the network cannot be watched: %s", error);
	}
	struct power_options power = {.loop = d->loop,
		.alarms = d->alarms,
		.system_bus = d->system_bus,
		.sysfs = "/sys/class/power_supply",
		.changed = distributor_on_power,
		.ctx = d};
	d->power = power_open(&power);
	if (d->network) { /* a mobile network is metered without NetworkManager, too */
		struct network_status status;
		network_status(d->network, &status);
		power_set_metered(d->power, status.metered == NETWORK_METERED_YES);
	}
}

static bool distributor_open_library(struct distributor *d) {
	CLEANUP_FREE char *error = NULL;
	struct websocket_library_options options = {
		.loop = d->loop, .ca_file = d->config->ca_file, .insecure = d->config->insecure};
	d->library = websocket_library_create(&options, &error);
	if (!d->library) {
		log_error("no relay can be reached: %s", error);
	}
	return d->library != NULL;
}

static void distributor_keep_heartbeats(const char *path, char *take_text, void *ctx) {
	struct distributor *d = ctx;
	disk_replace(d->disk, path, take_text, strlen(take_text), NULL, NULL);
}

static bool distributor_open_core(struct distributor *d) {
	CLEANUP_FREE char *path = state_path(d->config->state_dir);
	CLEANUP_FREE char *heartbeats = mem_printf("%s/heartbeats.json", d->config->state_dir);
	d->disk = disk_open(d->loop);
	disk_on_trouble(d->disk, distributor_on_disk, d);
	d->state = state_file_create(d->disk, path, true, distributor_print_state, d);
	d->heartbeats = heartbeats_open(heartbeats);
	heartbeats_keep_by(d->heartbeats, distributor_keep_heartbeats, d);
	d->accounts = distributor_make_accounts(d);
	d->registrations = distributor_make_registrations(d, d->accounts);
	struct dispatch_options dispatch = {.alarms = d->alarms,
		.accounts = d->accounts,
		.registrations = d->registrations,
		.disk = d->disk,
		.state_dir = d->config->state_dir,
		.noted = distributor_on_noted,
		.ctx = d};
	d->dispatch = dispatch_create(&dispatch);
	if (!distributor_load_state(d)) {
		return false;
	}
	dispatch_load(d->dispatch);
	return true;
}

/* The config's relay counts when it is new there; else a later `bellwire move` stands. */
static bool distributor_set_relay(struct distributor *d) {
	CLEANUP_FREE char *error = NULL;
	const char *wanted = d->config->relay;
	if (!wanted || (d->configured_relay && strcmp(wanted, d->configured_relay) == 0 &&
					   accounts_present(d->accounts))) {
		return true;
	}
	if (!accounts_move(d->accounts, wanted, &error)) {
		log_error("the relay's URL will not do: %s", error);
		return false;
	}
	mem_replace_text(&d->configured_relay, slice_of(wanted));
	registrations_touch(d->registrations);
	return true;
}

static enum distributor_result distributor_open_bus(struct distributor *d) {
	struct unifiedpush_options options = {
		.alarms = d->alarms,
		.registrations = d->registrations,
		.dispatch = d->dispatch,
		.only_sandboxed = d->config->only_sandboxed,
		.used = distributor_on_used,
		.ctx = d,
	};
	if (!d->session_bus) {
		return DISTRIBUTOR_OK;
	}
	options.bus = d->session_bus;
	int result = unifiedpush_open(&options, &d->unifiedpush);
	if (result == -EEXIST) {
		log_error("another distributor already runs on this session bus name=%s", UNIFIEDPUSH_NAME);
		return DISTRIBUTOR_OTHER_RUNS;
	}
	if (result < 0) {
		log_error("the session bus does not let us serve apps error=\"%s\"", strerror(-result));
		return DISTRIBUTOR_FAILED;
	}
	return DISTRIBUTOR_OK;
}

/* On a connection of its own. 0 or negative errno; apps are served without it, too. */
static int distributor_open_control(struct distributor *d) {
	if (!d->session_bus) {
		return 0;
	}
	int result = bus_open(
		d->loop, BUS_SESSION, "bellwire-control", distributor_on_bus_lost, d, &d->control_bus);
	struct control_options options = {
		.bus = d->control_bus, .alarms = d->alarms, .distributor = d, .history = d->history};
	return result < 0 ? result : control_open(&options, &d->control);
}

static bool distributor_connect_bus(struct distributor *d) {
	if (d->config->no_bus) {
		return true;
	}
	int result =
		bus_open(d->loop, BUS_SESSION, "bellwire", distributor_on_bus_lost, d, &d->session_bus);
	if (result < 0) {
		log_error("no session bus error=\"%s\"; start it inside the session, or with --no-bus for "
				  "hooks only",
			strerror(-result));
	}
	return result >= 0;
}

static enum distributor_result distributor_lock(struct distributor *d) {
	d->lock = state_lock(d->config->state_dir);
	if (d->lock == -EBUSY) {
		log_error("another distributor uses %s", d->config->state_dir);
		return DISTRIBUTOR_OTHER_RUNS;
	}
	if (d->lock < 0) {
		log_error("%s cannot be used error=\"%s\"; set state_dir to a directory of yours",
			d->config->state_dir, strerror(-d->lock));
		return DISTRIBUTOR_FAILED;
	}
	return DISTRIBUTOR_OK;
}

/* Nothing comes of it before the loop runs, when all is in its place. */
static void distributor_start_links(struct distributor *d) {
	distributor_set_urgency(d, power_min_urgency(power_state(d->power)));
	if (!accounts_present(d->accounts)) {
		log_warn("no relay is set; run: bellwire login URL");
	} else if (d->is_paused) {
		log_info("paused; run: bellwire resume");
	} else {
		accounts_start(d->accounts);
	}
}

static void distributor_start(struct distributor *d, int control_result) {
	if (control_result < 0) {
		log_warn(
			"the management interface is not there error=\"%s\": `bellwire status` will not work",
			strerror(-control_result));
	}
	distributor_apply_power(d);
	registrations_start(d->registrations);
	dispatch_start(d->dispatch);
	distributor_update_status(d);
}

static void distributor_open_jmap(struct distributor *d, struct jmap_configs *take_logins) {
	const struct jmap_options options = {.loop = d->loop,
		.alarms = d->alarms,
		.session_bus = d->session_bus,
		.registrations = d->registrations,
		.dispatch = d->dispatch,
		.disk = d->disk,
		.notify = d->notify,
		.state_dir = d->config->state_dir,
		.use_proxy = d->config->use_proxy,
		.is_on_mains = power_state(d->power)->on_mains,
		.is_online = distributor_is_online(d, distributor_link_state(d)),
		.changed = distributor_on_jmap_changed,
		.ctx = d};
	d->jmap = jmap_open(&options, take_logins);
}

static enum distributor_result distributor_open(
	struct distributor *d, const struct distributor_config *configured) {
	enum distributor_result result = distributor_lock(d);
	if (result != DISTRIBUTOR_OK || !distributor_connect_bus(d)) {
		return result != DISTRIBUTOR_OK ? result : DISTRIBUTOR_FAILED;
	}
	d->notify = notify_open(d->session_bus);
	distributor_open_surroundings(d);
	if (!distributor_open_library(d) || !distributor_open_core(d)) {
		return DISTRIBUTOR_FAILED;
	}
	struct hooks_options options = {.loop = d->loop,
		.alarms = d->alarms,
		.config = configured->hooks,
		.session_bus = d->session_bus,
		.registrations = d->registrations,
		.dispatch = d->dispatch};
	/* registers what is new, which needs a relay to ask */
	if (!distributor_set_relay(d)) {
		return DISTRIBUTOR_FAILED;
	}
	distributor_start_links(d);
	d->hooks = hooks_open(&options);
	distributor_open_jmap(d, configured->take_logins);
	int control_result = distributor_open_control(d);
	result = distributor_open_bus(d);
	if (result == DISTRIBUTOR_OK) {
		distributor_start(d, control_result);
	}
	return result;
}

enum distributor_result distributor_create(struct ev_loop *loop,
	const struct distributor_config *configured, struct distributor **out_distributor) {
	struct distributor *d = mem_zalloc(sizeof *d);
	d->loop = loop;
	d->config = configured->config;
	d->config_path = configured->path;
	d->lock = -1;
	d->catch_up_why = "start";
	d->history = history_create();
	d->alarms = alarms_create(loop);
	alarm_init(&d->notice, d->alarms, distributor_on_notice, d);
	alarm_init(&d->catch_up, d->alarms, distributor_on_catch_up, d);
	enum distributor_result result = distributor_open(d, configured);
	if (result == DISTRIBUTOR_OK) {
		*out_distributor = d;
	} else {
		distributor_destroy(d);
	}
	return result;
}

/* Who calls is closed first, then who is called; the disk ends before what it tells. */
void distributor_destroy(struct distributor *d) {
	if (!d) {
		return;
	}
	if (d->registrations) {
		registrations_end(d->registrations);
	}
	unifiedpush_close(d->unifiedpush);
	control_close(d->control);
	hooks_close(d->hooks);
	jmap_close(d->jmap);
	if (d->accounts) {
		accounts_stop(d->accounts);
	}
	if (d->dispatch) {
		dispatch_save(d->dispatch);
		state_file_save(d->state, NULL, NULL);
	}
	if (d->heartbeats) {
		heartbeats_keep_by(d->heartbeats, NULL, NULL); /* the last word without the disk's thread */
	}
	disk_close(d->disk);
	registrations_destroy(d->registrations); /* its last answers are announced */
	dispatch_destroy(d->dispatch);
	accounts_destroy(d->accounts);
	state_file_destroy(d->state);
	websocket_library_destroy(d->library);
	heartbeats_close(d->heartbeats);
	power_close(d->power);
	network_close(d->network);
	notify_close(d->notify);
	bus_close(d->session_bus);
	bus_close(d->control_bus);
	bus_close(d->system_bus);
	alarm_stop(&d->notice);
	alarm_stop(&d->catch_up);
	alarms_destroy(d->alarms);
	history_destroy(d->history);
	free(d->configured_relay);
	if (d->lock >= 0) {
		(void)close(d->lock);
	}
	free(d);
}

/* ---- for the management interface ---- */

struct accounts *distributor_accounts(const struct distributor *d) {
	return d->accounts;
}

struct registrations *distributor_registrations(const struct distributor *d) {
	return d->registrations;
}

struct dispatch *distributor_dispatch(const struct distributor *d) {
	return d->dispatch;
}

const struct config *distributor_config(const struct distributor *d) {
	return d->config;
}

struct jmap *distributor_jmap(const struct distributor *d) {
	return d->jmap;
}

bool distributor_reload(struct distributor *d, char **out_error) {
	struct jmap_configs logins = {.count = 0};
	size_t bytes = 0;
	char *said = NULL;
	FILE *err = open_memstream(&said, &bytes);
	if (!err) {
		log_fatal("no memory for a message");
	}
	int result = jmap_configs_load(d->config_path, &logins, err);
	(void)fclose(err); /* to memory */
	if (result < 0) {
		*out_error = said;
		return false;
	}
	free(said);
	jmap_reload(d->jmap, &logins);
	log_info("mail logins are read anew count=%zu", jmap_count(d->jmap));
	return true;
}

void distributor_save(struct distributor *d, disk_done_fn *done, void *ctx) {
	state_file_save(d->state, done, ctx);
}

void distributor_pause(struct distributor *d, bool is_paused) {
	if (is_paused == d->is_paused) {
		return;
	}
	d->is_paused = is_paused;
	log_info(is_paused ? "paused" : "resumed");
	if (is_paused) {
		accounts_stop(d->accounts);
	} else {
		accounts_start(d->accounts);
	}
	control_changed(d->control); /* with the state that the links have now */
	registrations_touch(d->registrations);
}

bool distributor_is_paused(const struct distributor *d) {
	return d->is_paused;
}

bool distributor_move(struct distributor *d, const char *url, char **out_error) {
	struct url parsed;
	if (url_parse(slice_of(url), &parsed) && !url_is_secure(&parsed) && !url_is_loopback(&parsed) &&
		!d->config->insecure) {
		*out_error = mem_strdup("the URL is not encrypted; use wss://");
		return false;
	}
	if (!accounts_move(d->accounts, url, out_error)) {
		return false;
	}
	log_info("moving to another relay registrations=%u", registrations_count(d->registrations));
	notify_withdraw(d->notify, "relay");
	if (!d->is_paused) {
		accounts_start(d->accounts);
	}
	registrations_move(d->registrations);
	registrations_touch(d->registrations);
	distributor_update_status(d);
	control_changed(d->control);
	return true;
}

void distributor_hint(struct distributor *d, enum link_hint hint) {
	accounts_hint(d->accounts, hint, 0);
}

enum urgency distributor_min_urgency(const struct distributor *d) {
	return d->min_urgency;
}

const char *distributor_disk_trouble(const struct distributor *d) {
	return d->disk_error < 0 ? strerror(-d->disk_error) : "";
}

void distributor_surroundings(const struct distributor *d, struct power_state *out_power,
	struct network_status *out_network) {
	*out_power = *power_state(d->power);
	*out_network = (struct network_status){0};
	if (d->network) {
		network_status(d->network, out_network);
	}
}

bool distributor_is_broken(const struct distributor *d) {
	return d->is_ending;
}
