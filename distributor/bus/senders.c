/* SPDX-License-Identifier: Apache-2.0 */
/* Remembers who calls: token buckets and sandboxes of the latest connections. */
#include "distributor/bus/senders.h"
#include "common/mem.h"
#include "distributor/alarm.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct sender_bucket {
	double left;
	int64_t filled_ms;
	bool is_empty; /* the last call was refused */
};

struct sender {
	struct list link; /* struct senders::all */
	char *unique_name;
	struct sender_bucket buckets[SENDER_CALL_COUNT];
	bool is_identified;
	struct sandbox sandbox;
	sd_bus_slot *question;
	struct list waits; /* struct sender_wait::link */
};

struct senders {
	struct sd_bus *sd;
	struct list all; /* struct sender::link, the latest first */
	uint32_t count;
};

struct senders *senders_create(struct sd_bus *sd) {
	struct senders *senders = mem_zalloc(sizeof *senders);
	senders->sd = sd;
	list_init(&senders->all);
	return senders;
}

static void sender_destroy(struct senders *senders, struct sender *sender) {
	struct sender_wait *wait, *tmp;
	LIST_FOREACH_SAFE (wait, tmp, &sender->waits, link) {
		sender_wait_cancel(wait);
	}
	sd_bus_slot_unref(sender->question);
	list_remove(&sender->link);
	senders->count--;
	free(sender->unique_name);
	free(sender);
}

void senders_destroy(struct senders *senders) {
	if (!senders) {
		return;
	}
	struct sender *sender, *tmp;
	LIST_FOREACH_SAFE (sender, tmp, &senders->all, link) {
		sender_destroy(senders, sender);
	}
	free(senders);
}

/* Frees the place that was not used for longest; one with waiting calls stays. */
static void senders_make_room(struct senders *senders) {
	for (struct list *at = senders->all.prev;
		 at != &senders->all && senders->count >= SENDERS_MAX;) {
		struct sender *sender = container_of(at, struct sender, link);
		at = at->prev;
		if (!sender->question) {
			sender_destroy(senders, sender);
		}
	}
}

static struct sender *senders_get(struct senders *senders, const char *unique_name) {
	struct sender *sender;
	LIST_FOREACH (sender, &senders->all, link) {
		if (strcmp(sender->unique_name, unique_name) == 0) {
			list_remove(&sender->link);
			list_prepend(&senders->all, &sender->link);
			return sender;
		}
	}
	senders_make_room(senders);
	sender = mem_zalloc(sizeof *sender);
	sender->unique_name = mem_strdup(unique_name);
	list_init(&sender->waits);
	int64_t now_ms = clock_mono_ms();
	for (int i = 0; i < SENDER_CALL_COUNT; i++) {
		sender->buckets[i] = (struct sender_bucket){SENDERS_BURST, now_ms, false};
	}
	list_prepend(&senders->all, &sender->link);
	senders->count++;
	return sender;
}

bool senders_admit(
	struct senders *senders, const char *unique_name, enum sender_call call, bool *out_is_first) {
	struct sender_bucket *bucket = &senders_get(senders, unique_name)->buckets[call];
	int64_t now_ms = clock_mono_ms();
	bucket->left += (double)(now_ms - bucket->filled_ms) * SENDERS_PER_SEC / 1000;
	bucket->left = bucket->left < SENDERS_BURST ? bucket->left : SENDERS_BURST;
	bucket->filled_ms = now_ms;
	bool is_empty = bucket->left < 1;
	*out_is_first = is_empty && !bucket->is_empty;
	bucket->is_empty = is_empty;
	if (!is_empty) {
		bucket->left--;
	}
	return !is_empty;
}

/* Reads the credentials that matter from an a{sv}. */
static int sender_read_credentials(sd_bus_message *reply, struct sandbox *out_sandbox) {
	uint32_t pid = 0;
	struct slice label = {0};
	int result = sd_bus_message_enter_container(reply, 'a', "{sv}");
	while (result >= 0 && (result = sd_bus_message_enter_container(reply, 'e', "sv")) > 0) {
		const char *key;
		result = sd_bus_message_read_basic(reply, 's', &key);
		if (result >= 0 && strcmp(key, "ProcessID") == 0) {
			result = sd_bus_message_read(reply, "v", "u", &pid);
		} else if (result >= 0 && strcmp(key, "LinuxSecurityLabel") == 0) {
			const void *data;
			result = sd_bus_message_enter_container(reply, 'v', "ay");
			if (result >= 0) {
				result = sd_bus_message_read_array(reply, 'y', &data, &label.len);
				label.data = data;
			}
			if (result >= 0) {
				result = sd_bus_message_exit_container(reply);
			}
		} else if (result >= 0) {
			result = sd_bus_message_skip(reply, "v");
		}
		if (result >= 0) {
			result = sd_bus_message_exit_container(reply);
		}
	}
	if (result >= 0) {
		sandbox_look((pid_t)pid, label, out_sandbox);
	}
	return result;
}

static void sender_tell(struct sender *sender) {
	struct list waits;
	list_init(&waits);
	list_splice(&waits, &sender->waits);
	const struct sandbox sandbox = sender->sandbox;
	bool is_identified = sender->is_identified;
	struct sender_wait *wait;
	while ((wait = list_first(&waits, struct sender_wait, link))) {
		list_remove(&wait->link);
		wait->identified(is_identified ? &sandbox : NULL, wait->ctx);
	}
}

static int sender_on_credentials(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
	(void)error;
	struct sender *sender = userdata;
	sender->question = sd_bus_slot_unref(sender->question);
	sender->is_identified = !sd_bus_message_is_method_error(reply, NULL) &&
							sender_read_credentials(reply, &sender->sandbox) >= 0;
	sender_tell(sender);
	return 0;
}

void senders_identify(struct senders *senders, const char *unique_name, struct sender_wait *wait) {
	struct sender *sender = senders_get(senders, unique_name);
	if (sender->is_identified) {
		list_init(&wait->link);
		wait->identified(&sender->sandbox, wait->ctx);
		return;
	}
	list_append(&sender->waits, &wait->link);
	if (!sender->question &&
		sd_bus_call_method_async(senders->sd, &sender->question, "org.freedesktop.DBus",
			"/org/freedesktop/DBus", "org.freedesktop.DBus", "GetConnectionCredentials",
			sender_on_credentials, sender, "s", unique_name) < 0) {
		sender_tell(sender);
	}
}

void sender_wait_cancel(struct sender_wait *wait) {
	if (wait->link.next) {
		list_remove(&wait->link);
	}
}
