/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A *note* is one notification on the screen: of one mail, or the summary of many. It ends when it
 * is closed there, when its last mail is settled, or when one of its actions has dealt with it.
 */
#include "distributor/jmap/mail_notice.h"
#include "common/buffer.h"
#include "common/cleanup.h"
#include "common/list.h"
#include "common/log.h"
#include "common/mem.h"
#include "distributor/action/sanitize.h"
#include "distributor/jmap/mail_click.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum {
	NOTE_SINGLES_MAX = 32, /* known at a time; older ones stay on the screen, their actions end */
	NOTE_MAILS_MAX = 200, /* known of a summary; others are counted */
	NOTE_SENDERS_MAX = 5, /* named in a summary */
	NOTE_SENDER_BYTES = 80,
	NOTE_LINE_BYTES = 400, /* of subject and preview */
};

/* A mail that a note stands for. */
struct note_mail {
	struct list link; /* struct note::mails, oldest first */
	char *account_id, *id, *blob_id, *thread_id;
	char *from; /* fit to be shown */
};

struct note {
	struct list link; /* struct mail_notice::notes */
	struct mail_notice *notice;
	char *key;
	bool is_summary;
	struct list mails; /* struct note_mail::link; never empty */
	size_t count; /* of them */
	size_t more; /* of a summary: new ones that nothing else is known of */
};

struct mail_notice {
	struct mail_notice_options options;
	struct mail_click *click;
	struct list notes; /* struct note::link, oldest first */
	size_t singles;
	int64_t created_ms; /* of the boot clock, and … */
	uint64_t made; /* … notes so far: each has a key that no other ever had */
	struct note *summary; /* the one in notes, or NULL */
	struct alarm update; /* … is shown anew, once for all that was settled at a time */
	char *trouble_key;
};

static void note_on_acted(const char *action, const char *token, void *ctx);
static void note_on_closed(void *ctx);

/* ---- notes ---- */

static void note_mail_free(struct note *note, struct note_mail *mail) {
	list_remove(&mail->link);
	note->count--;
	free(mail->account_id);
	free(mail->id);
	free(mail->blob_id);
	free(mail->thread_id);
	free(mail->from);
	free(mail);
}

static void note_free(struct note *note) {
	struct mail_notice *notice = note->notice;
	struct note_mail *mail;
	while ((mail = list_first(&note->mails, struct note_mail, link))) {
		note_mail_free(note, mail);
	}
	if (note->is_summary) {
		notice->summary = NULL;
		alarm_stop(&notice->update);
	} else {
		notice->singles--;
	}
	list_remove(&note->link);
	free(note->key);
	free(note);
}

/* Off the screen. */
static void note_withdraw(struct note *note) {
	notify_withdraw(note->notice->options.notify, note->key);
	note_free(note);
}

static void notice_forget_oldest_single(struct mail_notice *notice) {
	struct note *note;
	LIST_FOREACH (note, &notice->notes, link) {
		if (!note->is_summary) {
			notify_forget(notice->options.notify, note);
			note_free(note);
			return;
		}
	}
}

static struct note *note_create(struct mail_notice *notice, bool is_summary) {
	if (!is_summary && notice->singles >= NOTE_SINGLES_MAX) {
		notice_forget_oldest_single(notice);
	}
	struct note *note = mem_zalloc(sizeof *note);
	note->notice = notice;
	note->is_summary = is_summary;
	note->key = mem_printf("mail %s %lld %llu", notice->options.config->name,
		(long long)notice->created_ms, (unsigned long long)++notice->made);
	list_init(&note->mails);
	list_init(&note->link);
	list_append(&notice->notes, &note->link);
	if (is_summary) {
		notice->summary = note;
	} else {
		notice->singles++;
	}
	return note;
}

static void note_add(struct note *note, const char *account_id, const struct mail *mail) {
	if (note->count >= NOTE_MAILS_MAX) {
		note_mail_free(note, list_first(&note->mails, struct note_mail, link));
		note->more++;
	}
	struct note_mail *added = mem_zalloc(sizeof *added);
	added->account_id = mem_strdup(account_id);
	added->id = mem_strdup(mail->id);
	added->blob_id = mem_strdup(mail->blob_id);
	added->thread_id = mem_strdup(mail->thread_id);
	added->from = sanitize_dup(slice_of(mail->from), NOTE_SENDER_BYTES, SANITIZE_ONE_LINE);
	list_init(&added->link);
	list_append(&note->mails, &added->link);
	note->count++;
}

