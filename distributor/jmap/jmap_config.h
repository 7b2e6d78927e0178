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
enum { JMAP_NAME_MAX = 40, JMAP_LOGINS_MAX = 32, JMAP_LIST_MAX = 32 };

enum jmap_auth { JMAP_AUTH_BASIC, JMAP_AUTH_BEARER };
enum jmap_stream { /* EventSource, for servers without PushSubscription */
	JMAP_STREAM_MAINS, /* on mains power only; else one look every 15 minutes */
	JMAP_STREAM_ALWAYS,
	JMAP_STREAM_NEVER
};

struct jmap_config {
	char *name; /* letters, digits, '-', '_' */
	char *session_url; /* https://…; NULL: found through the user's domain */
	char *user; /* mostly the mail address */
	int auth; /* enum jmap_auth */
	char **password_command; /* NULL-terminated; NULL: Secret Service or file */
	char **types; /* NULL-terminated; default EmailDelivery, Mailbox */
	char **mailboxes; /* names or roles whose new mail is shown; default inbox */
	char **accounts; /* of shared ones: names or ids; NULL: all that the login can read */
	bool notify; /* show new mail; default on */
	/* Commands that run after changes of mail (Email, EmailDelivery, Mailbox, Thread), of
	 * calendars, of contacts, and of any other type; NULL: none. */
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
};

struct jmap_configs {
	struct jmap_config *logins;
	size_t count;
};
/* Reads the [jmap NAME] sections of the config file (NULL or absent: none). 0, or -EINVAL with each
 * problem on err: file, line, key, and what would do; out_configs is then empty. */
int jmap_configs_load(const char *path, struct jmap_configs *out_configs, FILE *err);
void jmap_configs_free(struct jmap_configs *configs);
/* One section as text, fresh, for `bellwire jmap add`. */
char *jmap_config_print(const struct jmap_config *config);
void jmap_configs_print_sample(FILE *out);
