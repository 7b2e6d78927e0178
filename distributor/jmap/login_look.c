/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a login does about changes: login_want -> login_act -> (the session) -> mail_sync,
 * type_states -> login_on_synced -> notices and commands.
 */
#include "common/cleanup.h"
#include "common/log.h"
#include "common/mem.h"
#include "distributor/jmap/login_internal.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

static void login_connect(struct jmap_login *login);
static void login_on_connected(const struct jmap_call_result *result, void *ctx);

/* ---- how it went ---- */

static void login_set_failure(struct jmap_login *login, const char *reason) {
	free(login->failure);
	login->failure = mem_strdup(reason);
	login_refresh_later(login);
}

static void login_went_well(struct jmap_login *login) {
	retry_reset(&login->retry);
	alarm_stop(&login->again);
	if (login->failure[0]) {
		log_info("the mail server answers again login=%s", login->config->name);
		login_set_failure(login, "");
	}
	login->trouble = LOGIN_WELL;
	login->is_told = false;
	login->lacking = 0;
	if (login->is_said) {
		mail_notice_trouble(login->notice, NULL);
		login->is_said = false;
	}
}

/* The user must act; said once. */
static void login_get_into_trouble(
	struct jmap_login *login, enum login_trouble trouble, const char *reason) {
	if (!login->is_said) {
		log_error("mail login is refused, tried again every 6 h login=%s reason=\"%s\"",
			login->config->name, reason);
		mail_notice_trouble(login->notice, reason);
		login->is_said = true;
	}
	login->trouble = trouble;
	alarm_set(&login->again, JMAP_TROUBLE_MS, ALARM_SLACK_CARE_MS);
}

/* Whoever is asked for it may be a person: not again and again. */
static void login_wait_for_secret(struct jmap_login *login, const char *reason) {
	static const int64_t delays_ms[] = {5000, 30000, 300000, 1800000, JMAP_TROUBLE_MS};
	enum { DELAYS = sizeof delays_ms / sizeof *delays_ms };
	int64_t delay_ms = delays_ms[login->lacking < DELAYS ? login->lacking : DELAYS - 1];
	log_write(login->lacking < 2 ? LOG_LEVEL_WARN : LOG_LEVEL_DEBUG,
		"mail login has no password login=%s reason=\"%s\" next_s=%lld", login->config->name,
		reason, (long long)(delay_ms / 1000));
	login->lacking++;
	if (login->lacking >= 2 && !login->is_said) {
		mail_notice_trouble(login->notice, reason);
		login->is_said = true;
	}
	login->is_told = true; /* nothing else makes us ask */
	alarm_set(&login->again, delay_ms, ALARM_SLACK_DEADLINE_MS);
}

static void login_failed(struct jmap_login *login, enum jmap_call_outcome outcome,
	const char *reason, int64_t retry_after_sec) {
	bool is_new = strcmp(reason, login->failure) != 0;
	enum retry_class class = RETRY_UNREACHABLE;
	login_set_failure(login, reason);
	switch (outcome) {
	case JMAP_CALL_OK:
		return;
	case JMAP_CALL_UNAUTHORIZED:
	case JMAP_CALL_LOCKED:
		login_get_into_trouble(
			login, outcome == JMAP_CALL_LOCKED ? LOGIN_LOCKED : LOGIN_UNAUTHORIZED, reason);
		return;
	case JMAP_CALL_TRY_LATER:
		if (jmap_client_lacks_secret(login->client)) {
			login_wait_for_secret(login, reason);
			return;
		}
		class = retry_after_sec >= 0 ? RETRY_TOLD : RETRY_UNREACHABLE;
		break;
	case JMAP_CALL_REFUSED:
		class = RETRY_REFUSED;
		break;
	}
	int64_t left_ms = alarm_left_ms(&login->again);
	if (left_ms >= 0 && left_ms <= RETRY_CAP_MS && class != RETRY_TOLD) {
		return; /* several accounts fail at once, but that is one failure */
	}
	int64_t delay_ms = retry_next_ms(&login->retry, class, retry_after_sec);
	login->is_told = class == RETRY_TOLD;
	alarm_set(&login->again, delay_ms, ALARM_SLACK_DEADLINE_MS);
	log_write(is_new ? LOG_LEVEL_WARN : LOG_LEVEL_DEBUG,
		"mail server cannot be asked login=%s reason=\"%s\" next_s=%lld", login->config->name,
		reason, (long long)(delay_ms / 1000));
}

