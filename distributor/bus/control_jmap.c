/* SPDX-License-Identifier: Apache-2.0 */
/* Mail logins on D-Bus. */
#include "distributor/bus/control_jmap.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "distributor/bus/dict.h"
#include "distributor/jmap/jmap.h"
#include <string.h>

#define CONTROL_NO_LOGIN "org.bellwire.Error.NoSuchLogin"

static struct jmap *control_jmap(const struct control *control) {
	return distributor_jmap(control->options.distributor);
}

int control_jmap_reload(struct control *control, sd_bus_message *call, sd_bus_error *error) {
	CLEANUP_FREE char *problem = NULL;
	(void)call;
	if (!distributor_reload(control->options.distributor, &problem)) {
		return sd_bus_error_set(error, "org.bellwire.Error.BadConfiguration", problem);
	}
	return CONTROL_DONE;
}

static int control_jmap_report(sd_bus_message *reply, const struct jmap_status *status) {
	int result = sd_bus_message_open_container(reply, SD_BUS_TYPE_ARRAY, "{sv}");
	result = result < 0 ? result : dict_text(reply, "name", status->name);
	result = result < 0 ? result : dict_text(reply, "user", status->user);
	result = result < 0 ? result : dict_text(reply, "server", status->server);
	result = result < 0 ? result : dict_text(reply, "way", jmap_way_name(status->way));
	result = result < 0 ? result : dict_text(reply, "reason", status->reason);
	result = result < 0 ? result : dict_text(reply, "push", status->push);
	result = result < 0 ? result : dict_bool(reply, "paused", status->is_paused);
	result = result < 0 ? result : dict_number(reply, "verified_ms", status->verified_ms);
	result = result < 0 ? result : dict_number(reply, "expires_ms", status->expires_ms);
	result = result < 0 ? result : dict_number(reply, "pushed_ms", status->pushed_ms);
	result = result < 0 ? result : dict_number(reply, "synced_ms", status->synced_ms);
	result = result < 0 ? result : dict_number(reply, "round_trip_ms", status->round_trip_ms);
	result = result < 0 ? result : dict_number(reply, "again_ms", status->again_ms);
	result = result < 0 ? result : dict_number(reply, "unread", status->unread);
	return result < 0 ? result : sd_bus_message_close_container(reply);
}

int control_jmap_list(sd_bus_message *reply, const struct control *control) {
	struct jmap_status status;
	int result = sd_bus_message_open_container(reply, SD_BUS_TYPE_ARRAY, "a{sv}");
	for (size_t at = 0; result >= 0 && jmap_status(control_jmap(control), at, &status); at++) {
		result = control_jmap_report(reply, &status);
	}
	return result < 0 ? result : sd_bus_message_close_container(reply);
}

int control_jmap_pause(struct control *control, sd_bus_message *call, sd_bus_error *error) {
	const char *name;
	int is_paused;
	int result = sd_bus_message_read(call, "sb", &name, &is_paused);
	if (result < 0) {
		return result;
	}
	if (!jmap_pause(control_jmap(control), name, is_paused != 0, control_on_saved,
			sd_bus_message_ref(call))) {
		sd_bus_message_unref(call);
		return sd_bus_error_setf(error, CONTROL_NO_LOGIN, "there is no mail login %s", name);
	}
	return CONTROL_LATER;
}

static void control_jmap_on_done(bool is_good, const char *sentence, void *ctx) {
	struct control_pending *pending = ctx;
	if (control_is_awaited(pending)) {
		int result = sd_bus_reply_method_return(pending->call, "bs", (int)is_good, sentence);
		if (result < 0) {
			log_debug("bus", "a caller is not answered error=\"%s\"", strerror(-result));
		}
	}
	control_pending_free(pending);
}

typedef void control_jmap_act_fn(
	struct jmap *jmap, const char *name, jmap_tested_fn *done, void *ctx);

static int control_jmap_act(
	struct control *control, sd_bus_message *call, sd_bus_error *error, control_jmap_act_fn *act) {
	const char *name;
	int result = sd_bus_message_read(call, "s", &name);
	if (result < 0) {
		return result;
	}
	struct control_pending *pending = control_pend(control, call, error);
	if (!pending) {
		return -sd_bus_error_get_errno(error);
	}
	act(control_jmap(control), name, control_jmap_on_done, pending);
	return CONTROL_LATER;
}

int control_jmap_test(struct control *control, sd_bus_message *call, sd_bus_error *error) {
	return control_jmap_act(control, call, error, jmap_test);
}

int control_jmap_remove(struct control *control, sd_bus_message *call, sd_bus_error *error) {
	return control_jmap_act(control, call, error, jmap_remove);
}
