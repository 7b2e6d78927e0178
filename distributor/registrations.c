/* SPDX-License-Identifier: Apache-2.0 */
/* The registrations themselves: found, changed, removed. */
#include "distributor/registrations.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "common/mem.h"
#include "distributor/registrations_impl.h"
#include <errno.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

const char *register_outcome_name(enum register_outcome outcome) {
	static const char *const names[] = {
		[REGISTER_OK] = "",
		[REGISTER_INTERNAL_ERROR] = "INTERNAL_ERROR",
		[REGISTER_NETWORK] = "NETWORK",
		[REGISTER_ACTION_REQUIRED] = "ACTION_REQUIRED",
		[REGISTER_VAPID_REQUIRED] = "VAPID_REQUIRED",
		[REGISTER_UNAUTHORIZED] = "UNAUTHORIZED",
	};
	_Static_assert(sizeof names / sizeof *names == REGISTER_OUTCOME_COUNT, "a name is missing");
	return names[outcome];
}

const char *registration_kind_name(enum registration_kind kind) {
	static const char *const names[] = {
		[REGISTRATION_APP] = "app",
		[REGISTRATION_HOOK] = "hook",
		[REGISTRATION_NAMED] = "named",
		[REGISTRATION_MAIL] = "mail",
	};
	_Static_assert(sizeof names / sizeof *names == REGISTRATION_KIND_COUNT, "a name is missing");
	return names[kind];
}

/* ---- one registration ---- */

void registration_digest(enum registration_kind kind, struct slice text, uint8_t out[16]) {
	uint8_t input[1 + REGISTRATION_SERVICE_MAX], digest[EVP_MAX_MD_SIZE];
	size_t len = text.len < REGISTRATION_SERVICE_MAX ? text.len : REGISTRATION_SERVICE_MAX;
	input[0] = (uint8_t)kind;
	memcpy(input + 1, text.data, len);
	if (EVP_Digest(input, 1 + len, digest, NULL, EVP_sha256(), NULL) != 1) {
		log_fatal("OpenSSL has no SHA-256");
	}
	memcpy(out, digest, 16);
}

struct registration *registration_create(
	struct registrations *registrations, enum registration_kind kind, struct slice token) {
	struct registration *registration = mem_zalloc(sizeof *registration);
	list_init(&registration->link);
	registration->kind = kind;
	registration->number = registrations->next_number++;
	registration->created_ms = clock_wall_ms();
	registration_digest(kind, token, registration->id);
	registration->token = mem_strndup(token.data, token.len);
	registration->service = mem_strdup("");
	registration->description = mem_strdup("");
	registration->endpoint = mem_strdup("");
	list_append(&registrations->all, &registration->link);
	(void)hashmap_put(registrations->by_id, registration);
	(void)hashmap_put(registrations->by_number, registration);
	return registration;
}

static void registration_detach(
	struct registrations *registrations, struct registration *registration) {
	(void)hashmap_remove(registrations->by_id, registration->id);
	(void)hashmap_remove(registrations->by_number, &registration->number);
	list_remove(&registration->link);
}

static void registration_release(struct registration *registration) {
	mem_wipe(registration->auth, sizeof registration->auth);
	EVP_PKEY_free(registration->key);
	free(registration->token);
	free(registration->service);
	free(registration->description);
	free(registration->vapid_key);
	free(registration->endpoint);
	free(registration);
}

void registration_free(struct registrations *registrations, struct registration *registration) {
	registration_detach(registrations, registration);
	registration_release(registration);
}

struct registration *registration_get(
	const struct registrations *registrations, const uint8_t id[16]) {
	return hashmap_get(registrations->by_id, id);
}

bool registration_is_too_long(const struct channel *channel) {
	size_t bytes = strlen(channel->endpoint);
	if (bytes > REGISTRATION_ENDPOINT_MAX) {
		log_error("the relay's push URLs are too long for apps bytes=%zu", bytes);
	}
	return bytes > REGISTRATION_ENDPOINT_MAX;
}

void registration_switch(struct registration *registration, struct channel *channel) {
	registration->channel = channel;
	registration->is_announced = false;
	registration->edition++;
	mem_replace_text(&registration->endpoint, slice_of(channel->endpoint));
	channel_use(channel, registration);
}