/* ---- commands ---- */

static void login_note(struct jmap_login *login, enum jmap_kind kind, const struct change *change) {
	if (login->commands[kind]) {
		change_command_note(login->commands[kind], change);
	}
}

static void login_note_others(struct login_account *account, bool is_noted[JMAP_KIND_COUNT]) {
	const char *type;
	json_t *state;
	void *next;
	json_object_foreach_safe(account->pending, next, type, state) {
		enum jmap_kind kind = jmap_type_kind(type);
		if (kind != JMAP_KIND_MAIL) {
			login_note(account->login, kind,
				&(struct change){
					.reason = account->login->why, .account_id = account->id, .type = type});
			is_noted[kind] = true;
			(void)json_object_set(account->states, type, state);
			(void)json_object_del(account->pending, type);
			login_save_later(account->login);
		}
	}
}

/* News of types that no one synchronises: their command is all that is to be done. */
static void login_run_others(struct jmap_login *login) {
	struct login_account *account;
	bool is_noted[JMAP_KIND_COUNT] = {false};
	LIST_FOREACH (account, &login->accounts, link) {
		login_note_others(account, is_noted);
	}
	for (int kind = 0; kind < JMAP_KIND_COUNT; kind++) {
		if (is_noted[kind]) {
			change_command_run(login->commands[kind]);
		}
	}
}

/* News of mail that the run has dealt with; their types, for the command. */
static void login_settle_mail(struct login_account *account, bool is_noted) {
	const char *type;
	json_t *state;
	void *next;
	json_object_foreach_safe(account->pending, next, type, state) {
		if (jmap_type_kind(type) == JMAP_KIND_MAIL) {
			if (is_noted) {
				login_note(account->login, JMAP_KIND_MAIL, &(struct change){.type = type});
			}
			(void)json_object_set(account->states, type, state);
			(void)json_object_del(account->pending, type);
		}
	}
}

static void login_run_for_mail(
	struct login_account *account, const struct mail_sync_result *result) {
	struct jmap_login *login = account->login;
	bool is_told = json_object_size(account->pending) > 0;
	login_note(login, JMAP_KIND_MAIL,
		&(struct change){
			.reason = account->why,
			.account_id = account->id,
			.type = is_told ? NULL : "Email",
			.new_mails = (uint32_t)(result->count + result->more),
		});
	for (size_t i = 0; result->mailboxes && result->mailboxes[i]; i++) {
		login_note(login, JMAP_KIND_MAIL, &(struct change){.mailbox = result->mailboxes[i]});
	}
	login_settle_mail(account, true);
	if (login->commands[JMAP_KIND_MAIL]) {
		change_command_run(login->commands[JMAP_KIND_MAIL]);
	}
}

/* What an earlier life did not see end well; the server answers, so it has a chance. */
static void login_run_left(struct jmap_login *login) {
	for (int kind = 0; kind < JMAP_KIND_COUNT; kind++) {
		if (login->commands[kind]) {
			change_command_run_left(login->commands[kind]);
		}
	}
}

/* ---- mail ---- */

static bool login_is_running(const struct jmap_login *login) {
	const struct login_account *account;
	LIST_FOREACH (account, &login->accounts, link) {
		if (account->sync && (mail_sync_is_running(account->sync) || account->has_failed)) {
			return true;
		}
	}
	return false;
}

/* When all have been looked at. */
static void login_end_round(struct jmap_login *login) {
	if (!login_is_running(login)) {
		login_went_well(login);
		login_run_left(login);
	}
	login_refresh_later(login);
}

/* The login's own account counts always; of others at least one must be there. */
static bool login_can_do_without(const struct login_account *account) {
	const struct jmap_session *session = jmap_client_session(account->login->client);
	const struct login_account *other;
	if (!session || !session->primary_mail || strcmp(session->primary_mail, account->id) == 0) {
		return false;
	}
	LIST_FOREACH (other, &account->login->accounts, link) {
		if (other != account && other->sync && !other->is_refused) {
			return true;
		}
	}
	return false;
}

