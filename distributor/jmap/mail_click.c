/* SPDX-License-Identifier: Apache-2.0 */
/* Words are filled, then run for a person: they outlive us. */
#include "distributor/jmap/mail_click.h"
#include "common/buffer.h"
#include "common/cleanup.h"
#include "common/list.h"
#include "common/log.h"
#include "common/mem.h"
#include "distributor/action/words.h"
#include "distributor/jmap/mail_read.h"
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

enum {
	CLICK_RUNS_MAX = 16, /* that are looked after; of the oldest the end is not told */
	CLICK_WORD_MAX = 8192,
	CLICK_NO_OPENER = 3, /* xdg-open found no program to open it with */
};

struct click_run {
	struct list link; /* struct mail_click::runs */
	struct mail_click *click;
	struct hook_command *command;
	char *url; /* to be opened another way when this one fails, or NULL */
	char *token;
};

struct mail_click {
	struct hook_place place;
	const struct jmap_config *config;
	char *name; /* LOGIN-click */
	struct list runs; /* struct click_run::link, oldest first */
	size_t count;
};

static void click_start(
	struct mail_click *click, char *const *words, const char *token, const char *url);
static void click_on_ended(const struct hook_result *result, void *ctx);

/* ---- words ---- */

/* The value for a placeholder at the text, and its length; NULL when there is none. */
static const char *click_value(
	const char *text, const struct mail_clicked *clicked, size_t *out_len) {
	const struct {
		const char *name, *value;
	} places[] = {
		{"{id}", clicked->id},
		{"{blobId}", clicked->blob_id},
		{"{threadId}", clicked->thread_id},
		{"{accountId}", clicked->account_id},
	};
	for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
		size_t len = strlen(places[i].name);
		if (strncmp(text, places[i].name, len) == 0) {
			*out_len = len;
			return places[i].value;
		}
	}
	return NULL;
}

char *mail_click_fill_dup(const char *word, const struct mail_clicked *clicked) {
	struct buffer out;
	bool is_good = true;
	buffer_init(&out, CLICK_WORD_MAX);
	for (const char *at = word; *at && is_good;) {
		size_t len = 1;
		const char *value = click_value(at, clicked, &len);
		if (value) {
			is_good = mail_id_is_good(slice_of(value)) || value[0] == '\0';
			is_good = is_good && (at != word || value[0] != '-');
			is_good = is_good && buffer_append(&out, value, strlen(value));
		} else {
			is_good = buffer_append(&out, at, 1);
		}
		at += len;
	}
	is_good = is_good && buffer_append(&out, "", 1);
	char *filled = is_good ? mem_strdup(buffer_begin(&out)) : NULL;
	buffer_finish(&out);
	return filled;
}

/* All of them, or NULL. */
static char **click_fill_words(char *const *words, const struct mail_clicked *clicked) {
	char **filled = words_dup(words);
	for (size_t i = 0; filled[i]; i++) {
		char *word = mail_click_fill_dup(words[i], clicked);
		if (!word) {
			words_free(filled);
			return NULL;
		}
		free(filled[i]);
		filled[i] = word;
	}
	return filled;
}

/* ---- runs ---- */

static void click_run_free(struct click_run *run) {
	list_remove(&run->link);
	run->click->count--;
	free(run->url);
	free(run->token);
	free(run);
}

static void click_open_otherwise(struct mail_click *click, const char *url, const char *token) {
	char program[] = "gio", verb[] = "open";
	char *const words[] = {program, verb, (char *)(uintptr_t)url, NULL};
	click_start(click, words, token, NULL);
}

/* The run's command is gone; so is the run afterwards. */
static void click_end(struct click_run *run, const struct hook_result *result) {
	struct mail_click *click = run->click;
	CLEANUP_FREE char *url = steal(&run->url), *token = steal(&run->token);
	bool is_unopened =
		url && (result->end == HOOK_NOT_STARTED ||
				   (result->end == HOOK_FAILED && result->status == CLICK_NO_OPENER));
	click_run_free(run);
	if (result->end != HOOK_WELL) {
		log_warn("command %s command=%s status=%d%s%s%s", hook_end_words(result->end), click->name,
			result->status, result->detail ? " error=\"" : "", result->detail ? result->detail : "",
			result->detail ? "\"" : "");
	}
	if (is_unopened) {
		click_open_otherwise(click, url, token);
	}
}

static void click_on_ended(const struct hook_result *result, void *ctx) {
	click_end(ctx, result);
}

static int click_launch(struct click_run *run, char *const *words) {
	const struct mail_click *click = run->click;
	CLEANUP_FREE char *login = mem_printf("BELLWIRE_LOGIN=%s", click->config->name);
	CLEANUP_FREE char *token = mem_printf("XDG_ACTIVATION_TOKEN=%s", run->token);
	CLEANUP_FREE char *startup = mem_printf("DESKTOP_STARTUP_ID=%s", run->token);
	char *variables[] = {login, run->token[0] ? token : NULL, startup, NULL};
	CLEANUP_CLOSE int input = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (input < 0) {
		return -errno;
	}
	const struct hook_job job = {
		.what = "command",
		.name = click->name,
		.command = words,
		.variables = variables,
		.input = input,
		.is_for_person = true,
	};
	return hook_command_start(&click->place, &job, true, click_on_ended, run, &run->command);
}

static void click_forget_oldest(struct mail_click *click) {
	struct click_run *oldest = list_first(&click->runs, struct click_run, link);
	assert(oldest); /* there are CLICK_RUNS_MAX */
	hook_command_leave(oldest->command);
	click_run_free(oldest);
}

static void click_start(
	struct mail_click *click, char *const *words, const char *token, const char *url) {
	if (click->count >= CLICK_RUNS_MAX) {
		click_forget_oldest(click);
	}
	struct click_run *run = mem_zalloc(sizeof *run);
	run->click = click;
	run->token = mem_strdup(token);
	run->url = url ? mem_strdup(url) : NULL;
	list_init(&run->link);
	list_append(&click->runs, &run->link);
	click->count++;
	int result = click_launch(run, words);
	if (result < 0) {
		click_end(run, &(struct hook_result){.end = HOOK_NOT_STARTED, .detail = strerror(-result)});
	}
}

void mail_click_open(
	struct mail_click *click, const struct mail_clicked *clicked, const char *token) {
	const struct jmap_config *config = click->config;
	if (config->on_click) {
		char **words = click_fill_words(config->on_click, clicked);
		if (words) {
			click_start(click, words, token, NULL);
		} else {
			log_warn("on_click is not run, for an id would be an option login=%s", config->name);
		}
		words_free(words);
	} else if (config->open_url) {
		char program[] = "xdg-open";
		CLEANUP_FREE char *url = mail_click_fill_dup(config->open_url, clicked);
		char *const words[] = {program, url, NULL};
		if (url) {
			click_start(click, words, token, url);
		}
	}
}

/* ---- the whole ---- */

bool mail_click_is_wanted(const struct jmap_config *config) {
	return config->on_click || config->open_url;
}

struct mail_click *mail_click_create(
	const struct hook_place *place, const struct jmap_config *config) {
	struct mail_click *click = mem_zalloc(sizeof *click);
	click->place = *place;
	click->config = config;
	click->name = mem_printf("%s-click", config->name);
	list_init(&click->runs);
	return click;
}

void mail_click_destroy(struct mail_click *click) {
	if (!click) {
		return;
	}
	while (!list_is_empty(&click->runs)) {
		click_forget_oldest(click);
	}
	free(click->name);
	free(click);
}
