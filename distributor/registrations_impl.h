/* SPDX-License-Identifier: Apache-2.0 */
/* What the files behind registrations.h share. */
#pragma once
#include "common/hashmap.h"
#include "distributor/accounts.h"
#include "distributor/disk.h"
#include "distributor/registrations.h"

enum {
	REGISTRATIONS_TOUCH_MS = 5000,
	REGISTRATIONS_CARE_MS = 24 * 3600 * 1000,
	REGISTRATION_ABSENT_DAYS = 30,
	REGISTER_WISH_MS = 3600 * 1000, /* an unanswered request is still completed that long */
	REGISTER_JOBS_MAX = 128, /* of apps; a relay takes some ten a second when many come */
	REGISTER_JOBS_PER_SERVICE_MAX = 64,
};

struct registrations {
	struct registrations_options options;
	struct list all; /* struct registration::link */
	struct list jobs; /* struct register_job::link, by age */
	struct list answers; /* struct register_caller::link, to be told from the loop */
	struct list goodbyes; /* struct goodbye::link: removed, but not yet off the disk */
	struct hashmap *by_id, *by_number, *jobs_by_id;
	struct alarm touch, care, flush;
	uint32_t next_number;
	bool is_disk_full;
};

struct registration *registration_create(
	struct registrations *registrations, enum registration_kind kind, struct slice token);
/* From all lists, with its memory; says nothing to anybody. */
void registration_free(struct registrations *registrations, struct registration *registration);
struct registration *registration_get(
	const struct registrations *registrations, const uint8_t id[16]);
/* Takes it from everybody, and says goodbye when it is off the disk. */
void registration_remove(
	struct registrations *registrations, struct registration *registration, bool by_app);
/* Has the relay made an endpoint that no app takes? Says so in the log. */
bool registration_is_too_long(const struct channel *channel);
void registration_switch(struct registration *registration, struct channel *channel);
/* A save has ended; a failed one is tried again. */
void registrations_note_saved(struct registrations *registrations, int result);

/* ---- register.c ---- */
struct register_job;
/* Key and its place in a job, for struct registrations::jobs_by_id. */
struct hashmap *register_jobs_map(void);
void register_jobs_finish(struct registrations *registrations);
/* The job that waits for the token; NULL. */
struct register_job *register_job_find(
	const struct registrations *registrations, const uint8_t id[16]);
void register_job_cancel(struct register_job *job);
/* A unique name has left: what it waits for is of no use. */
void register_jobs_service_left(struct registrations *registrations, const char *service);
void register_job_on_endpoint(struct register_job *job);
void register_job_on_refused(struct register_job *job, int status);
/* A new endpoint for a registration that has one elsewhere, or none. */
void register_job_move(struct registrations *registrations, struct registration *registration);
/* It is where it should be: a move that is under way elsewhere is taken back. */
void register_job_stay(struct registrations *registrations, struct registration *registration);
/* What was asked of another relay is asked of the present one. */
void register_jobs_move(struct registrations *registrations);
/* The disk takes what it refused. */
void register_jobs_save(struct registrations *registrations);
void register_on_flush(struct alarm *alarm, void *ctx);
