/* SPDX-License-Identifier: Apache-2.0 */
/* Discovery and one call, on a loop that lives as long as they do. */
#include "distributor/ctl/jmap_probe.h"
#include "common/cleanup.h"
#include "common/mem.h"
#include "distributor/alarm.h"
#include "distributor/ctl/commands.h"
#include "distributor/jmap/jmap_call.h"
#include "distributor/jmap/jmap_types.h"
#include "distributor/jmap/mailboxes.h"
#include "distributor/jmap/secret_command.h"
#include "distributor/jmap/secret_text.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct probe {
	struct ev_loop *loop;
	struct fetcher *fetcher;
	const struct jmap_config *config;
	bool is_sure;
	struct fetch_auth auth;
	struct jmap_session *session;
	struct jmap_probe *out;
	char *said; /* the last step */
	int result;
};

static void probe_on_step(const char *step, void *ctx) {
	struct probe *probe = ctx;
	command_note("%s", step);
	free(probe->said);
	probe->said = mem_strdup(step);
}

static void probe_end(struct probe *probe, int result) {
	probe->result = result;
	ev_break(probe->loop, EVBREAK_ALL);
}

/* ---- a password_command ---- */

struct probe_secret {
	struct ev_loop *loop;
	char *secret;
	int64_t began_ms;
};

static void probe_on_secret(const char *secret, const char *reason, void *ctx) {
	struct probe_secret *wait = ctx;
	if (secret) {
		wait->secret = mem_strdup(secret);
		(void)fprintf(stderr, "bellwire: password_command gives one (%lld ms)\n",
			(long long)(clock_mono_ms() - wait->began_ms));
	} else {
		(void)command_fail("%s", reason);
	}
	ev_break(wait->loop, EVBREAK_ALL);
}

char *jmap_probe_secret(const struct jmap_config *config) {
	struct probe_secret wait = {
		.loop = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV), .began_ms = clock_mono_ms()};
	const struct hook_place children = {wait.loop, alarms_create(wait.loop), NULL};
	(void)secret_command_start(&children, config->name, config->password_command, false,
		CREDENTIALS_COMMAND_MS, probe_on_secret, &wait); /* it ends by itself */
	(void)ev_run(wait.loop, 0);
	alarms_destroy(children.alarms);
	ev_loop_destroy(wait.loop);
	return wait.secret;
}

/* ---- the login ---- */

static void probe_explain(const struct probe *probe, const struct jmap_find_result *result) {
	bool is_bearer = probe->config->auth == JMAP_AUTH_BEARER;
	if (!probe->said || strcmp(probe->said, result->reason) != 0) {
		(void)command_fail("%s", result->reason);
	}
	switch (result->outcome) {
	case JMAP_UNAUTHORIZED:
		(void)fputs(is_bearer ? "Is the token right, and not expired?\n"
							  : "Is it right? Some servers want a password made for apps, others a "
								"token (--bearer).\n",
			stderr);
		break;
	case JMAP_LOCKED:
		(void)fputs("Its admin must allow JMAP for this account.\n", stderr);
		break;
	case JMAP_NOT_FOUND:
	case JMAP_TRY_LATER:
		if (!probe->config->session_url) {
			(void)fputs("Where is the server? Give its session URL in place of the address, for "
						"instance\n  bellwire jmap add https://mail.example.org/.well-known/jmap "
						"--user ann@example.org\n",
				stderr);
		}
		break;
	case JMAP_FOUND:
		break;
	}
}

static const char *probe_secret_word(const struct probe *probe) {
	return probe->config->auth == JMAP_AUTH_BEARER ? "token" : "password";
}

static bool probe_may_ask(const char *host, void *ctx) {
	const struct probe *probe = ctx;
	char answer[16] = "";
	if (probe->is_sure) {
		return true;
	}
	if (!isatty(STDIN_FILENO)) {
		(void)fprintf(stderr,
			"bellwire: only DNS, which can be forged, says that %s has the mail of %s.\n"
			"If that is right, add --yes.\n",
			host, probe->config->user);
		return false;
	}
	(void)fprintf(stderr,
		"Only DNS, which can be forged, says that %s has the mail of %s.\n"
		"Send the %s there? [y/N] ",
		host, probe->config->user, probe_secret_word(probe));
	(void)fflush(stderr);
	return fgets(answer, sizeof answer, stdin) && (answer[0] == 'y' || answer[0] == 'Y');
}

static bool probe_has_mail(const struct jmap_session *session) {
	for (size_t i = 0; i < session->accounts_count; i++) {
		if (session->accounts[i].has_mail) {
			return true;
		}
	}
	return session->has_mail;
}

static bool probe_wants(const struct jmap_config *config, enum jmap_kind kind) {
	for (char *const *type = config->types; *type; type++) {
		if (jmap_type_kind(*type) == kind) {
			return true;
		}
	}
	return false;
}