static const struct note_mail *note_newest(const struct note *note) {
	assert(!list_is_empty(&note->mails));
	return container_of(note->mails.prev, struct note_mail, link);
}

/* ---- showing ---- */

static bool note_may_be_marked(const struct note *note) {
	const struct mail_notice_options *options = &note->notice->options;
	const struct note_mail *mail;
	LIST_FOREACH (mail, &note->mails, link) {
		if (!options->may_mark || options->may_mark(mail->account_id, options->ctx)) {
			return true;
		}
	}
	return false;
}

static void note_show(struct note *note, const char *title, const char *text) {
	static const struct notify_action open = {"default", "Open"}, read = {"read", "Mark as read"};
	struct mail_notice *notice = note->notice;
	struct notify_action actions[2];
	size_t count = 0;
	if (mail_click_is_wanted(notice->options.config)) {
		actions[count++] = open;
	}
	if (note_may_be_marked(note)) {
		actions[count++] = read;
	}
	/* The note may be gone behind it. */
	notify_show(notice->options.notify, &(struct notification){.key = note->key,
											.title = title,
											.text = text,
											.category = "email.arrived",
											.actions = actions,
											.actions_count = count,
											.acted = note_on_acted,
											.closed = note_on_closed,
											.ctx = note});
}

static char *notice_line_dup(const char *text) {
	return sanitize_dup(slice_of(text), NOTE_LINE_BYTES, SANITIZE_ONE_LINE);
}

/* Sender; subject; the beginning of the text. */
static void notice_show_one(
	struct mail_notice *notice, const char *account_id, const struct mail *mail) {
	struct note *note = note_create(notice, false);
	note_add(note, account_id, mail);
	CLEANUP_FREE char *title = notice_line_dup(mail->from);
	CLEANUP_FREE char *subject = notice_line_dup(mail->subject);
	CLEANUP_FREE char *preview = notice_line_dup(mail->preview);
	CLEANUP_FREE char *text = mem_printf(
		"%s%s%s", subject[0] ? subject : "(no subject)", preview[0] ? "\n" : "", preview);
	note_show(note, title[0] ? title : "New mail", text);
}

/* How many of the note are from this sender; 0 when a newer one told of it. */
static size_t note_count_sender(const struct note *note, const struct note_mail *from) {
	size_t count = 0;
	const struct note_mail *mail;
	LIST_FOREACH (mail, &note->mails, link) {
		count += strcmp(mail->from, from->from) == 0;
	}
	for (const struct list *at = from->link.next; at != &note->mails; at = at->next) {
		mail = container_of(at, const struct note_mail, link);
		if (strcmp(mail->from, from->from) == 0) {
			return 0;
		}
	}
	return count;
}

/* "Ann (3), Bob and others": fresh. */
static char *note_senders(const struct note *note) {
	struct buffer text;
	size_t named = 0, told = 0;
	buffer_init(&text, (size_t)(NOTE_SENDERS_MAX + 1) * (NOTE_SENDER_BYTES + 40));
	bool fits = true;
	for (const struct list *at = note->mails.prev; at != &note->mails; at = at->prev) {
		const struct note_mail *mail = container_of(at, const struct note_mail, link);
		size_t count = note_count_sender(note, mail);
		if (count == 0 || named == NOTE_SENDERS_MAX) {
			continue;
		}
		const char *name = mail->from[0] ? mail->from : "(no sender)";
		fits = fits && (named == 0 || buffer_append(&text, ", ", 2)) &&
			   buffer_append(&text, name, strlen(name)) &&
			   (count == 1 || buffer_printf(&text, " (%zu)", count));
		named++;
		told += count;
	}
	fits = fits && (told == note->count + note->more || buffer_printf(&text, " and others"));
	assert(fits);
	char *made = mem_strndup(buffer_begin(&text), buffer_length(&text));
	buffer_finish(&text);
	return made;
}

static void notice_show_summary(struct mail_notice *notice) {
	struct note *note = notice->summary;
	CLEANUP_FREE char *senders = note_senders(note);
	CLEANUP_FREE char *title = mem_printf("%zu new mail%s for %s", note->count + note->more,
		note->count + note->more == 1 ? "" : "s", notice->options.config->name);
	note_show(note, title, senders);
}