/* ---- the end of one ----------------------------------------------------------------------------
 */

/* A registration that was removed. As long as the disk still has it, a crash would bring it back:
 * then its app must not count on its end, nor may the relay have dropped its channels. */
struct goodbye {
	struct list link; /* struct registrations::goodbyes */
	struct registrations *registrations;
	struct registration *registration; /* NULL: its target was told */
	bool by_app;
	bool is_late; /* the disk refused; said to the relay with the next save that works */
};

static void goodbye_on_saved(int result, void *ctx);

static void registration_abandon_channels(
	struct registrations *registrations, const struct registration *registration, void *owner) {
	const struct account *account = NULL;
	while ((account = accounts_next(registrations->options.accounts, account))) {
		struct channel *channel;
		LIST_FOREACH (channel, &account->channels, link) {
			if (channel->registration == registration) {
				channel_abandon(channel, owner);
			}
		}
	}
}

void registration_remove(
	struct registrations *registrations, struct registration *registration, bool by_app) {
	struct register_job *job = register_job_find(registrations, registration->id);
	if (job) {
		register_job_cancel(job);
	}
	struct goodbye *goodbye = mem_zalloc(sizeof *goodbye);
	*goodbye = (struct goodbye){
		.registrations = registrations, .registration = registration, .by_app = by_app};
	list_append(&registrations->goodbyes, &goodbye->link);
	registration_abandon_channels(registrations, registration, goodbye);
	registrations->options.events->leave(registration, registrations->options.ctx);
	registration_detach(registrations, registration);
	state_file_save(registrations->options.file, goodbye_on_saved, goodbye);
}

static void goodbye_tell_target(struct goodbye *goodbye) {
	struct registrations *registrations = goodbye->registrations;
	struct registration *registration = steal(&goodbye->registration);
	if (registration) {
		registrations->options.events->dismiss(
			registration, goodbye->by_app, registrations->options.ctx);
		registration_release(registration);
	}
}

static void goodbye_tell_relay(struct goodbye *goodbye) {
	channels_leave(goodbye->registrations->options.accounts, goodbye);
	list_remove(&goodbye->link);
	free(goodbye);
}

static void goodbye_on_saved(int result, void *ctx) {
	struct goodbye *goodbye = ctx;
	struct registrations *registrations = goodbye->registrations;
	goodbye_tell_target(goodbye); /* who asked waits for it, whatever the disk says */
	if (result < 0) {
		goodbye->is_late = true;
	} else {
		goodbye_tell_relay(goodbye);
	}
	registrations_note_saved(registrations, result);
}

static void registrations_tell_late(struct registrations *registrations) {
	struct goodbye *goodbye, *next;
	LIST_FOREACH_SAFE (goodbye, next, &registrations->goodbyes, link) {
		if (goodbye->is_late) {
			goodbye_tell_relay(goodbye);
		}
	}
}

void registrations_end(struct registrations *registrations) {
	struct goodbye *goodbye, *next;
	LIST_FOREACH_SAFE (goodbye, next, &registrations->goodbyes, link) {
		goodbye_tell_target(goodbye);
	}
}

/* ---- all of them ---- */

static void registrations_on_saved(int result, void *ctx) {
	registrations_note_saved(ctx, result);
	if (result == 0) { /* a whole state: those that an earlier save missed are in it */
		registrations_tell_late(ctx);
	}
}

static void registrations_on_touch(struct alarm *alarm, void *ctx) {
	(void)alarm;
	struct registrations *registrations = ctx;
	state_file_save(registrations->options.file, registrations_on_saved, registrations);
}

void registrations_touch(struct registrations *registrations) {
	if (!alarm_is_set(&registrations->touch)) {
		alarm_set(&registrations->touch, REGISTRATIONS_TOUCH_MS, ALARM_SLACK_DEADLINE_MS);
	}
}

void registrations_note_saved(struct registrations *registrations, int result) {
	bool was_full = registrations->is_disk_full;
	registrations->is_disk_full = result < 0;
	if (result < 0) {
		registrations_touch(registrations); /* catches up when there is room */
	} else if (was_full) {
		register_jobs_save(registrations);
	}
}

