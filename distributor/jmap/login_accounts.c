/* SPDX-License-Identifier: Apache-2.0 */
/* The JMAP accounts behind one login: its own, and those that others share with it. */
#include "common/json.h"
#include "common/log.h"
#include "common/mem.h"
#include "distributor/jmap/login_internal.h"
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static bool login_account_is_shown(const char *email_id, void *ctx) {
	struct login_account *account = ctx;
	return mail_notice_is_shown(account->login->notice, account->id, email_id);
}

static void login_account_on_settled(const char *email_id, void *ctx) {
	struct login_account *account = ctx;
	mail_notice_withdraw(account->login->notice, account->id, email_id);
}

static void login_account_on_done(const struct mail_sync_result *result, void *ctx) {
	login_on_synced(ctx, result);
}

static json_t *login_account_object(const json_t *saved, const char *key) {
	const json_t *object = json_object_get(saved, key);
	return json_is_object(object) ? json_deep_copy(object) : json_object();
}

static void login_account_add(
	struct jmap_login *login, const struct jmap_session_account *described) {
	json_t *saved = json_incref(json_object_get(login->saved_accounts, described->id));
	/* one that came while we looked at the others: what arrives there from now on is news */
	bool is_later = !saved && login->has_accounts;
	if (is_later) {
		saved = json_pack("{s:{s:I}}", "mail", "since", (json_int_t)clock_wall_ms());
	}
	struct login_account *account = mem_zalloc(sizeof *account);
	account->login = login;
	account->id = mem_strdup(described->id);
	account->states = login_account_object(saved, "states");
	account->pending = json_object();
	account->wants_sync = true;
	account->is_first = !saved && !login->is_lost;
	login->wants_states = true;
	list_init(&account->link);
	list_append(&login->accounts, &account->link);
	if (described->has_mail) {
		const struct mail_sync_options options = {.client = login->client,
			.config = login->config,
			.account_id = account->id,
			.is_shown = login_account_is_shown,
			.settled = login_account_on_settled,
			.done = login_account_on_done,
			.ctx = account};
		account->sync = mail_sync_create(&options, json_object_get(saved, "mail"));
	}
	json_decref(saved);
	log_debug("jmap", "account login=%s id=%s mail=%d", login->config->name, account->id,
		described->has_mail);
}

static void login_account_free(struct login_account *account) {
	list_remove(&account->link);
	mail_sync_destroy(account->sync);
	json_decref(account->states);
	json_decref(account->pending);
	free(account->id);
	free(account);
}

void login_accounts_clear(struct jmap_login *login) {
	struct login_account *account;
	while ((account = list_first(&login->accounts, struct login_account, link))) {
		login_account_free(account);
	}
}

struct login_account *login_account_find(const struct jmap_login *login, const char *id) {
	struct login_account *account;
	LIST_FOREACH (account, &login->accounts, link) {
		if (strcmp(account->id, id) == 0) {
			return account;
		}
	}
	return NULL;
}

static bool login_wants_account(
	const struct jmap_login *login, const struct jmap_session_account *described) {
	char *const *wanted = login->config->accounts;
	if (!wanted) {
		return true;
	}
	for (; *wanted; wanted++) {
		if (strcmp(*wanted, described->id) == 0 ||
			(described->name && strcasecmp(*wanted, described->name) == 0)) {
			return true;
		}
	}
	return false;
}

static bool login_session_has(
	const struct jmap_login *login, const struct jmap_session *session, const char *id) {
	for (size_t i = 0; i < session->accounts_count; i++) {
		if (strcmp(session->accounts[i].id, id) == 0) {
			return login_wants_account(login, &session->accounts[i]);
		}
	}
	return false;
}

void login_accounts_update(struct jmap_login *login, const struct jmap_session *session) {
	struct login_account *account, *next;
	LIST_FOREACH_SAFE (account, next, &login->accounts, link) {
		if (!login_session_has(login, session, account->id)) {
			log_info("account is gone login=%s id=%s", login->config->name, account->id);
			login_account_free(account);
		}
	}
	for (size_t i = 0; i < session->accounts_count; i++) {
		const struct jmap_session_account *described = &session->accounts[i];
		if (!login_wants_account(login, described)) {
			continue;
		}
		if (!login_account_find(login, described->id)) {
			login_account_add(login, described);
		}
		account = login_account_find(login, described->id);
		account->is_read_only = described->is_read_only;
		account->wants_sync = account->wants_sync || account->is_refused;
	}
	login->has_accounts = true;
	json_decref(login->saved_accounts);
	login->saved_accounts = NULL;
}

static json_t *login_account_print(const struct login_account *account) {
	return json_pack("{s:O,s:o*}", "states", account->states, "mail",
		account->sync ? mail_sync_print(account->sync) : NULL);
}

json_t *login_accounts_print(const struct jmap_login *login) {
	if (login->saved_accounts) { /* nobody has been asked yet */
		return json_deep_copy(login->saved_accounts);
	}
	json_t *json = json_object();
	const struct login_account *account;
	LIST_FOREACH (account, &login->accounts, link) {
		(void)json_object_set_new(json, account->id, login_account_print(account));
	}
	return json;
}
