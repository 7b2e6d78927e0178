/* SPDX-License-Identifier: Apache-2.0 */
/* A unit first; when that is refused, the same job once more as a child. */
#include "distributor/action/hook_command.h"
#include "common/log.h"
#include "common/mem.h"
#include "distributor/action/words.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const int64_t hook_again_ms[HOOK_AGAIN_COUNT] = {10000, 60000, 300000};

struct hook_command {
	struct hook_place place;
	struct hook_job job; /* a copy, while a unit is tried */
	int outputs[2]; /* its own, when it has some */
	struct hook_run *run; /* one of these two */
	struct hook_unit *unit;
	hook_ended_fn *done;
	void *ctx;
};

const char *hook_end_words(enum hook_end end) {
	static const char *const words[HOOK_END_COUNT] = {
		[HOOK_WELL] = "ran",
		[HOOK_FAILED] = "failed",
		[HOOK_NOT_NOW] = "asks to be tried again",
		[HOOK_TIMED_OUT] = "ran too long and was ended",
		[HOOK_NOT_STARTED] = "did not start",
		[HOOK_LOST] = "was lost sight of",
		[HOOK_NO_UNIT] = "did not start",
	};
	return words[end];
}

static void hook_command_keep_job(struct hook_command *command, const struct hook_job *job) {
	command->job = *job;
	command->job.what = mem_strdup(job->what);
	command->job.name = mem_strdup(job->name);
	command->job.command = words_dup(job->command);
	command->job.variables = words_dup(job->variables);
	/* -1: found out when it is used */
	command->job.input = fcntl(job->input, F_DUPFD_CLOEXEC, 3);
	for (int i = 0; job->outputs && i < 2; i++) {
		command->outputs[i] = fcntl(job->outputs[i], F_DUPFD_CLOEXEC, 3);
	}
	command->job.outputs = job->outputs ? command->outputs : NULL;
}

static void hook_command_free(struct hook_command *command) {
	if (command->job.name) {
		free((char *)(uintptr_t)command->job.what);
		free((char *)(uintptr_t)command->job.name);
		words_free((char **)(uintptr_t)command->job.command);
		words_free((char **)(uintptr_t)command->job.variables);
		(void)close(command->job.input);
		for (int i = 0; command->job.outputs && i < 2; i++) {
			(void)close(command->outputs[i]);
		}
	}
	free(command);
}

static void hook_command_on_ended(const struct hook_result *result, void *ctx) {
	struct hook_command *command = ctx;
	struct hook_result ended = *result;
	command->run = NULL;
	command->unit = NULL;
	if (ended.end == HOOK_NO_UNIT) {
		const struct hook_job *job = &command->job;
		log_warn("%s gets no unit of systemd, it runs as a child %s=%s error=\"%s\"", job->what,
			job->what, job->name, ended.detail);
		int started = job->input < 0 ? -EMFILE
									 : hook_run_start(command->place.loop, command->place.alarms,
										   job, hook_command_on_ended, command, &command->run);
		if (started == 0) {
			return;
		}
		ended = (struct hook_result){.end = HOOK_NOT_STARTED, .detail = strerror(-started)};
	}
	hook_ended_fn *done = command->done;
	void *done_ctx = command->ctx;
	hook_command_free(command);
	done(&ended, done_ctx);
}

int hook_command_start(const struct hook_place *place, const struct hook_job *job, bool as_unit,
	hook_ended_fn *done, void *ctx, struct hook_command **out_command) {
	struct hook_command *command = mem_zalloc(sizeof *command);
	command->place = *place;
	command->done = done;
	command->ctx = ctx;
	int result = -ENOENT;
	if (as_unit && hook_units_are_there(place->units)) {
		result = hook_unit_start(
			place->units, place->alarms, job, hook_command_on_ended, command, &command->unit);
		if (result == 0) {
			hook_command_keep_job(command, job);
		}
	}
	if (result < 0) {
		result = hook_run_start(
			place->loop, place->alarms, job, hook_command_on_ended, command, &command->run);
	}
	if (result < 0) {
		hook_command_free(command);
		return result;
	}
	*out_command = command;
	return 0;
}

void hook_command_stop(struct hook_command *command) {
	if (command) {
		hook_run_stop(command->run);
		hook_unit_stop(command->unit);
		hook_command_free(command);
	}
}

void hook_command_leave(struct hook_command *command) {
	if (command) {
		hook_run_leave(command->run);
		hook_unit_leave(command->unit);
		hook_command_free(command);
	}
}