/* Is what the config wants to hear of there? */
static bool probe_check_session(struct probe *probe) {
	const struct jmap_session *session = probe->session;
	if (probe_wants(probe->config, JMAP_KIND_MAIL) && !probe_has_mail(session)) {
		(void)command_fail("%s has JMAP, but no mail for this login", session->url);
		return false;
	}
	if (probe->config->on_calendar && !session->has_calendars) {
		probe_on_step("the server speaks of no calendars, so on_calendar may never run", probe);
	}
	if (probe->config->on_contacts && !session->has_contacts) {
		probe_on_step("the server speaks of no contacts, so on_contacts may never run", probe);
	}
	return true;
}

/* The account whose mailboxes are looked at; NULL: none has mail. */
static const char *probe_account(const struct jmap_session *session) {
	for (size_t i = 0; !session->primary_mail && i < session->accounts_count; i++) {
		if (session->accounts[i].has_mail) {
			return session->accounts[i].id;
		}
	}
	return session->primary_mail;
}

static void probe_add_mailboxes(const struct probe *probe, struct jmap_call *call) {
	const char *account = probe_account(probe->session);
	if (account) {
		jmap_call_use(call, "urn:ietf:params:jmap:mail");
		(void)jmap_call_add(call, "Mailbox/get",
			json_pack("{s:s,s:n,s:o}", "accountId", account, "ids", "properties",
				mailboxes_properties()));
	}
}

/* A wish may be of a shared account, so that none is a failure. */
static void probe_check_mailboxes(struct probe *probe, const struct jmap_call_result *result) {
	const char *error, *missing;
	const json_t *answer = jmap_call_answer(result, 1, &error);
	struct mailboxes *mailboxes = mailboxes_create(probe->config->mailboxes);
	if (answer && probe_wants(probe->config, JMAP_KIND_MAIL)) {
		mailboxes_take(mailboxes, json_object_get(answer, "list"));
		while ((missing = mailboxes_missing(mailboxes))) {
			CLEANUP_FREE char *step =
				mem_printf("there is no mailbox \"%s\", so nothing of it is shown", missing);
			probe_on_step(step, probe);
		}
	}
	mailboxes_destroy(mailboxes);
}

static void probe_on_called(const struct jmap_call_result *result, void *ctx) {
	struct probe *probe = ctx;
	const char *error = "";
	if (result->outcome != JMAP_CALL_OK) {
		probe_end(probe, command_fail("%s: %s", probe->session->api_url, result->reason));
		return;
	}
	const json_t *answer = jmap_call_answer(result, 0, &error);
	probe_check_mailboxes(probe, result);
	probe->out->can_push = answer != NULL;
	if (!answer && strcmp(error, "unknownMethod") != 0) {
		probe_end(probe, command_fail("%s does not tell its push subscriptions: %s",
							 probe->session->api_url, error[0] ? error : "no answer"));
		return;
	}
	(void)fprintf(stderr, "bellwire: the login works, and the server %s push (%lld ms)\n",
		answer ? "can" : "cannot", (long long)result->took_ms);
	probe_end(probe, COMMAND_OK);
}

static void probe_on_found(const struct jmap_find_result *result, void *ctx) {
	struct probe *probe = ctx;
	if (result->outcome != JMAP_FOUND) {
		probe_explain(probe, result);
		probe_end(probe, COMMAND_FAILED);
		return;
	}
	probe->session = result->session;
	probe->out->url = mem_strdup(probe->session->url);
	probe->out->can_stream = probe->session->event_source_url[0] != '\0';
	if (!probe_check_session(probe)) {
		probe_end(probe, COMMAND_FAILED);
		return;
	}
	struct jmap_call *call = jmap_call_create();
	(void)jmap_call_add(call, "PushSubscription/get", json_pack("{s:n}", "ids"));
	probe_add_mailboxes(probe, call);
	struct fetch_options how = {.auth = &probe->auth,
		.ca_file = probe->config->ca_file,
		.is_insecure = probe->config->insecure};
	(void)jmap_call_send(call, probe->fetcher, probe->session, &how, probe_on_called, probe);
}

int jmap_probe_run(const struct jmap_place *place, const struct jmap_config *config,
	const char *secret, bool is_sure, struct jmap_probe *out_probe) {
	bool is_bearer = config->auth == JMAP_AUTH_BEARER;
	*out_probe = (struct jmap_probe){0};
	struct probe probe = {.loop = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV),
		.config = config,
		.is_sure = is_sure,
		.auth = {.user = is_bearer ? NULL : config->user,
			.password = is_bearer ? NULL : secret,
			.bearer = is_bearer ? secret : NULL},
		.out = out_probe};
	probe.fetcher = fetcher_create(probe.loop, place->config.use_proxy);
	struct jmap_find_options options = {.fetcher = probe.fetcher,
		.loop = probe.loop,
		.url = config->session_url,
		.user = config->user,
		.auth = &probe.auth,
		.ca_file = config->ca_file,
		.is_insecure = config->insecure,
		.step = probe_on_step,
		.may_ask = probe_may_ask};
	(void)jmap_find_start(&options, probe_on_found, &probe); /* it ends by itself */
	(void)ev_run(probe.loop, 0);
	jmap_session_free(probe.session);
	free(probe.said);
	fetcher_destroy(probe.fetcher);
	ev_loop_destroy(probe.loop);
	return probe.result;
}

void jmap_probe_finish(struct jmap_probe *probe) {
	free(probe->url);
	*probe = (struct jmap_probe){0};
}
