/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Getting an endpoint for a registration: register_job_start -> (the relay) -> register_job_apply
 * -> (the disk) -> register_job_finish. Those who asked are answered from the loop, and are not
 * waited for: a job whose callers were told NETWORK goes on as a wish.
 */
#include "common/cleanup.h"
#include "common/log.h"
#include "common/mem.h"
#include "distributor/registrations_impl.h"
#include <errno.h>
#include <openssl/rand.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum register_purpose {
	REGISTER_FRESH, /* a token that is not known */
	REGISTER_REKEY, /* another VAPID key: another endpoint */
	REGISTER_MOVE, /* another relay, or an endpoint that got lost; nobody asked */
};

/* One who waits. */
struct register_caller {
	struct list link; /* struct register_job::callers, then struct registrations::answers */
	registered_fn *done;
	void *ctx;
	uint8_t id[16];
	enum register_outcome outcome;
	char *detail;
};

struct register_job {
	struct list link; /* struct registrations::jobs */
	struct registrations *registrations;
	uint8_t id[16]; /* key of struct registrations::jobs_by_id */
	enum register_purpose purpose;
	enum registration_kind kind;
	char *token, *service, *description, *vapid_key; /* vapid_key NULL: none */
	int version;
	struct list callers; /* struct register_caller::link */
	struct channel *channel;
	struct channel *former; /* REKEY, MOVE: to go back to when the disk refuses */
	char *former_vapid_key;
	bool was_announced; /* REKEY: the former one */
	struct alarm timeout; /* callers first, then the wish */
	bool is_saving;
	bool waits_for_disk; /* it has its channel, and is saved as soon as the disk takes it */
	bool is_cancelled; /* while saving: ends after it */
};

static void register_job_start(struct register_job *job);
static void register_job_apply(struct register_job *job);
static void register_job_on_saved(int result, void *ctx);
static void register_job_finish(struct register_job *job);

/* ---- answers ---- */

static void register_answer(struct registrations *registrations, struct register_caller *caller,
	enum register_outcome outcome, const char *detail) {
	caller->outcome = outcome;
	caller->detail = mem_strdup(detail);
	list_remove(&caller->link);
	list_append(&registrations->answers, &caller->link);
	if (!alarm_is_set(&registrations->flush)) {
		alarm_set(&registrations->flush, 0, 0);
	}
}

static void register_answer_all(
	struct register_job *job, enum register_outcome outcome, const char *detail) {
	struct register_caller *caller;
	while ((caller = list_first(&job->callers, struct register_caller, link))) {
		register_answer(job->registrations, caller, outcome, detail);
	}
}

static void register_tell(struct registrations *registrations, struct register_caller *caller) {
	struct registration *registration = registration_get(registrations, caller->id);
	if (caller->outcome != REGISTER_OK) {
		caller->done(caller->outcome, NULL, caller->detail, caller->ctx);
	} else if (!registration) {
		caller->done(REGISTER_INTERNAL_ERROR, NULL, "it was unregistered meanwhile", caller->ctx);
	} else {
		caller->done(REGISTER_OK, registration, "", caller->ctx);
		registrations->options.events->announce(registration, false, registrations->options.ctx);
	}
}

void register_on_flush(struct alarm *alarm, void *ctx) {
	(void)alarm;
	struct registrations *registrations = ctx;
	struct register_caller *caller;
	while ((caller = list_first(&registrations->answers, struct register_caller, link))) {
		list_remove(&caller->link);
		register_tell(registrations, caller);
		free(caller->detail);
		free(caller);
	}
}

static struct register_caller *register_caller_create(
	const uint8_t id[16], registered_fn *done, void *ctx) {
	struct register_caller *caller = mem_zalloc(sizeof *caller);
	caller->done = done;
	caller->ctx = ctx;
	list_init(&caller->link);
	memcpy(caller->id, id, 16);
	return caller;
}

/* ---- jobs ---- */

static void register_job_free(struct register_job *job) {
	(void)hashmap_remove(job->registrations->jobs_by_id, job->id);
	list_remove(&job->link);
	alarm_stop(&job->timeout);
	free(job->token);
	free(job->service);
	free(job->description);
	free(job->vapid_key);
	free(job->former_vapid_key);
	free(job);
}

struct hashmap *register_jobs_map(void) {
	return hashmap_create(offsetof(struct register_job, id), 16);
}

struct register_job *register_job_find(
	const struct registrations *registrations, const uint8_t id[16]) {
	return hashmap_get(registrations->jobs_by_id, id);
}