/* Shared once, and not ours any more, or without mail: asked again when all are looked at. */
static void login_on_refused(struct login_account *account, const char *reason) {
	struct jmap_login *login = account->login;
	if (!account->is_refused) {
		log_warn("an account cannot be looked at, the others are login=%s account=%s reason=\"%s\"",
			login->config->name, account->id, reason);
	}
	account->is_refused = true;
	account->wants_sync = account->has_failed = false;
	account->unread = 0;
	login_end_round(login);
}

void login_on_synced(struct login_account *account, const struct mail_sync_result *result) {
	struct jmap_login *login = account->login;
	if (result->is_refused && login_can_do_without(account)) {
		login_on_refused(account, result->reason);
		return;
	}
	account->is_refused = false;
	account->has_failed = result->outcome != JMAP_CALL_OK;
	if (account->has_failed) {
		account->wants_sync = true;
		login_failed(login, result->outcome, result->reason, result->retry_after_sec);
		return;
	}
	/* the very first run only takes the state: there is nothing that it could differ from */
	bool has_changed = result->has_changed && !account->is_first;
	bool is_worth_keeping = account->is_first || result->count + result->more > 0;
	account->is_first = false;
	account->unread = result->unread;
	login->synced_ms = clock_wall_ms();
	log_debug("jmap", "looked login=%s reason=%s changed=%d new=%zu unread=%u", login->config->name,
		account->why, has_changed, result->count + result->more, result->unread);
	if (has_changed) {
		login_run_for_mail(account, result);
	} else {
		login_settle_mail(account, false);
	}
	if (is_worth_keeping) { /* so that after a crash none is shown again, and none is old */
		login_save_now(login);
	} else {
		login_save_later(login);
	}
	if (login->config->notify && result->count + result->more > 0) {
		mail_notice_show(login->notice, account->id, result);
	}
	login_end_round(login);
}

/* ---- other types ---- */

static void login_on_state(const char *account_id, const char *type, const char *state, void *ctx) {
	struct jmap_login *login = ctx;
	struct login_account *account = login_account_find(login, account_id);
	const char *known = NULL;
	if (!account || !login->commands[jmap_type_kind(type)]) {
		return;
	}
	known = json_string_value(json_object_get(account->states, type));
	if (!known) { /* the first time: what was there before is nobody's news */
		(void)json_object_set_new(account->states, type, json_string(state));
		login_save_later(login);
	} else if (strcmp(known, state) != 0) {
		(void)json_object_set_new(account->pending, type, json_string(state));
	}
}

static void login_on_states(const struct jmap_call_result *result, void *ctx) {
	struct jmap_login *login = ctx;
	if (result->outcome != JMAP_CALL_OK) {
		login->wants_states = true;
		login_failed(login, result->outcome, result->reason, result->retry_after_sec);
	}
	login_run_others(login);
	login_run_left(login);
}

static void login_ask_states(struct jmap_login *login) {
	const struct login_account *account;
	bool has_other = login->commands[JMAP_KIND_CALENDAR] || login->commands[JMAP_KIND_CONTACTS] ||
					 login->commands[JMAP_KIND_OTHER];
	size_t count = 0;
	login->wants_states = false;
	if (!has_other) {
		return;
	}
	LIST_FOREACH (account, &login->accounts, link) {
		count++;
	}
	CLEANUP_FREE const char **ids = mem_zalloc((count + 1) * sizeof *ids);
	count = 0;
	LIST_FOREACH (account, &login->accounts, link) {
		ids[count++] = account->id;
	}
	(void)type_states_ask(login->type_states, ids, login->config->types); /* or it is under way */
}

/* ---- acting ---- */

static void login_run_syncs(struct jmap_login *login) {
	struct login_account *account;
	LIST_FOREACH (account, &login->accounts, link) {
		if (account->wants_sync && account->sync) {
			account->wants_sync = account->has_failed = false;
			memcpy(account->why, login->why, sizeof account->why);
			mail_sync_run(account->sync);
		}
	}
}

