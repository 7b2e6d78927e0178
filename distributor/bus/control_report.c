/* SPDX-License-Identifier: Apache-2.0 */
/* Putting the daemon's condition into dictionaries. */
#include "distributor/bus/control_report.h"
#include "common/autopush.h"
#include "common/base64url.h"
#include "common/cleanup.h"
#include "common/url.h"
#include "distributor/bus/dict.h"
#include "distributor/monitor/network.h"
#include "distributor/monitor/power.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

void control_relay_origin(const struct distributor *distributor, char out[CONTROL_ORIGIN_MAX]) {
	const struct account *account = accounts_present(distributor_accounts(distributor));
	struct url url;
	out[0] = '\0';
	if (account && url_parse(slice_of(account->url), &url)) {
		(void)snprintf(out, CONTROL_ORIGIN_MAX, "%s://%s%s%s:%u",
			url_is_secure(&url) ? "wss" : "ws", url.host_is_ipv6 ? "[" : "", url.host,
			url.host_is_ipv6 ? "]" : "", url.port);
	}
}

void control_link_status(const struct distributor *distributor, struct link_status *out_status) {
	const struct account *account = accounts_present(distributor_accounts(distributor));
	*out_status = (struct link_status){.state = LINK_STOPPED,
		.next_attempt_ms = -1,
		.reason =
			account ? "the relay's URL will not do" : "no relay is set; run: bellwire login URL",
		.round_trip_ms = -1,
		.last_heard_ms = -1,
		.peer = "",
		.network_key = ""};
	if (account && account->relay) {
		link_status(account->relay, out_status);
	}
	if (account && distributor_is_paused(distributor)) {
		out_status->reason = "paused by the user; run: bellwire resume";
	}
}

static int control_open_dict(sd_bus_message *reply) {
	return sd_bus_message_open_container(reply, SD_BUS_TYPE_ARRAY, "{sv}");
}

static int control_report_link(sd_bus_message *reply, const struct distributor *distributor) {
	struct link_status link;
	char origin[CONTROL_ORIGIN_MAX];
	control_link_status(distributor, &link);
	control_relay_origin(distributor, origin);
	int result = dict_text(reply, "state", link_state_name(link.state));
	result = result < 0 ? result : dict_text(reply, "reason", link.reason);
	result = result < 0 ? result : dict_text(reply, "relay", origin);
	result = result < 0 ? result : dict_text(reply, "peer", link.peer);
	result = result < 0 ? result : dict_number(reply, "since_ms", link.since_wall_ms);
	result = result < 0 ? result : dict_number(reply, "next_attempt_ms", link.next_attempt_ms);
	result = result < 0 ? result : dict_number(reply, "attempts", link.attempts);
	result = result < 0 ? result : dict_number(reply, "reconnects", link.reconnects);
	result = result < 0 ? result : dict_number(reply, "heartbeat_ms", link.heartbeat_ms);
	result = result < 0 ? result : dict_number(reply, "round_trip_ms", link.round_trip_ms);
	result = result < 0 ? result : dict_number(reply, "last_heard_ms", link.last_heard_ms);
	result = result < 0 ? result : dict_text(reply, "network", link.network_key);
	result = result < 0 ? result : dict_number(reply, "sent_bytes", (int64_t)link.sent_bytes);
	return result < 0 ? result : dict_number(reply, "received_bytes", (int64_t)link.received_bytes);
}

static int control_report_surroundings(
	sd_bus_message *reply, const struct distributor *distributor) {
	struct power_state power;
	struct network_status network;
	distributor_surroundings(distributor, &power, &network);
	int result = dict_bool(reply, "on_mains", power.on_mains);
	result = result < 0 ? result : dict_bool(reply, "battery_low", power.is_low);
	result = result < 0 ? result : dict_bool(reply, "power_saver", power.is_saving);
	result = result < 0 ? result : dict_bool(reply, "metered", power.is_metered);
	return result < 0 ? result
					  : dict_text(reply, "min_urgency",
							urgency_name(distributor_min_urgency(distributor)));
}

static int control_report_dispatch(sd_bus_message *reply, const struct distributor *distributor) {
	struct dispatch_status status;
	uint32_t former = 0;
	const struct account *account = NULL;
	dispatch_status(distributor_dispatch(distributor), &status);
	while ((account = accounts_next(distributor_accounts(distributor), account))) {
		former += account->leave_ms > 0;
	}
	int result = dict_number(
		reply, "registrations", registrations_count(distributor_registrations(distributor)));
	result = result < 0 ? result : dict_number(reply, "received", (int64_t)status.received);
	result = result < 0 ? result : dict_number(reply, "taken", (int64_t)status.taken);
	result = result < 0 ? result : dict_number(reply, "duplicates", (int64_t)status.duplicates);
	result = result < 0 ? result : dict_number(reply, "dropped", (int64_t)status.dropped);
	result = result < 0 ? result : dict_number(reply, "expired", (int64_t)status.expired);
	result = result < 0 ? result : dict_number(reply, "waiting", status.waiting);
	result = result < 0 ? result : dict_number(reply, "kept_on_disk", status.journalled);
	result = result < 0 ? result : dict_number(reply, "former_relays", former);
	return result < 0 ? result
					  : dict_text(reply, "disk_trouble", distributor_disk_trouble(distributor));
}