/* Nobody waits any more: the channel, if it is of no use to a registration, goes. */
static void register_job_abandon(struct register_job *job) {
	if (job->channel && !job->channel->registration) {
		channel_leave(job->channel);
	}
	register_job_free(job);
}

void register_job_cancel(struct register_job *job) {
	register_answer_all(job, REGISTER_INTERNAL_ERROR, "it was unregistered meanwhile");
	if (job->is_saving) {
		job->is_cancelled = true;
	} else {
		register_job_abandon(job);
	}
}

void register_jobs_service_left(struct registrations *registrations, const char *service) {
	struct register_job *job, *next;
	LIST_FOREACH_SAFE (job, next, &registrations->jobs, link) {
		if (job->kind == REGISTRATION_APP && strcmp(job->service, service) == 0 &&
			!job->is_cancelled) {
			register_job_cancel(job);
		}
	}
}

void register_jobs_finish(struct registrations *registrations) {
	struct register_job *job;
	while ((job = list_first(&registrations->jobs, struct register_job, link))) {
		register_answer_all(job, REGISTER_INTERNAL_ERROR, "the distributor ends");
		register_job_free(job);
	}
	register_on_flush(NULL, registrations);
}

/* Why the relay cannot be asked now; NULL when it can, or soon. */
static const char *register_obstacle(
	const struct registrations *registrations, enum register_outcome *out_outcome) {
	const struct account *account = accounts_present(registrations->options.accounts);
	struct link_status status;
	if (!account) {
		*out_outcome = REGISTER_ACTION_REQUIRED;
		return "no relay is set; run: bellwire login URL";
	}
	if (!account->relay) {
		*out_outcome = REGISTER_ACTION_REQUIRED;
		return "the relay's URL will not do; run: bellwire login URL";
	}
	link_status(account->relay, &status);
	*out_outcome = status.state == LINK_REFUSED ? REGISTER_ACTION_REQUIRED : REGISTER_NETWORK;
	return status.state == LINK_REFUSED || status.state == LINK_OFFLINE ||
				   status.state == LINK_STOPPED
			   ? status.reason
			   : NULL;
}

static void register_job_on_timeout(struct alarm *alarm, void *ctx) {
	struct register_job *job = ctx;
	if (job->is_saving) {
		alarm_set(alarm, REGISTRATION_REPLY_MS, ALARM_SLACK_DEADLINE_MS);
	} else if (!list_is_empty(&job->callers)) {
		register_answer_all(job, REGISTER_NETWORK, "the relay did not answer in time");
		alarm_set(alarm, REGISTER_WISH_MS, ALARM_SLACK_CARE_MS);
	} else if (job->kind == REGISTRATION_APP && job->purpose == REGISTER_FRESH) {
		register_job_abandon(job);
	}
}

static void register_job_start(struct register_job *job) {
	struct registrations *registrations = job->registrations;
	enum register_outcome outcome;
	bool small = job->kind == REGISTRATION_APP;
	struct account *present = accounts_present(registrations->options.accounts);
	const char *obstacle = register_obstacle(registrations, &outcome);
	if (small && job->purpose != REGISTER_MOVE) {
		job->channel = channels_take(registrations->options.accounts, job->vapid_key);
	}
	if (job->channel) {
		register_job_on_endpoint(job);
		return;
	}
	if (!present) {
		register_answer_all(job, outcome, obstacle);
		register_job_free(job);
		return;
	}
	job->channel = channels_ask(present, job->vapid_key, small);
	job->channel->owner = job;
	if (obstacle) {
		register_answer_all(job, outcome, obstacle);
	}
	alarm_set(&job->timeout, obstacle ? REGISTER_WISH_MS : REGISTRATION_REPLY_MS,
		ALARM_SLACK_DEADLINE_MS);
}

void register_job_on_endpoint(struct register_job *job) {
	if (registration_is_too_long(job->channel)) {
		register_answer_all(job, REGISTER_INTERNAL_ERROR, "the relay's push URLs are too long");
		register_job_abandon(job);
		return;
	}
	register_job_apply(job);
}

void register_job_on_refused(struct register_job *job, int status) {
	CLEANUP_FREE char *detail = mem_printf("the relay refuses it with status %d", status);
	log_warn("relay refuses a registration status=%d service=%s", status, job->service);
	register_answer_all(job, REGISTER_ACTION_REQUIRED, detail);
	register_job_abandon(job);
}