static void registrations_on_care(struct alarm *alarm, void *ctx) {
	struct registrations *registrations = ctx;
	struct registration *registration, *next;
	int64_t oldest_ms = clock_wall_ms() - (int64_t)REGISTRATION_ABSENT_DAYS * 24 * 3600 * 1000;
	LIST_FOREACH_SAFE (registration, next, &registrations->all, link) {
		if (registration->absent_ms > 0 && registration->absent_ms < oldest_ms) {
			log_info("app is gone for %d days, its registration is removed service=%s",
				REGISTRATION_ABSENT_DAYS, registration->service);
			registration_remove(registrations, registration, false);
		}
	}
	alarm_set(alarm, REGISTRATIONS_CARE_MS, ALARM_SLACK_CARE_MS * 5);
}

struct registrations *registrations_create(const struct registrations_options *options) {
	struct registrations *registrations = mem_zalloc(sizeof *registrations);
	registrations->options = *options;
	registrations->next_number = 1;
	list_init(&registrations->all);
	list_init(&registrations->jobs);
	list_init(&registrations->answers);
	list_init(&registrations->goodbyes);
	registrations->jobs_by_id = register_jobs_map();
	registrations->by_id = hashmap_create(offsetof(struct registration, id), 16);
	registrations->by_number =
		hashmap_create(offsetof(struct registration, number), sizeof(uint32_t));
	alarm_init(&registrations->touch, options->alarms, registrations_on_touch, registrations);
	alarm_init(&registrations->care, options->alarms, registrations_on_care, registrations);
	alarm_init(&registrations->flush, options->alarms, register_on_flush, registrations);
	return registrations;
}

void registrations_destroy(struct registrations *registrations) {
	if (!registrations) {
		return;
	}
	register_jobs_finish(registrations);
	struct goodbye *goodbye;
	while ((goodbye = list_first(&registrations->goodbyes, struct goodbye, link))) {
		list_remove(&goodbye->link);
		free(goodbye);
	}
	struct registration *registration;
	while ((registration = list_first(&registrations->all, struct registration, link))) {
		registration_free(registrations, registration);
	}
	alarm_stop(&registrations->touch);
	alarm_stop(&registrations->care);
	alarm_stop(&registrations->flush);
	hashmap_destroy(registrations->by_id);
	hashmap_destroy(registrations->by_number);
	hashmap_destroy(registrations->jobs_by_id);
	free(registrations);
}

void registrations_start(struct registrations *registrations) {
	struct registration *registration;
	LIST_FOREACH (registration, &registrations->all, link) {
		if (registration->channel && !registration->is_announced) {
			registrations->options.events->announce(registration, true, registrations->options.ctx);
		}
	}
	registrations_move(registrations);
	alarm_set(&registrations->care, REGISTRATIONS_CARE_MS, ALARM_SLACK_CARE_MS);
}

void registrations_move(struct registrations *registrations) {
	struct account *present = accounts_present(registrations->options.accounts);
	struct registration *registration;
	if (!present) {
		return;
	}
	register_jobs_move(registrations);
	LIST_FOREACH (registration, &registrations->all, link) {
		if (!registration->channel || registration->channel->account != present) {
			register_job_move(registrations, registration);
		} else {
			register_job_stay(registrations, registration);
		}
	}
}

bool registrations_unregister(struct registrations *registrations, enum registration_kind kind,
	struct slice token, bool by_app) {
	uint8_t id[16];
	registration_digest(kind, token, id);
	struct registration *registration = registration_get(registrations, id);
	struct register_job *job = register_job_find(registrations, id);
	if (registration) {
		registration_remove(registrations, registration, by_app);
		return true;
	}
	if (job) {
		register_job_cancel(job);
	}
	return job != NULL;
}

const struct registration *registrations_find(
	const struct registrations *registrations, enum registration_kind kind, struct slice token) {
	uint8_t id[16];
	if (token.len > REGISTRATION_TOKEN_MAX) {
		return NULL;
	}
	registration_digest(kind, token, id);
	return registration_get(registrations, id);
}

const struct registration *registrations_find_number(
	const struct registrations *registrations, uint32_t number) {
	return hashmap_get(registrations->by_number, &number);
}