void login_act(struct jmap_login *login) {
	if (!login_may_ask(login)) {
		return;
	}
	if (!jmap_client_session(login->client) || list_is_empty(&login->accounts)) {
		login_connect(login);
		return;
	}
	if (login->wants_check) {
		login->wants_check = false;
		jmap_client_look(login->client); /* not every server says that its key is another */
		push_subscription_check(login->push);
	}
	login_run_syncs(login);
	login_run_others(login);
	if (login->wants_states) {
		login_ask_states(login);
	}
}

/* The cheapest call there is: what matters is the session. */
static void login_connect(struct jmap_login *login) {
	if (login->is_connecting) {
		return;
	}
	struct jmap_call *call = jmap_call_create();
	(void)jmap_call_add(call, "Core/echo", json_object());
	login->is_connecting = true;
	jmap_client_look(login->client);
	jmap_client_send(login->client, call, login_on_connected, login);
}

static void login_on_connected(const struct jmap_call_result *result, void *ctx) {
	struct jmap_login *login = ctx;
	login->is_connecting = false;
	if (result->outcome != JMAP_CALL_OK) {
		login_failed(login, result->outcome, result->reason, result->retry_after_sec);
		return;
	}
	login->is_session_new = false;
	login_accounts_update(login, jmap_client_session(login->client));
	if (list_is_empty(&login->accounts)) {
		login_failed(login, JMAP_CALL_REFUSED,
			login->config->accounts ? "the mail server has none of the accounts that the "
									  "configuration names"
									: "the mail server shows no account to this login",
			-1);
		return;
	}
	login_went_well(login);
	login->wants_check = false;
	push_subscription_check(login->push);
	login_act(login);
}

/* ---- wanting ---- */

static void login_set_window(struct jmap_login *login) {
	bool is_calm = !login->parts->is_on_mains;
	login->gather.quiet_ms = is_calm ? JMAP_QUIET_BATTERY_MS : JMAP_QUIET_MS;
	login->gather.most_ms = is_calm ? JMAP_GATHER_MAX_BATTERY_MS : JMAP_GATHER_MAX_MS;
	int64_t left_ms = gather_left_ms(&login->gather, clock_mono_ms());
	if (left_ms >= 0) {
		alarm_set(&login->window, left_ms, 0);
	}
}

void login_want(struct jmap_login *login, const char *why) {
	(void)snprintf(login->why, sizeof login->why, "%s", why); /* a longer one is cut */
	if (gather_note(&login->gather, clock_mono_ms())) {
		login_act(login);
	}
	login_set_window(login);
}

static void login_mark_all(struct jmap_login *login) {
	struct login_account *account;
	LIST_FOREACH (account, &login->accounts, link) {
		account->wants_sync = true;
	}
	login->wants_states = true;
}

void login_want_all(struct jmap_login *login, const char *why) {
	login_mark_all(login);
	login_want(login, why);
}

static void login_on_window(struct alarm *alarm, void *ctx) {
	(void)alarm;
	struct jmap_login *login = ctx;
	if (gather_end(&login->gather, clock_mono_ms())) {
		login_act(login);
	}
	login_set_window(login);
}

static void login_on_again(struct alarm *alarm, void *ctx) {
	(void)alarm;
	struct jmap_login *login = ctx;
	if (login->trouble != LOGIN_WELL) {
		jmap_client_forget(login->client); /* another password may be there */
		login->trouble = LOGIN_WELL; /* until it is refused again */
		login_mark_all(login);
		login_connect(login);
		return;
	}
	login_act(login);
}

static void login_on_jitter(struct alarm *alarm, void *ctx) {
	(void)alarm;
	struct jmap_login *login = ctx;
	login_want_all(login, login->jitter_why);
}

/* ---- what is told ---- */

static bool login_is_known(
	const struct login_account *account, const char *type, const char *state) {
	const char *acted = json_string_value(json_object_get(account->states, type));
	const char *pending = json_string_value(json_object_get(account->pending, type));
	return (acted && strcmp(acted, state) == 0) || (pending && strcmp(pending, state) == 0) ||
		   (account->sync && mail_sync_is_at(account->sync, type, state));
}