/* Keys to decrypt with, for those who leave that to us. */
static void register_make_keys(struct registration *registration) {
	if (registration->kind == REGISTRATION_APP) {
		return;
	}
	registration->key = p256_generate();
	if (!registration->key || RAND_bytes(registration->auth, sizeof registration->auth) != 1) {
		log_fatal("OpenSSL cannot make a key");
	}
}

static struct registration *register_job_make(struct register_job *job) {
	struct registration *registration =
		registration_create(job->registrations, job->kind, slice_of(job->token));
	mem_replace_text(&registration->service, slice_of(job->service));
	mem_replace_text(&registration->description, slice_of(job->description));
	registration->version = job->version;
	registration->is_transient = job->service[0] == ':';
	register_make_keys(registration);
	return registration;
}

/* A week for the relay that is left; for another key, until the app has the new endpoint. */
static void register_job_retire(struct register_job *job, struct registration *registration) {
	job->former = registration->channel;
	if (!job->former) {
		return;
	}
	int64_t week_ms = (int64_t)ACCOUNT_GRACE_DAYS * 24 * 3600 * 1000;
	channel_make_old(job->former, job->purpose == REGISTER_MOVE ? clock_wall_ms() + week_ms : 0);
	registration->has_former = registration->has_former || job->purpose == REGISTER_REKEY;
}

/* A wish of an app that was told "not now" and has left: it may have forgotten the token, and asks
 * again when it wants one. */
static bool register_job_is_forgotten(const struct register_job *job) {
	const struct registrations_options *options = &job->registrations->options;
	return job->purpose == REGISTER_FRESH && job->kind == REGISTRATION_APP &&
		   list_is_empty(&job->callers) && options->events->runs &&
		   !options->events->runs(job->service, options->ctx);
}

static void register_job_apply(struct register_job *job) {
	struct registration *registration = registration_get(job->registrations, job->id);
	if (register_job_is_forgotten(job)) {
		log_info("an app that could not be registered has left service=%s", job->service);
		register_job_abandon(job);
		return;
	}
	alarm_stop(&job->timeout);
	if (!registration) {
		registration = register_job_make(job);
	} else {
		register_job_retire(job, registration);
	}
	job->was_announced = registration->is_announced;
	job->former_vapid_key = steal(&registration->vapid_key);
	registration->vapid_key = job->vapid_key ? mem_strdup(job->vapid_key) : NULL;
	registration_switch(registration, job->channel);
	registration->is_unsaved = true;
	job->is_saving = true;
	job->waits_for_disk = false;
	state_file_save(job->registrations->options.file, register_job_on_saved, job);
}

/* The disk refused: as if nothing had been asked, but for the channel that was found. */
static void register_job_undo(struct register_job *job, struct registration *registration) {
	const struct registrations_events *events = job->registrations->options.events;
	if (job->purpose == REGISTER_FRESH) {
		registration_free(job->registrations, registration);
	} else if (job->former) {
		job->former->use = CHANNEL_USED;
		free(registration->vapid_key);
		registration->vapid_key = steal(&job->former_vapid_key);
		registration_switch(registration, job->former);
		registration->is_announced = job->was_announced;
		events->resume(registration, job->registrations->options.ctx);
	}
	channel_ask_for(job->channel, job);
}

/* Those who wait are told now; as a wish it is saved when there is room. */
static void register_job_refused_by_disk(
	struct register_job *job, struct registration *registration) {
	register_answer_all(job, REGISTER_INTERNAL_ERROR,
		"the disk is full or the state directory is gone; it is registered when there is room");
	register_job_undo(job, registration);
	job->waits_for_disk = true;
	alarm_set(&job->timeout, REGISTER_WISH_MS, ALARM_SLACK_CARE_MS);
}

void register_jobs_save(struct registrations *registrations) {
	struct register_job *job, *next;
	LIST_FOREACH_SAFE (job, next, &registrations->jobs, link) {
		if (job->waits_for_disk) {
			register_job_apply(job);
		}
	}
}

static void register_job_on_saved(int result, void *ctx) {
	struct register_job *job = ctx;
	struct registration *registration = registration_get(job->registrations, job->id);
	registrations_note_saved(job->registrations, result);
	job->is_saving = false;
	if (registration) {
		registration->is_unsaved = false;
	}
	if (job->is_cancelled || !registration) {
		register_job_free(job);
	} else if (result < 0 && job->purpose != REGISTER_MOVE) {
		register_job_refused_by_disk(job, registration);
	} else {
		register_job_finish(job);
	}
}