void registrations_set_blocked(
	struct registrations *registrations, uint32_t number, bool is_blocked) {
	struct registration *registration = hashmap_get(registrations->by_number, &number);
	if (registration) {
		registration->is_blocked = is_blocked;
		registrations_touch(registrations);
	}
}

void registrations_service_left(struct registrations *registrations, const char *service) {
	struct registration *registration, *next;
	register_jobs_service_left(registrations, service);
	LIST_FOREACH_SAFE (registration, next, &registrations->all, link) {
		if (registration->is_transient && strcmp(registration->service, service) == 0) {
			registration_remove(registrations, registration, false);
		}
	}
}

void registrations_note_service(
	struct registrations *registrations, const char *service, bool is_present) {
	struct registration *registration;
	LIST_FOREACH (registration, &registrations->all, link) {
		if (registration->kind == REGISTRATION_APP && strcmp(registration->service, service) == 0 &&
			(registration->absent_ms == 0) != is_present) {
			registration->absent_ms = is_present ? 0 : clock_wall_ms();
			registrations_touch(registrations);
		}
	}
}

const struct registration *registrations_next(
	const struct registrations *registrations, const struct registration *after) {
	const struct list *next = after ? after->link.next : registrations->all.next;
	return next == &registrations->all ? NULL : container_of(next, struct registration, link);
}

uint32_t registrations_count(const struct registrations *registrations) {
	return (uint32_t)hashmap_count(registrations->by_id);
}

/* ---- news from accounts and dispatch ---- */

static void registrations_on_endpoint_saved(int result, void *ctx) {
	struct registrations *registrations = ctx;
	struct registration *registration, *next;
	registrations_note_saved(registrations, result);
	/* told even when the disk refuses: the old endpoint is dead */
	LIST_FOREACH_SAFE (registration, next, &registrations->all, link) {
		if (registration->is_changed) {
			registration->is_changed = registration->is_unsaved = false;
			registrations->options.events->announce(registration, true, registrations->options.ctx);
		}
	}
}

void registrations_on_endpoint(struct registrations *registrations, struct channel *channel) {
	if (channel->use == CHANNEL_ASKED && channel->owner) {
		register_job_on_endpoint(channel->owner);
	} else if (channel->use == CHANNEL_USED && registration_is_too_long(channel)) {
		registration_remove(registrations, channel->registration, false);
	} else if (channel->use == CHANNEL_USED) {
		struct registration *registration = channel->registration;
		mem_replace_text(&registration->endpoint, slice_of(channel->endpoint));
		registration->is_announced = false;
		registration->edition++;
		registration->is_changed = registration->is_unsaved = true;
		state_file_save(
			registrations->options.file, registrations_on_endpoint_saved, registrations);
	} else {
		registrations_touch(registrations);
	}
}

void registrations_on_refused(
	struct registrations *registrations, struct channel *channel, int status) {
	if (channel->use == CHANNEL_ASKED && channel->owner) {
		register_job_on_refused(channel->owner, status);
	} else if (channel->use == CHANNEL_USED) {
		log_warn("relay refuses a registration status=%d service=%s", status,
			channel->registration->service);
		registration_remove(registrations, channel->registration, false);
	} else {
		channel_leave(channel);
	}
}

void registrations_note_announced(
	struct registrations *registrations, const struct registration *announced) {
	struct registration *registration = hashmap_get(registrations->by_id, announced->id);
	const struct account *account = NULL;
	bool has_former = registration->has_former;
	registration->is_announced = true;
	registration->has_former = false;
	registrations_touch(registrations);
	while (has_former && (account = accounts_next(registrations->options.accounts, account))) {
		struct channel *channel, *next;
		LIST_FOREACH_SAFE (channel, next, &account->channels, link) {
			if (channel->registration == registration && channel->use == CHANNEL_OLD &&
				channel->until_ms == 0) {
				channel_leave(channel);
			}
		}
	}
}

void registrations_note_push(
	struct registrations *registrations, const struct registration *pushed, bool was_taken) {
	struct registration *registration = hashmap_get(registrations->by_id, pushed->id);
	if (was_taken) {
		registration->taken_ms = clock_wall_ms();
	} else {
		registration->pushed_ms = clock_wall_ms();
		registration->pushes++;
	}
	registrations_touch(registrations);
}