int control_report_status(sd_bus_message *reply, const struct distributor *distributor) {
	int result = control_open_dict(reply);
	result = result < 0 ? result : dict_text(reply, "version", BELLWIRE_VERSION);
	result = result < 0 ? result : dict_bool(reply, "paused", distributor_is_paused(distributor));
	result = result < 0 ? result : control_report_link(reply, distributor);
	result = result < 0 ? result : control_report_surroundings(reply, distributor);
	result = result < 0 ? result : control_report_dispatch(reply, distributor);
	return result < 0 ? result : sd_bus_message_close_container(reply);
}

static int control_report_registration(sd_bus_message *reply, const struct distributor *distributor,
	const struct registration *registration) {
	const char *reason;
	uint32_t waiting = dispatch_waiting(distributor_dispatch(distributor), registration, &reason);
	bool is_app = registration->kind == REGISTRATION_APP;
	int result = control_open_dict(reply);
	result = result < 0 ? result : dict_number(reply, "number", registration->number);
	result =
		result < 0 ? result : dict_text(reply, "kind", registration_kind_name(registration->kind));
	result =
		result < 0 ? result : dict_text(reply, is_app ? "service" : "name", registration->service);
	result = result < 0 ? result : dict_text(reply, "description", registration->description);
	if (is_app) {
		result = result < 0 ? result : dict_number(reply, "version", registration->version);
	}
	result = result < 0 ? result : dict_bool(reply, "vapid", registration->vapid_key != NULL);
	result = result < 0 ? result : dict_bool(reply, "blocked", registration->is_blocked);
	result = result < 0 ? result : dict_bool(reply, "announced", registration->is_announced);
	result = result < 0 ? result : dict_number(reply, "created_ms", registration->created_ms);
	result = result < 0 ? result : dict_number(reply, "pushed_ms", registration->pushed_ms);
	result = result < 0 ? result : dict_number(reply, "taken_ms", registration->taken_ms);
	result = result < 0 ? result : dict_number(reply, "absent_ms", registration->absent_ms);
	result = result < 0 ? result : dict_number(reply, "pushes", (int64_t)registration->pushes);
	result = result < 0 ? result : dict_number(reply, "waiting", waiting);
	result = result < 0 ? result : dict_text(reply, "reason", reason);
	return result < 0 ? result : sd_bus_message_close_container(reply);
}

int control_report_list(sd_bus_message *reply, const struct distributor *distributor) {
	const struct registration *registration = NULL;
	int result = sd_bus_message_open_container(reply, SD_BUS_TYPE_ARRAY, "a{sv}");
	while (result >= 0 && (registration = registrations_next(
							   distributor_registrations(distributor), registration))) {
		result = control_report_registration(reply, distributor, registration);
	}
	return result < 0 ? result : sd_bus_message_close_container(reply);
}

static int control_report_event(sd_bus_message *reply, const struct history_event *event) {
	int result = control_open_dict(reply);
	result = result < 0 ? result : dict_number(reply, "time_ms", event->wall_ms);
	result = result < 0 ? result : dict_text(reply, "event", event->what);
	if (event->number > 0) {
		result = result < 0 ? result : dict_number(reply, "number", event->number);
		result = result < 0 ? result : dict_text(reply, "name", event->name);
		result = result < 0 ? result : dict_number(reply, "bytes", (int64_t)event->bytes);
	}
	result = result < 0 ? result : dict_text(reply, "detail", event->detail);
	return result < 0 ? result : sd_bus_message_close_container(reply);
}

int control_report_log(sd_bus_message *reply, const struct history *history) {
	int result = sd_bus_message_open_container(reply, SD_BUS_TYPE_ARRAY, "a{sv}");
	for (size_t i = 0; result >= 0 && i < history_count(history); i++) {
		result = control_report_event(reply, history_at(history, i));
	}
	return result < 0 ? result : sd_bus_message_close_container(reply);
}

int control_report_keys(sd_bus_message *reply, const struct registration *registration) {
	uint8_t point[P256_POINT_BYTES];
	if (!registration->key || !p256_point_of(registration->key, point)) {
		return -EIO;
	}
	CLEANUP_FREE char *p256dh = base64url_print(point, sizeof point);
	CLEANUP_FREE char *auth = base64url_print(registration->auth, sizeof registration->auth);
	int result = control_open_dict(reply);
	result = result < 0 ? result : dict_number(reply, "number", registration->number);
	result = result < 0 ? result : dict_text(reply, "endpoint", registration->endpoint);
	result = result < 0 ? result : dict_text(reply, "p256dh", p256dh);
	result = result < 0 ? result : dict_text(reply, "auth", auth);
	return result < 0 ? result : sd_bus_message_close_container(reply);
}