static void register_job_finish(struct register_job *job) {
	struct registrations *registrations = job->registrations;
	struct registration *registration = registration_get(registrations, job->id);
	bool nobody_waits = list_is_empty(&job->callers);
	bool is_move = job->purpose == REGISTER_MOVE;
	log_info("registered number=%u kind=%s%s", registration->number,
		registration_kind_name(registration->kind), is_move ? " reason=move" : "");
	register_answer_all(job, REGISTER_OK, "");
	register_job_free(job);
	if (nobody_waits) { /* else the answer announces it */
		registrations->options.events->announce(registration, is_move, registrations->options.ctx);
	}
	if (registration->channel->account != accounts_present(registrations->options.accounts)) {
		register_job_move(registrations, registration); /* another move came while it was saved */
	}
}

static struct register_job *register_job_create(struct registrations *registrations,
	enum register_purpose purpose, const struct register_request *request) {
	struct register_job *job = mem_zalloc(sizeof *job);
	list_init(&job->callers);
	job->registrations = registrations;
	job->purpose = purpose;
	job->kind = request->kind;
	registration_digest(request->kind, request->token, job->id);
	mem_replace_text(&job->token, request->token);
	mem_replace_text(&job->service, request->service);
	mem_replace_text(&job->description, request->description);
	if (request->vapid_key.len > 0) {
		mem_replace_text(&job->vapid_key, request->vapid_key);
	}
	job->version = request->version;
	alarm_init(&job->timeout, registrations->options.alarms, register_job_on_timeout, job);
	list_append(&registrations->jobs, &job->link);
	(void)hashmap_put(registrations->jobs_by_id, job);
	return job;
}

void register_job_move(struct registrations *registrations, struct registration *registration) {
	struct register_job *job = register_job_find(registrations, registration->id);
	struct register_request request = {
		.kind = registration->kind,
		.token = slice_of(registration->token),
		.service = slice_of(registration->service),
		.vapid_key = slice_of(registration->vapid_key),
	};
	if (job && job->is_saving) {
		return; /* its end sees to it */
	}
	if (job) {
		register_job_cancel(job);
	}
	register_job_start(register_job_create(registrations, REGISTER_MOVE, &request));
}

void register_job_stay(struct registrations *registrations, struct registration *registration) {
	struct register_job *job = register_job_find(registrations, registration->id);
	if (job && job->purpose == REGISTER_MOVE && !job->is_saving) {
		register_job_cancel(job);
	}
}

/* Requests for what is not registered yet are put to the present relay instead. */
void register_jobs_move(struct registrations *registrations) {
	const struct account *present = accounts_present(registrations->options.accounts);
	struct register_job *job, *next;
	LIST_FOREACH_SAFE (job, next, &registrations->jobs, link) {
		if (job->purpose != REGISTER_MOVE && !job->is_saving && job->channel &&
			job->channel->account != present) {
			job->waits_for_disk = false;
			channel_leave(steal(&job->channel));
			register_job_start(job);
		}
	}
}

/* ---- what is asked ---- */

/* Why a token that is not known is refused; NULL when it is not. */
static const char *register_refuse(const struct registrations *registrations,
	const struct register_request *request, enum register_outcome *out_outcome) {
	*out_outcome = REGISTER_ACTION_REQUIRED;
	if (request->kind != REGISTRATION_HOOK && request->kind != REGISTRATION_MAIL &&
		registrations_count(registrations) >= REGISTRATIONS_MAX) {
		return "there are too many registrations; see: bellwire apps";
	}
	if (request->kind != REGISTRATION_APP) {
		return NULL;
	}
	if (registrations->options.require_vapid && request->vapid_key.len == 0) {
		*out_outcome = REGISTER_VAPID_REQUIRED;
		return "this distributor only serves apps that name a VAPID key";
	}
	uint32_t of_service = 0;
	const struct registration *registration;
	LIST_FOREACH (registration, &registrations->all, link) {
		of_service += slice_equals(request->service, registration->service);
	}
	return of_service >= REGISTRATIONS_PER_SERVICE_MAX ? "the app has too many registrations"
													   : NULL;
}

/* The wish that is given up for a new request: the oldest that nobody waits for. */
static struct register_job *register_oldest_wish(const struct registrations *registrations) {
	struct register_job *job;
	LIST_FOREACH (job, &registrations->jobs, link) {
		if (job->kind == REGISTRATION_APP && job->purpose == REGISTER_FRESH && !job->is_saving &&
			list_is_empty(&job->callers)) {
			return job;
		}
	}
	return NULL;
}

