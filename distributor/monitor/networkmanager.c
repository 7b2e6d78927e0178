/* SPDX-License-Identifier: Apache-2.0 */
/* Follows NetworkManager, its primary connection and the device of that. */
#include "distributor/monitor/networkmanager.h"
#include "common/mem.h"
#include "distributor/monitor/bus_object.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NM_SERVICE "org.freedesktop.NetworkManager"
#define NM_PATH "/org/freedesktop/NetworkManager"

enum { NM_AWAY_MS = 60000 }; /* so long a restart may take before its last words are forgotten */

struct networkmanager {
	struct sd_bus *bus;
	const struct networkmanager_events *events;
	void *ctx;
	struct bus_object *manager, *connection, *device; /* each found through the one before */
	char *connection_path, *device_path; /* as told; NULL or "/": none */
	struct networkmanager_view view, told;
	struct alarm away;
};

static void nm_tell(struct networkmanager *nm) {
	if (memcmp(&nm->view, &nm->told, sizeof nm->view) != 0) {
		nm->told = nm->view;
		nm->events->changed(nm->ctx);
	}
}

/* The whole field, so that views compare as bytes. */
static void nm_copy(char *out, size_t bytes, const char *text) {
	memset(out, 0, bytes);
	(void)snprintf(out, bytes, "%s", text);
}

/* Follows another object when the path is another. */
static void nm_follow(struct networkmanager *nm, struct bus_object **object, char **path,
	const char *new_path, const struct bus_object_class *class) {
	if (*path && strcmp(*path, new_path) == 0) {
		return;
	}
	bus_object_unfollow(*object);
	free(*path);
	*path = mem_strdup(new_path);
	*object = strcmp(new_path, "/") == 0 ? NULL : bus_object_follow(nm->bus, class, new_path, nm);
}

static void nm_device_property(const char *name, const struct bus_value *value, void *ctx) {
	struct networkmanager *nm = ctx;
	/* a modem's Interface is its control port; packets go through IpInterface */
	if (strcmp(name, "IpInterface") == 0 && value->type == 's') {
		nm_copy(nm->view.interface, sizeof nm->view.interface, value->text);
	}
}

static void nm_device_settled(bool is_there, void *ctx) {
	(void)is_there; /* a device that is gone is replaced by its connection's next one */
	nm_tell(ctx);
}

static const struct bus_object_class nm_device = {
	.service = NM_SERVICE,
	.interface = NM_SERVICE ".Device",
	.property = nm_device_property,
	.settled = nm_device_settled,
};

static void nm_connection_property(const char *name, const struct bus_value *value, void *ctx) {
	struct networkmanager *nm = ctx;
	if (strcmp(name, "Uuid") == 0 && value->type == 's') {
		nm_copy(nm->view.uuid, sizeof nm->view.uuid, value->text);
	} else if (strcmp(name, "Devices") == 0 && value->type == 'o') {
		nm_follow(
			nm, &nm->device, &nm->device_path, value->text[0] ? value->text : "/", &nm_device);
	}
}

static void nm_connection_settled(bool is_there, void *ctx) {
	(void)is_there;
	nm_tell(ctx);
}

static const struct bus_object_class nm_connection = {
	.service = NM_SERVICE,
	.interface = NM_SERVICE ".Connection.Active",
	.property = nm_connection_property,
	.settled = nm_connection_settled,
};

static enum network_metered nm_metered(int64_t value) {
	switch (value) {
	case 1: /* yes */
	case 3: /* guess yes */
		return NETWORK_METERED_YES;
	case 2:
	case 4:
		return NETWORK_METERED_NO;
	default:
		return NETWORK_METERED_UNKNOWN;
	}
}

static void nm_set_connection(struct networkmanager *nm, const char *path) {
	if (nm->connection_path && strcmp(nm->connection_path, path) == 0) {
		if (nm->connection && !bus_object_is_there(nm->connection)) {
			bus_object_refresh(nm->connection); /* it was asked before it was there */
		}
		return;
	}
	nm_copy(nm->view.uuid, sizeof nm->view.uuid, "");
	nm_copy(nm->view.interface, sizeof nm->view.interface, "");
	bus_object_unfollow(nm->device);
	nm->device = NULL;
	free(nm->device_path);
	nm->device_path = NULL;
	nm_follow(nm, &nm->connection, &nm->connection_path, path, &nm_connection);
}

static void nm_manager_property(const char *name, const struct bus_value *value, void *ctx) {
	struct networkmanager *nm = ctx;
	if (strcmp(name, "State") == 0) {
		nm->view.state = (uint32_t)value->number;
	} else if (strcmp(name, "Connectivity") == 0) {
		nm->view.connectivity = (uint32_t)value->number;
	} else if (strcmp(name, "Metered") == 0) {
		nm->view.metered = nm_metered(value->number);
	} else if (strcmp(name, "PrimaryConnectionType") == 0 && value->type == 's') {
		nm->view.is_cellular = strcmp(value->text, "gsm") == 0 || strcmp(value->text, "cdma") == 0;
	} else if (strcmp(name, "PrimaryConnection") == 0 && value->type == 'o') {
		nm_set_connection(nm, value->text);
	}
}

static void nm_on_away(struct alarm *alarm, void *ctx) {
	(void)alarm;
	struct networkmanager *nm = ctx;
	nm_set_connection(nm, "/");
	memset(&nm->view, 0, sizeof nm->view);
	nm_tell(nm);
}

static void nm_manager_settled(bool is_there, void *ctx) {
	struct networkmanager *nm = ctx;
	if (is_there) {
		alarm_stop(&nm->away);
	} else if (nm->connection_path && !alarm_is_set(&nm->away)) {
		/* it is probably restarted; which network this is and what it costs stays true */
		nm->view.state = nm->view.connectivity = 0;
		nm->told = nm->view; /* its silence is no hint */
		alarm_set(&nm->away, NM_AWAY_MS, ALARM_SLACK_CARE_MS);
	}
	nm_tell(nm);
	nm->events->settled(nm->ctx);
}

static const struct bus_object_class nm_manager = {
	.service = NM_SERVICE,
	.interface = NM_SERVICE,
	.property = nm_manager_property,
	.settled = nm_manager_settled,
};

struct networkmanager *networkmanager_follow(struct sd_bus *bus, struct alarms *alarms,
	const struct networkmanager_events *events, void *ctx) {
	struct networkmanager *nm = mem_zalloc(sizeof *nm);
	nm->bus = bus;
	nm->events = events;
	nm->ctx = ctx;
	alarm_init(&nm->away, alarms, nm_on_away, nm);
	nm->manager = bus_object_follow(bus, &nm_manager, NM_PATH, nm);
	return nm;
}

void networkmanager_unfollow(struct networkmanager *nm) {
	if (!nm) {
		return;
	}
	bus_object_unfollow(nm->manager);
	bus_object_unfollow(nm->connection);
	bus_object_unfollow(nm->device);
	alarm_stop(&nm->away);
	free(nm->connection_path);
	free(nm->device_path);
	free(nm);
}

bool networkmanager_is_there(const struct networkmanager *nm) {
	return nm && bus_object_is_there(nm->manager);
}

const struct networkmanager_view *networkmanager_view(const struct networkmanager *nm) {
	return &nm->view;
}
