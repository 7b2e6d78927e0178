/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files behind jmap_login.h share: jmap_login.c (the way it hears of changes),
 * login_look.c (what it does about them), login_accounts.c, login_file.c.
 */
#pragma once
#include "common/list.h"
#include "common/log_limit.h"
#include "distributor/alarm.h"
#include "distributor/disk.h"
#include "distributor/jmap/change_command.h"
#include "distributor/jmap/event_source.h"
#include "distributor/jmap/gather.h"
#include "distributor/jmap/jmap_client.h"
#include "distributor/jmap/jmap_login.h"
#include "distributor/jmap/jmap_types.h"
#include "distributor/jmap/mail_notice.h"
#include "distributor/jmap/mail_sync.h"
#include "distributor/jmap/push_subscription.h"
#include "distributor/jmap/type_states.h"
#include "distributor/link/retry.h"

enum { LOGIN_WHY_MAX = 16 };

/* A JMAP account of the login that the config wants. */
struct login_account {
	struct list link; /* struct jmap_login::accounts */
	struct jmap_login *login;
	char *id;
	struct mail_sync *sync; /* NULL: it has no mail */
	json_t *states; /* {type: state}: what was acted on */
	json_t *pending; /* {type: state}: news, to be acted on */
	bool wants_sync, has_failed, is_read_only;
	bool is_refused; /* others go on without it; see login_on_synced() */
	bool is_first; /* its mail was never looked at, as far as anybody can have known */
	char why[LOGIN_WHY_MAX]; /* of the present run */
	uint32_t unread;
};

enum login_trouble { LOGIN_WELL, LOGIN_UNAUTHORIZED, LOGIN_LOCKED };

struct jmap_login {
	const struct jmap_parts *parts;
	const struct jmap_config *config;
	struct jmap_client *client;
	struct push_subscription *push;
	struct event_source *stream; /* NULL: none */
	struct mail_notice *notice;
	struct change_command *commands[JMAP_KIND_COUNT]; /* NULL: none */
	struct type_states *type_states;
	struct list accounts; /* struct login_account::link */
	bool has_accounts; /* a session told of them, ever */
	json_t *saved_accounts; /* of the file: {account id: …}; NULL: nothing is left of it */
	struct state_file *file;

	/* how it hears of changes */
	enum jmap_way way;
	char *reason; /* what jmap_status() says */
	char *stream_reason; /* why the stream is not open */
	bool is_paused, is_ended, is_session_new;
	bool is_online; /* as last seen */
	uint32_t made; /* subscriptions verified, as last seen */
	enum push_subscription_state push_state; /* as last told */
	struct alarm refresh; /* something changed: looks at it anew */
	struct alarm poll, save;

	/* what it does */
	struct gather gather;
	struct alarm window; /* of gather */
	struct alarm jitter; /* a look for … */
	const char *jitter_why; /* static */
	struct alarm again; /* after a failure */
	struct retry retry;
	char *failure; /* of the last attempt; "" when it went well */
	enum login_trouble trouble;
	char why[LOGIN_WHY_MAX];
	bool is_connecting, wants_check, wants_states;
	uint32_t lacking; /* attempts in a row for which there was no password */
	bool is_lost; /* its file was damaged */
	bool is_said; /* the trouble, to the user */
	bool is_told; /* `again` is the server's wish (Retry-After) */
	int64_t synced_ms, pushed_ms; /* wall clock; 0: never */
	int64_t network_mono_ms; /* the last look because of the network; 0: none */
	struct log_limit unreadable;
	int64_t unreadable_mono_ms; /* the last look because of such a push; 0: none */
	struct alarm doubt; /* the next one */

	jmap_tested_fn *tested; /* NULL: no test is under way */
	void *tested_ctx;
	uint32_t tested_made;
	bool is_tested_renewed; /* the subscription was asked for another verification */
	struct alarm test; /* its deadline */
	struct alarm end;
	jmap_tested_fn *ended;
	void *ended_ctx;
	char *ended_reason;
};

/* ---- jmap_login.c ---- */

/* Soon, from the loop. */
void login_refresh_later(struct jmap_login *login);
/* May the server be asked now? */
bool login_may_ask(const struct jmap_login *login);

/* ---- login_look.c ---- */

/* News of some account: acts now or when the window is over. */
void login_want(struct jmap_login *login, const char *why);
/* Everything is looked at, whatever was told. */
void login_want_all(struct jmap_login *login, const char *why);
void login_on_changed(
	struct jmap_login *login, const json_t *changed, const char *why, bool is_trusted);
/* A CalendarAlert: its command, at once, when it is wanted. */
void login_run_for_alert(struct jmap_login *login, const char *account_id);
/* Acts on what is wanted; the session first. */
void login_act(struct jmap_login *login);
void login_look_init(struct jmap_login *login);
void login_look_stop(struct jmap_login *login);
void login_on_synced(struct login_account *account, const struct mail_sync_result *result);

/* ---- login_accounts.c ---- */

/* Those that the session has and the config wants; others go. */
void login_accounts_update(struct jmap_login *login, const struct jmap_session *session);
void login_accounts_clear(struct jmap_login *login);
struct login_account *login_account_find(const struct jmap_login *login, const char *id);
json_t *login_accounts_print(const struct jmap_login *login);

/* ---- login_file.c ---- */

/* What the file says, or NULL; said in the log when it was damaged. */
json_t *login_file_read(struct jmap_login *login);
/* Takes over what was saved. False when that is of another login at another server. */
bool login_file_open(struct jmap_login *login, const json_t *saved);
/* Within some seconds: what would only be found out anew. */
void login_save_later(struct jmap_login *login);
void login_save_now(struct jmap_login *login);
/* Written for the last time; `is_forgotten`: removed. */
void login_file_close(struct jmap_login *login, bool is_forgotten);