/* What is not mail must have been asked for, so that no server makes us keep whatever it names. */
static bool login_wants_type(const struct jmap_login *login, const char *type) {
	enum jmap_kind kind = jmap_type_kind(type);
	for (size_t i = 0; login->commands[kind] && login->config->types[i]; i++) {
		if (strcmp(login->config->types[i], type) == 0) {
			return true;
		}
	}
	return false;
}

/* One type of one account; is there something to be done? */
static bool login_take_state(
	struct login_account *account, const char *type, const char *state, bool is_trusted) {
	struct jmap_login *login = account->login;
	enum jmap_kind kind = jmap_type_kind(type);
	bool is_ours = kind == JMAP_KIND_MAIL ? account->sync != NULL : login_wants_type(login, type);
	if (!is_ours || (is_trusted && login_is_known(account, type, state))) {
		return false;
	}
	if (is_trusted) {
		(void)json_object_set_new(account->pending, type, json_string(state));
	} else if (kind != JMAP_KIND_MAIL) {
		login->wants_states = true;
	}
	account->wants_sync = account->wants_sync || kind == JMAP_KIND_MAIL;
	return true;
}

void login_on_changed(
	struct jmap_login *login, const json_t *changed, const char *why, bool is_trusted) {
	const char *id, *type;
	json_t *states, *state;
	bool is_news = list_is_empty(&login->accounts); /* not logged in yet: all will be looked at */
	json_object_foreach((json_t *)changed, id, states) {
		struct login_account *account = login_account_find(login, id);
		if (!account) {
			continue;
		}
		json_object_foreach(states, type, state) {
			is_news =
				login_take_state(account, type, json_string_value(state), is_trusted) || is_news;
		}
	}
	if (is_news) {
		login_want(login, why);
	}
}

void login_run_for_alert(struct jmap_login *login, const char *account_id) {
	static const char type[] = "CalendarAlert";
	bool is_known = list_is_empty(&login->accounts) ? !login->config->accounts
													: login_account_find(login, account_id) != NULL;
	if (is_known && login_wants_type(login, type)) {
		login_note(login, JMAP_KIND_CALENDAR,
			&(struct change){.reason = "push", .account_id = account_id, .type = type});
		change_command_run(login->commands[JMAP_KIND_CALENDAR]);
	}
}

/* ---- as a part of the login ---- */

void jmap_login_resync(struct jmap_login *login, const char *why) {
	static const char *const crowds[] = {"resume", "relay", "missed", "forgotten"};
	uint16_t random = 0;
	bool is_asked = strcmp(why, "asked") == 0;
	if (login->is_paused || login->is_ended || (login->trouble != LOGIN_WELL && !is_asked)) {
		return;
	}
	if (login->trouble != LOGIN_WELL) {
		jmap_client_forget(login->client);
		login->trouble = LOGIN_WELL;
	}
	login->wants_check = true;
	if (login->is_told && !is_asked) { /* `again` does it */
		login_mark_all(login);
		return;
	}
	alarm_stop(&login->again);
	retry_reset(&login->retry);
	for (size_t i = 0; i < sizeof crowds / sizeof *crowds; i++) {
		if (strcmp(why, crowds[i]) == 0) {
			(void)!getrandom(&random, sizeof random, 0); /* without it: at once */
			login->jitter_why = crowds[i];
			alarm_set(&login->jitter, random % JMAP_JITTER_MS, ALARM_SLACK_DEADLINE_MS);
			return;
		}
	}
	login_want_all(login, why);
}

void login_look_init(struct jmap_login *login) {
	struct alarms *alarms = login->parts->options.alarms;
	const struct type_states_options states = {
		.client = login->client, .told = login_on_state, .done = login_on_states, .ctx = login};
	login->type_states = type_states_create(&states);
	login->failure = mem_strdup("");
	alarm_init(&login->window, alarms, login_on_window, login);
	alarm_init(&login->again, alarms, login_on_again, login);
	alarm_init(&login->jitter, alarms, login_on_jitter, login);
}

void login_look_stop(struct jmap_login *login) {
	jmap_client_cancel(login->client, login);
	login->is_connecting = false;
	type_states_destroy(login->type_states);
	login->type_states = NULL;
	alarm_stop(&login->window);
	alarm_stop(&login->again);
	alarm_stop(&login->jitter);
}
