/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `bellwire jmap add`: parse -> the configuration -> the secret -> the server -> keep both -> the
 * daemon. Nothing is kept before the server has let us in.
 */
#include "common/cleanup.h"
#include "common/mem.h"
#include "common/sections.h"
#include "common/url.h"
#include "distributor/ctl/commands.h"
#include "distributor/ctl/config_section.h"
#include "distributor/ctl/daemon.h"
#include "distributor/ctl/daemon_service.h"
#include "distributor/ctl/jmap_commands.h"
#include "distributor/ctl/jmap_place.h"
#include "distributor/ctl/jmap_probe.h"
#include "distributor/ctl/jmap_wait.h"
#include "distributor/ctl/password_prompt.h"
#include "distributor/jmap/secret_text.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct jmap_add {
	const char *where; /* an address or a URL */
	const char *name, *path, *state_dir, *secret_store;
	int64_t wait_sec;
	char *mailboxes; /* words so far; NULL: not given */
	bool json, no_start, is_sure, has_stream;
	enum credentials_place secret_place;
	struct jmap_config config;
	struct jmap_place place;
	struct jmap_probe probe;
	char *secret;
	char *secret_where; /* in words; NULL: a command gives it */
	json_t *login; /* what the daemon says of it in the end; NULL: it was not asked */
};

/* ---- words ---- */

/* A key of the section from a flag. */
static int add_set(struct jmap_add *add, const char *key, const char *value) {
	CLEANUP_FREE char *error = NULL;
	if (!jmap_config_set(&add->config, key, value, &error)) {
		return command_misused("jmap", "--%s %s: %s", key, value, error ? error : "is unknown");
	}
	add->has_stream = add->has_stream || strcmp(key, "stream") == 0;
	return COMMAND_OK;
}

static int add_set_ca(struct jmap_add *add, const char *value) {
	CLEANUP_FREE char *real = realpath(value, NULL); /* the daemon runs elsewhere */
	return real ? add_set(add, "ca-file", real)
				: command_fail("%s cannot be read: %s", value, strerror(errno));
}

