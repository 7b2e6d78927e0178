/* SPDX-License-Identifier: Apache-2.0 */
/*
 * New mail on the screen: a notification each for up to three of a run, else one that sums up. A
 * click runs the login's command or opens its URL; the action "Mark as read" tells the server; what
 * was read elsewhere is taken away. All text of mails is made safe by notify.h.
 */
#pragma once
#include "distributor/action/hook_unit.h"
#include "distributor/action/notify.h"
#include "distributor/jmap/jmap_config.h"
#include "distributor/jmap/mail_sync.h"

enum { MAIL_NOTICE_SINGLE = 3 };

struct mail_notice_options {
	struct ev_loop *loop;
	struct alarms *alarms;
	struct hook_units *units; /* NULL: what a click starts becomes our child */
	struct notify *notify; /* outlives it */
	const struct jmap_config *config; /* outlives it */
	/* May mails of this account be marked? Else the action is not offered. NULL: of all. */
	bool (*may_mark)(const char *account_id, void *ctx);
	/* The action was chosen, for each mail that the notification stands for. */
	void (*mark_read)(const char *account_id, const char *email_id, void *ctx);
	void *ctx;
};
struct mail_notice;
struct mail_notice *mail_notice_create(const struct mail_notice_options *options);
void mail_notice_destroy(struct mail_notice *notice); /* what is shown stays */
void mail_notice_show(
	struct mail_notice *notice, const char *account_id, const struct mail_sync_result *result);
bool mail_notice_is_shown(
	const struct mail_notice *notice, const char *account_id, const char *email_id);
void mail_notice_withdraw(struct mail_notice *notice, const char *account_id, const char *email_id);
/* Trouble of the login itself (wrong password, locked); another text replaces it, NULL takes it
 * away. */
void mail_notice_trouble(struct mail_notice *notice, const char *text);
