/* SPDX-License-Identifier: Apache-2.0 */
/* Ends our subscriptions at a server without a daemon: its file names them, jmap_client does the
 * rest. */
#include "common/cleanup.h"
#include "common/file.h"
#include "common/json.h"
#include "common/mem.h"
#include "distributor/ctl/jmap_probe.h"
#include "distributor/jmap/jmap_client.h"
#include <string.h>

enum { DESTROY_FILE_MAX = 1 << 20 };

struct destroy {
	struct ev_loop *loop;
	char **out_reason;
	bool is_done;
};

static void destroy_add(json_t *ids, const json_t *id) {
	if (json_is_string(id)) {
		(void)json_array_append(ids, (json_t *)id); /* a reference more */
	}
}

/* The ids of our subscriptions, as push_subscription_print() writes them. */
static json_t *destroy_read_ids(const char *path) {
	CLEANUP_FREE char *text = NULL;
	size_t bytes = 0, i;
	json_t *ids = json_array(), *old;
	int result = file_read(path, DESTROY_FILE_MAX, &text, &bytes);
	json_t *json = result < 0 ? NULL : json_parse((struct slice){text, bytes});
	const json_t *push = json_object_get(json, "push");
	destroy_add(ids, json_object_get(json_object_get(push, "current"), "id"));
	destroy_add(ids, json_object_get(json_object_get(push, "next"), "id"));
	json_array_foreach(json_object_get(push, "old"), i, old) {
		destroy_add(ids, old);
	}
	json_decref(json);
	return ids;
}

static void destroy_on_called(const struct jmap_call_result *result, void *ctx) {
	struct destroy *destroy = ctx;
	const char *error = "";
	destroy->is_done =
		result->outcome == JMAP_CALL_OK && jmap_call_answer(result, 0, &error) != NULL;
	if (!destroy->is_done) {
		*destroy->out_reason = mem_strdup(result->outcome == JMAP_CALL_OK ? error : result->reason);
	}
	ev_break(destroy->loop, EVBREAK_ALL);
}

/* Nothing else comes over it; who waits for the keyring has a time limit. */
static void destroy_on_bus_lost(struct bus *bus, void *ctx) {
	(void)bus;
	(void)ctx;
}

static bool destroy_ask(const struct jmap_place *place, const struct jmap_config *config,
	json_t *take_ids, char **out_reason) {
	struct destroy destroy = {
		.loop = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV), .out_reason = out_reason};
	struct fetcher *fetcher = fetcher_create(destroy.loop, place->config.use_proxy);
	struct bus *bus = NULL;
	(void)bus_open(destroy.loop, BUS_SESSION, "bellwire", destroy_on_bus_lost, NULL,
		&bus); /* without one: no keyring */
	const struct hook_place children = {destroy.loop, alarms_create(destroy.loop), NULL};
	struct credentials *credentials = credentials_create(&children, bus, place->config.state_dir);
	struct jmap_client_options options = {
		.loop = destroy.loop, .fetcher = fetcher, .credentials = credentials, .config = config};
	struct jmap_client *client = jmap_client_create(&options);
	struct jmap_call *call = jmap_call_create();
	(void)jmap_call_add(call, "PushSubscription/set", json_pack("{s:o}", "destroy", take_ids));
	jmap_client_send(client, call, destroy_on_called, &destroy);
	(void)ev_run(destroy.loop, 0);
	jmap_client_destroy(client);
	credentials_destroy(credentials);
	alarms_destroy(children.alarms);
	bus_close(bus);
	fetcher_destroy(fetcher);
	ev_loop_destroy(destroy.loop);
	return destroy.is_done;
}

enum jmap_destroyed jmap_probe_destroy(
	const struct jmap_place *place, const struct jmap_config *config, char **out_reason) {
	CLEANUP_FREE char *path = mem_printf("%s/jmap-%s.json", place->config.state_dir, config->name);
	json_t *ids = destroy_read_ids(path);
	*out_reason = NULL;
	if (json_array_size(ids) == 0) {
		json_decref(ids);
		return JMAP_NONE_THERE;
	}
	return destroy_ask(place, config, ids, out_reason) ? JMAP_DESTROYED : JMAP_NOT_DESTROYED;
}