static void notice_on_update(struct alarm *alarm, void *ctx) {
	(void)alarm;
	notice_show_summary(ctx);
}

void mail_notice_show(
	struct mail_notice *notice, const char *account_id, const struct mail_sync_result *result) {
	if (result->count + result->more <= MAIL_NOTICE_SINGLE) {
		for (size_t i = 0; i < result->count; i++) {
			notice_show_one(notice, account_id, &result->mails[i]);
		}
		return;
	}
	struct note *note = notice->summary ? notice->summary : note_create(notice, true);
	for (size_t i = 0; i < result->count; i++) {
		note_add(note, account_id, &result->mails[i]);
	}
	note->more += result->more;
	if (note->count == 0) { /* of none of them anything is known */
		note_free(note);
		return;
	}
	alarm_stop(&notice->update);
	notice_show_summary(notice);
}

/* ---- what happens to it ---- */

static void note_on_closed(void *ctx) {
	note_free(ctx);
}

static void note_mark_read(struct note *note) {
	const struct mail_notice_options *options = &note->notice->options;
	const struct note_mail *mail;
	LIST_FOREACH (mail, &note->mails, link) {
		options->mark_read(mail->account_id, mail->id, options->ctx);
	}
}

static void note_on_acted(const char *action, const char *token, void *ctx) {
	struct note *note = ctx;
	if (strcmp(action, "read") == 0) {
		note_mark_read(note);
		note_withdraw(note);
	} else if (strcmp(action, "default") == 0) {
		const struct note_mail *newest = note_newest(note);
		const struct mail_clicked clicked = {
			newest->account_id, newest->id, newest->blob_id, newest->thread_id};
		mail_click_open(note->notice->click, &clicked, token);
	}
}

/* The mail and, in out_note, the note that stands for it; NULL when there is none. */
static struct note_mail *notice_find(const struct mail_notice *notice, const char *account_id,
	const char *email_id, struct note **out_note) {
	struct note *note;
	LIST_FOREACH (note, &notice->notes, link) {
		struct note_mail *mail;
		LIST_FOREACH (mail, &note->mails, link) {
			if (strcmp(mail->id, email_id) == 0 && strcmp(mail->account_id, account_id) == 0) {
				*out_note = note;
				return mail;
			}
		}
	}
	return NULL;
}

bool mail_notice_is_shown(
	const struct mail_notice *notice, const char *account_id, const char *email_id) {
	struct note *note;
	return notice_find(notice, account_id, email_id, &note);
}

/* A summary goes with the last mail that is known of it: the others are older. */
void mail_notice_withdraw(
	struct mail_notice *notice, const char *account_id, const char *email_id) {
	struct note *note;
	struct note_mail *mail = notice_find(notice, account_id, email_id, &note);
	if (!mail) {
		return;
	}
	if (note->count == 1) {
		note_withdraw(note);
		return;
	}
	note_mail_free(note, mail);
	if (!alarm_is_set(&notice->update)) {
		alarm_set(&notice->update, 0, 0);
	}
}

void mail_notice_trouble(struct mail_notice *notice, const char *text) {
	if (!text) {
		notify_withdraw(notice->options.notify, notice->trouble_key);
		return;
	}
	CLEANUP_FREE char *title = mem_printf("No mail for %s", notice->options.config->name);
	notify_show(notice->options.notify,
		&(struct notification){
			.key = notice->trouble_key, .title = title, .text = text, .icon = "dialog-warning"});
}

/* ---- the whole ---- */

struct mail_notice *mail_notice_create(const struct mail_notice_options *options) {
	const struct hook_place place = {
		options->loop, options->alarms, options->config->as_unit ? options->units : NULL};
	struct mail_notice *notice = mem_zalloc(sizeof *notice);
	notice->options = *options;
	notice->created_ms = clock_boot_ms();
	notice->click = mail_click_create(&place, options->config);
	notice->trouble_key = mem_printf("mail trouble %s", options->config->name);
	list_init(&notice->notes);
	alarm_init(&notice->update, options->alarms, notice_on_update, notice);
	return notice;
}

void mail_notice_destroy(struct mail_notice *notice) {
	if (!notice) {
		return;
	}
	struct note *note;
	while ((note = list_first(&notice->notes, struct note, link))) {
		notify_forget(notice->options.notify, note);
		note_free(note);
	}
	mail_click_destroy(notice->click);
	free(notice->trouble_key);
	free(notice);
}
