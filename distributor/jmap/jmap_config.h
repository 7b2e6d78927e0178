/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The `[jmap NAME]` sections of the config: one login at a mail server each. `bellwire jmap add`
 * writes them; passwords never stand in them.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define JMAP_SECTION "jmap "
enum { JMAP_LOGINS_MAX = 32, JMAP_LIST_MAX = 32 };

enum jmap_auth { JMAP_AUTH_BASIC, JMAP_AUTH_BEARER };
enum jmap_stream { /* EventSource, for servers without PushSubscription */
	JMAP_STREAM_MAINS, /* on mains power only; else one look every 15 minutes */
	JMAP_STREAM_ALWAYS,
	JMAP_STREAM_NEVER
};

/* Lists and commands as they stand in the config; NULL: not given. */
struct jmap_config_lines {
	char *password_command, *types, *mailboxes, *accounts;
	char *on_change, *on_calendar, *on_contacts, *on_other, *on_click;
};

struct jmap_config {
	char *name; /* letters, digits, '-', '_'; first: see sections.h */
	char *session_url; /* https://…; NULL: found through the user's domain */
	char *user; /* mostly the mail address; NULL: only with a bearer token and a session_url */
	int auth; /* enum jmap_auth */
	char **password_command; /* NULL-terminated; NULL: Secret Service or file */
	char **types; /* NULL-terminated; default EmailDelivery, Mailbox, and what commands need */
	char **mailboxes; /* names or roles whose new mail is shown; default inbox */
	char **accounts; /* of shared ones: names or ids; NULL: all that the login can read */
	bool notify; /* show new mail; default on */
	/* Commands that run after changes of mail, of calendars, of contacts, and of any other type
	 * (jmap_types.h); NULL: none. */
	char **on_change, **on_calendar, **on_contacts, **on_other;
	int64_t timeout_ms; /* of such a run; then SIGTERM, and SIGKILL 5 s later */
	bool as_unit; /* through systemd's user manager when it is there (default) */
	char **on_click; /* command for a clicked notification; each word may have the placeholders
						below */
	char *open_url; /* opened by a click when there is no command; {id} {blobId} {threadId}
					   {accountId} */
	int stream; /* enum jmap_stream */
	char *ca_file;
	bool insecure;
	struct jmap_config_lines lines;
};

struct jmap_configs {
	struct jmap_config *logins;
	size_t count;
};
/* Reads the [jmap NAME] sections of the config file (NULL or absent: none). 0, or -EINVAL with each
 * problem on err: file, line, key, and what would do; out_configs is then empty. */
int jmap_configs_load(const char *path, struct jmap_configs *out_configs, FILE *err);
void jmap_configs_free(struct jmap_configs *configs);
/* NULL when there is none of this name. */
const struct jmap_config *jmap_configs_find(const struct jmap_configs *configs, const char *name);
void jmap_configs_print_sample(FILE *out);

/* ---- one section made by hand, for `bellwire jmap add` ---- */

/* With the defaults; jmap_config_finish releases what is in it. */
void jmap_config_init(struct jmap_config *config, const char *name);
void jmap_config_finish(struct jmap_config *config);
/* A key ('-' stands for '_') and its value; another one for it replaces the former. False with what
 * would do in *out_error, fresh; an unknown key: with NULL there. */
bool jmap_config_set(
	struct jmap_config *config, const char *key, const char *value, char **out_error);
/* Is there such a key, and does a flag of it need no value? */
bool jmap_config_has_key(const char *key, bool *out_is_bool);
/* Makes it whole, once: splits lines into words, and looks at all of it. `what` says what would do;
 * key NULL: of the whole section. */
typedef void jmap_config_trouble_fn(const char *key, const char *what, void *ctx);
bool jmap_config_check(struct jmap_config *config, jmap_config_trouble_fn *trouble, void *ctx);
/* The section as text, fresh; what differs from the defaults. */
char *jmap_config_print(const struct jmap_config *config);