static const char *add_quote(const char *value) {
	static const char plain[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-./";
	if (value[0] && value[strspn(value, plain)] == '\0') {
		return "";
	}
	return strchr(value, '\'') ? "\"" : "'";
}

/* One more name, quoted as words_split() takes it. */
static int add_set_mailbox(struct jmap_add *add, const char *value) {
	const char *quote = add_quote(value);
	if (*quote == '"' && strpbrk(value, "\"\\$`")) {
		return command_misused(
			"jmap", "--mailbox %s: is better written to the configuration", value);
	}
	CLEANUP_FREE char *before = add->mailboxes;
	add->mailboxes =
		mem_printf("%s%s%s%s%s", before ? before : "", before ? " " : "", quote, value, quote);
	return COMMAND_OK;
}

static int add_set_secret_store(struct jmap_add *add, const char *value) {
	if (strcmp(value, "file") == 0) {
		add->secret_place = CREDENTIALS_FILE;
	} else if (strcmp(value, "service") == 0) {
		add->secret_place = CREDENTIALS_SERVICE;
	} else {
		return command_misused("jmap", "--secret-store %s: must be file or service", value);
	}
	return COMMAND_OK;
}

static int add_set_wait(struct jmap_add *add, const char *value) {
	add->wait_sec = command_number(value, 3600);
	return add->wait_sec >= 0
			   ? COMMAND_OK
			   : command_misused("jmap", "--wait %s: must be seconds, 3600 at most", value);
}

/* Flags that are no keys; with a value. */
static const struct {
	const char *name;
	size_t offset; /* of a text in struct jmap_add; 0: set by a function */
	int (*set)(struct jmap_add *add, const char *value);
} add_flags[] = {
	{"name", offsetof(struct jmap_add, name), NULL},
	{"config", offsetof(struct jmap_add, path), NULL},
	{"state-dir", offsetof(struct jmap_add, state_dir), NULL},
	{"ca", 0, add_set_ca},
	{"mailbox", 0, add_set_mailbox},
	{"secret-store", 0, add_set_secret_store},
	{"wait", 0, add_set_wait},
};
enum { ADD_FLAGS = sizeof add_flags / sizeof *add_flags };

/* The value of a flag: behind its '=', or the next word. */
static const char *add_value(const char *inside, int argc, char **argv, int *at) {
	return inside ? inside : *at + 1 < argc ? argv[++*at] : NULL;
}

/* Gives the value to the flag of this name. */
static int add_take(struct jmap_add *add, const char *name, const char *value) {
	for (size_t i = 0; i < ADD_FLAGS; i++) {
		if (strcmp(name, add_flags[i].name) == 0) {
			if (add_flags[i].set) {
				return add_flags[i].set(add, value);
			}
			memcpy((char *)add + add_flags[i].offset, &value, sizeof value);
			return COMMAND_OK;
		}
	}
	return add_set(add, name, value);
}

static bool add_is_flag(const char *name) {
	bool is_there = false;
	for (size_t i = 0; i < ADD_FLAGS; i++) {
		is_there = is_there || strcmp(name, add_flags[i].name) == 0;
	}
	return is_there;
}

static int add_take_flag(struct jmap_add *add, int argc, char **argv, int *at) {
	const char *word = argv[*at] + 2, *equals = strchr(word, '=');
	CLEANUP_FREE char *name =
		equals ? mem_strndup(word, (size_t)(equals - word)) : mem_strdup(word);
	const char *inside = equals ? equals + 1 : NULL;
	bool is_bool = false;
	if (strcmp(name, "bearer") == 0 && !inside) {
		return add_set(add, "auth", "bearer");
	}
	if (!add_is_flag(name) && !jmap_config_has_key(name, &is_bool)) {
		return command_misused("jmap", "there is no option --%s", name);
	}
	const char *value = is_bool && !inside ? "on" : add_value(inside, argc, argv, at);
	return value ? add_take(add, name, value)
				 : command_misused("jmap", "--%s takes a value, and none follows", name);
}

static int add_parse(struct jmap_add *add, int argc, char **argv) {
	int result = COMMAND_OK;
	for (int i = 1; i < argc && result == COMMAND_OK; i++) {
		if (strcmp(argv[i], "--json") == 0) {
			add->json = true;
		} else if (strcmp(argv[i], "--no-start") == 0) {
			add->no_start = true;
		} else if (strcmp(argv[i], "--yes") == 0) {
			add->is_sure = true;
		} else if (strncmp(argv[i], "--", 2) == 0) {
			result = add_take_flag(add, argc, argv, &i);
		} else if (argv[i][0] != '-' && !add->where) {
			add->where = argv[i];
		} else {
			result =
				command_misused("jmap", "\"%s\" is too much behind ADDRESS|SESSION-URL", argv[i]);
		}
	}
	if (result == COMMAND_OK && add->mailboxes) {
		result = add_set(add, "mailboxes", add->mailboxes);
	}
	return result != COMMAND_OK || add->where
			   ? result
			   : command_misused("jmap", "ADDRESS|SESSION-URL is missing");
}

/* ---- the section ---- */

/* "ann@example.org" becomes "ann-example-org", a URL its host. Fresh. */
static char *add_name_dup(const char *where) {
	struct url url;
	char *name =
		mem_strdup(strstr(where, "://") && url_parse(slice_of(where), &url) ? url.host : where);
	for (char *at = name; *at; at++) {
		bool is_good = (*at >= 'a' && *at <= 'z') || (*at >= 'A' && *at <= 'Z') ||
					   (*at >= '0' && *at <= '9') || *at == '_';
		*at = is_good ? *at : '-';
	}
	if (strlen(name) > SECTIONS_NAME_MAX) {
		name[SECTIONS_NAME_MAX] = '\0';
	}
	return name;
}

static void add_on_trouble(const char *key, const char *what, void *ctx) {
	(void)ctx;
	CLEANUP_FREE char *flag = mem_strdup(key ? key : "");
	for (char *at = flag; *at; at++) {
		*at = *at == '_' ? '-' : *at;
	}
	(void)command_fail("%s%s%s%s", key ? "--" : "", flag, key ? ": " : "the login ", what);
}

static int add_check_room(const struct jmap_add *add) {
	if (jmap_configs_find(&add->place.logins, add->config.name)) {
		return command_fail("there is a mail login \"%s\" already; give another --name, or see: "
							"bellwire jmap remove",
			add->config.name);
	}
	return add->place.logins.count < JMAP_LOGINS_MAX
			   ? COMMAND_OK
			   : command_fail("there may be %d mail logins", JMAP_LOGINS_MAX);
}

static int add_make_section(struct jmap_add *add) {
	bool is_url = strstr(add->where, "://");
	int result = add_set(add, is_url ? "session-url" : "user", add->where);
	if (result != COMMAND_OK) {
		return result;
	}
	free(add->config.name);
	add->config.name = add->name ? mem_strdup(add->name) : add_name_dup(add->where);
	const char *trouble = sections_name_trouble(add->config.name);
	if (trouble) {
		return command_misused("jmap", "--name %s: %s", add->config.name, trouble);
	}
	result = add_check_room(add);
	if (result != COMMAND_OK) {
		return result;
	}
	return jmap_config_check(&add->config, add_on_trouble, NULL) ? COMMAND_OK : COMMAND_USAGE;
}

/* ---- the secret and the server ---- */

static int add_get_secret(struct jmap_add *add) {
	const struct jmap_config *config = &add->config;
	CLEANUP_FREE char *what =
		mem_printf("%s of %s", config->auth == JMAP_AUTH_BEARER ? "Token" : "Password",
			config->user ? config->user : config->name);
	add->secret = config->password_command ? jmap_probe_secret(config) : password_prompt(what);
	return add->secret ? COMMAND_OK : COMMAND_FAILED;
}

static int add_probe(struct jmap_add *add) {
	int result = jmap_probe_run(&add->place, &add->config, add->secret, add->is_sure, &add->probe);
	if (result != COMMAND_OK || add->probe.can_push || add->has_stream) {
		return result;
	}
	(void)command_fail("this server has no PushSubscription, so it cannot push");
	(void)fputs(add->probe.can_stream
					? "With --stream mains a connection to it is kept open on mains power, with "
					  "--stream always on battery, too;\nelse it is asked every 15 minutes.\n"
					: "With --stream never it is asked every 15 minutes.\n",
		stderr);
	return COMMAND_FAILED;
}

/* Where the server was found is where it stays: who has the password is not DNS's to say each time
 * that the distributor starts. */
static int add_keep_server(struct jmap_add *add) {
	return add->config.session_url ? COMMAND_OK : add_set(add, "session-url", add->probe.url);
}

/* ---- what is kept ---- */

static int add_store_secret(struct jmap_add *add) {
	const struct jmap_config *config = &add->config;
	CLEANUP_FREE char *words = NULL;
	if (config->password_command) {
		return COMMAND_OK;
	}
	CLEANUP_FREE char *label =
		mem_printf("Bellwire: mail of %s", config->user ? config->user : config->name);
	if (credentials_store(add->place.bus, add->place.config.state_dir, config->name, label,
			add->secret, add->secret_place, &words) < 0) {
		(void)command_fail("%s", words);
		if (add->secret_place != CREDENTIALS_FILE) {
			(void)fputs("With --secret-store file it is kept in a file of mode 0600.\n", stderr);
		}
		return COMMAND_FAILED;
	}
	(void)fprintf(stderr, "bellwire: the %s is kept in %s\n",
		config->auth == JMAP_AUTH_BEARER ? "token" : "password", words);
	add->secret_where = steal(&words);
	return COMMAND_OK;
}

static int add_write(struct jmap_add *add) {
	CLEANUP_FREE char *section = jmap_config_print(&add->config);
	CLEANUP_FREE char *text = config_section_add_dup(add->place.text, section);
	CLEANUP_FREE char *words = NULL;
	int result = jmap_place_write(&add->place, text);
	if (result != COMMAND_OK && add->secret_where) {
		(void)credentials_forget(
			add->place.bus, add->place.config.state_dir, add->config.name, &words);
	} else if (result == COMMAND_OK) {
		struct url url;
		bool is_url = url_parse(slice_of(add->config.session_url), &url);
		(void)fprintf(stderr, "bellwire: %s has [jmap %s] at %s\n", add->place.path,
			add->config.name, is_url ? url.host : add->config.session_url);
	}
	return result;
}

/* ---- the daemon ---- */

static int add_tell_daemon(struct jmap_add *add) {
	if (daemon_runs()) {
		return daemon_tell("JmapReload", NULL);
	}
	if (!add->no_start && daemon_start()) {
		return COMMAND_OK; /* it reads the configuration now */
	}
	return command_fail(
		"the distributor does not run; once it does: bellwire jmap test %s", add->config.name);
}

static int add_report(const struct jmap_add *add) {
	const char *way = daemon_text(add->login, "way");
	if (strcmp(way, "push") == 0) {
		if (!add->json) {
			printf("push verified in %" PRId64 " ms\n", daemon_number(add->login, "round_trip_ms"));
		}
		return COMMAND_OK;
	}
	(void)command_fail("%s: %s", add->config.name, daemon_text(add->login, "reason"));
	if (!add->probe.can_push && strcmp(way, "none") != 0) {
		return COMMAND_OK; /* it is as the user wanted it */
	}
	(void)fputs("The login is kept, and tried again by itself; see: bellwire jmap list\n", stderr);
	return JMAP_NOT_VERIFIED;
}

static int add_apply(struct jmap_add *add) {
	int result = add_tell_daemon(add);
	result = result != COMMAND_OK ? result
								  : jmap_wait(add->config.name, add->wait_sec * 1000, &add->login);
	return result == COMMAND_OK ? add_report(add) : JMAP_NOT_VERIFIED;
}

static bool add_print_json(const struct jmap_add *add) {
	return command_print_json(json_pack("{s:s,s:s,s:s,s:s?,s:b,s:O*}", "name", add->config.name,
		"config", add->place.path, "server", add->probe.url, "secret", add->secret_where,
		"can_push", add->probe.can_push, "login", add->login));
}

static int add_go(struct jmap_add *add) {
	int result = jmap_place_open(&add->place, add->path, add->state_dir);
	result = result != COMMAND_OK ? result : add_make_section(add);
	result = result != COMMAND_OK ? result : add_get_secret(add);
	result = result != COMMAND_OK ? result : add_probe(add);
	result = result != COMMAND_OK ? result : add_keep_server(add);
	result = result != COMMAND_OK ? result : jmap_place_reopen(&add->place);
	result = result != COMMAND_OK ? result : add_check_room(add);
	result = result != COMMAND_OK ? result : add_store_secret(add);
	result = result != COMMAND_OK ? result : add_write(add);
	if (result != COMMAND_OK) {
		return result;
	}
	result = add_apply(add);
	return add->json && !add_print_json(add) ? COMMAND_FAILED : result;
}

int jmap_add_command(int argc, char **argv) {
	struct jmap_add add = {.wait_sec = JMAP_WAIT_SEC};
	jmap_config_init(&add.config, "");
	int result = add_parse(&add, argc, argv);
	result = result != COMMAND_OK ? result : add_go(&add);
	jmap_place_close(&add.place);
	jmap_probe_finish(&add.probe);
	jmap_config_finish(&add.config);
	secret_free(add.secret);
	json_decref(add.login);
	free(add.secret_where);
	free(add.mailboxes);
	return result;
}