/* Why no more can be asked for now; NULL when there is room. */
static const char *register_crowd(
	struct registrations *registrations, const struct register_request *request) {
	const struct register_job *job;
	uint32_t all = 0, of_service = 0;
	LIST_FOREACH (job, &registrations->jobs, link) {
		bool is_fresh = job->kind == REGISTRATION_APP && job->purpose == REGISTER_FRESH;
		all += is_fresh;
		of_service += is_fresh && slice_equals(request->service, job->service);
	}
	if (request->kind != REGISTRATION_APP ||
		(all < REGISTER_JOBS_MAX && of_service < REGISTER_JOBS_PER_SERVICE_MAX)) {
		return NULL;
	}
	struct register_job *wish = register_oldest_wish(registrations);
	if (of_service >= REGISTER_JOBS_PER_SERVICE_MAX || !wish) {
		return "too many requests wait for the relay; try again";
	}
	register_job_abandon(wish);
	return NULL;
}

static void register_answer_foreign(struct registrations *registrations,
	const struct register_request *request, struct register_caller *caller) {
	log_warn("a token is refused that belongs to another app service=%.*s",
		(int)request->service.len, request->service.data);
	register_answer(
		registrations, caller, REGISTER_INTERNAL_ERROR, "the token belongs to another app");
}

static void register_join(struct register_job *job, const struct register_request *request,
	struct register_caller *caller) {
	enum register_outcome outcome;
	const char *obstacle = register_obstacle(job->registrations, &outcome);
	if (!slice_equals(request->service, job->service) && !request->may_take_over) {
		register_answer_foreign(job->registrations, request, caller);
		return;
	}
	if (obstacle && !job->is_saving && !job->waits_for_disk) {
		register_answer(job->registrations, caller, outcome, obstacle);
		return;
	}
	if (list_is_empty(&job->callers) && !job->is_saving) {
		alarm_set(&job->timeout, REGISTRATION_REPLY_MS, ALARM_SLACK_DEADLINE_MS);
	}
	list_append(&job->callers, &caller->link);
	if (job->waits_for_disk) {
		register_job_apply(job); /* perhaps there is room by now */
	}
}

/* A token that is known: section 10 of the contract. */
static void register_again(struct registrations *registrations, struct registration *registration,
	const struct register_request *request, struct register_caller *caller) {
	bool same_service = slice_equals(request->service, registration->service);
	if (!same_service && !request->may_take_over) {
		register_answer_foreign(registrations, request, caller);
		return;
	}
	mem_replace_text(&registration->service, request->service);
	registration->is_transient = registration->service[0] == ':';
	if (request->description.len > 0) {
		mem_replace_text(&registration->description, request->description);
	}
	registration->version = request->version;
	registration->absent_ms = 0;
	registrations_touch(registrations);
	if (request->vapid_key.len > 0 &&
		(!registration->vapid_key || !slice_equals(request->vapid_key, registration->vapid_key))) {
		struct register_job *moving = register_job_find(registrations, registration->id);
		if (moving && moving->is_saving) {
			register_answer(registrations, caller, REGISTER_INTERNAL_ERROR, "try again");
			return;
		}
		if (moving) {
			register_job_cancel(moving); /* the new endpoint lies at the present relay, too */
		}
		struct register_job *job = register_job_create(registrations, REGISTER_REKEY, request);
		list_append(&job->callers, &caller->link);
		register_job_start(job);
		return;
	}
	registration->is_announced = false;
	register_answer(registrations, caller, REGISTER_OK, "");
}

void registrations_register(struct registrations *registrations,
	const struct register_request *request, registered_fn *done, void *ctx) {
	uint8_t id[16];
	enum register_outcome outcome = REGISTER_INTERNAL_ERROR;
	registration_digest(request->kind, request->token, id);
	struct register_caller *caller = register_caller_create(id, done, ctx);
	struct register_job *job = register_job_find(registrations, id);
	struct registration *registration = registration_get(registrations, id);
	if (job && job->purpose != REGISTER_MOVE && !job->is_cancelled) {
		register_join(job, request, caller);
		return;
	}
	if (registration) {
		register_again(registrations, registration, request, caller);
		return;
	}
	const char *refusal = register_refuse(registrations, request, &outcome);
	if (refusal || job) {
		register_answer(registrations, caller, outcome, refusal ? refusal : "try again");
		return;
	}
	refusal = register_crowd(registrations, request);
	if (refusal) {
		register_answer(registrations, caller, REGISTER_NETWORK, refusal);
		return;
	}
	job = register_job_create(registrations, REGISTER_FRESH, request);
	list_append(&job->callers, &caller->link);
	register_job_start(job);
}
