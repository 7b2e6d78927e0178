/* SPDX-License-Identifier: Apache-2.0 */
/* A table of keys, filled section by section; then each login is checked as a whole. */
#include "distributor/jmap/jmap_config.h"
#include "common/cleanup.h"
#include "common/mem.h"
#include "common/sections.h"
#include "common/settings_parse.h"
#include "common/url.h"
#include "distributor/action/words.h"
#include "distributor/jmap/jmap_types.h"
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const jmap_auths[] = {
	[JMAP_AUTH_BASIC] = "basic",
	[JMAP_AUTH_BEARER] = "bearer",
	NULL,
};
static const char *const jmap_streams[] = {
	[JMAP_STREAM_MAINS] = "mains",
	[JMAP_STREAM_ALWAYS] = "always",
	[JMAP_STREAM_NEVER] = "never",
	NULL,
};

/* The timeout is read as seconds and becomes milliseconds when the login is whole. */
#define AT(member) .offset = offsetof(struct jmap_config, member)
static const struct setting jmap_table[] = {
	{.name = "user",
		.kind = SETTING_TEXT,
		AT(user),
		.value_name = "ann@example.org",
		.help = "Who logs in; mostly the mail address. The password is kept elsewhere: see\n"
				"password_command."},
	{.name = "session_url",
		.kind = SETTING_TEXT,
		AT(session_url),
		.value_name = "https://mail.example.org/.well-known/jmap",
		.help =
			"Where the server is, and who gets the password. Unset: found by the domain of the\n"
			"user at each start, also in DNS, which can be forged."},
	{.name = "auth",
		.kind = SETTING_CHOICE,
		AT(auth),
		.initial = "basic",
		.choices = jmap_auths,
		.help =
			"basic: the secret is a password. bearer: it is a token (an API token, or OAuth by\n"
			"password_command)."},
	{.name = "password_command",
		.kind = SETTING_TEXT,
		AT(lines.password_command),
		.value_name = "PROGRAM ARGUMENT...",
		.help =
			"Prints the password or token as its first line; run without a shell, when needed and\n"
			"again when the server refuses the last one. Unset: the desktop's keyring (Secret\n"
			"Service), or the file secrets/NAME in state_dir, where `bellwire jmap add` put it."},
	{.name = "mailboxes",
		.kind = SETTING_TEXT,
		AT(lines.mailboxes),
		.initial = "inbox",
		.help = "Whose new mail is shown: names or roles (inbox, archive, junk), quoted when they "
				"have\n"
				"blanks."},
	{.name = "accounts",
		.kind = SETTING_TEXT,
		AT(lines.accounts),
		.value_name = "NAME...",
		.help =
			"Which accounts of the login are watched, when it sees several: names or ids. Unset:\n"
			"all."},
	{.name = "types",
		.kind = SETTING_TEXT,
		AT(lines.types),
		.value_name = "EmailDelivery Mailbox",
		.help = "What the server shall push changes of. Unset: EmailDelivery and Mailbox, Calendar "
				"and\n"
				"CalendarEvent with on_calendar, AddressBook and ContactCard with on_contacts."},
	{.name = "notify",
		.kind = SETTING_BOOL,
		AT(notify),
		.initial = "on",
		.help = "Show new mail on the desktop."},
	{.name = "on_change",
		.kind = SETTING_TEXT,
		AT(lines.on_change),
		.value_name = "PROGRAM ARGUMENT...",
		.help = "Run after changes of mail (for instance mbsync work), without a shell and one at "
				"a time;\n"
				"BELLWIRE_* in its environment says what changed: see bellwire-distributor(8)."},
	{.name = "on_calendar",
		.kind = SETTING_TEXT,
		AT(lines.on_calendar),
		.value_name = "PROGRAM ARGUMENT...",
		.help = "The same after changes of calendars, for instance vdirsyncer sync."},
	{.name = "on_contacts",
		.kind = SETTING_TEXT,
		AT(lines.on_contacts),
		.value_name = "PROGRAM ARGUMENT...",
		.help = "The same after changes of contacts."},
	{.name = "on_other",
		.kind = SETTING_TEXT,
		AT(lines.on_other),
		.value_name = "PROGRAM ARGUMENT...",
		.help = "The same after changes of any other type that types names."},
	{.name = "timeout",
		.kind = SETTING_DURATION,
		AT(timeout_ms),
		.initial = "10m",
		.min = 1,
		.max = 7 * 86400,
		.help = "A command that runs longer is ended, and its changes are tried again."},
	{.name = "as_unit",
		.kind = SETTING_BOOL,
		AT(as_unit),
		.initial = "on",
		.help =
			"Run these commands and password_command as units of systemd's user manager where "
			"there\n"
			"is one, so that they have the session's environment, and nothing of this daemon's\n"
			"sandbox."},
	{.name = "on_click",
		.kind = SETTING_TEXT,
		AT(lines.on_click),
		.value_name = "PROGRAM ARGUMENT...",
		.help = "Run when a notification is clicked; {id}, {blobId}, {threadId} and {accountId} "
				"name the\n"
				"mail."},
	{.name = "open_url",
		.kind = SETTING_TEXT,
		AT(open_url),
		.value_name = "https://webmail.example.org/mail/{id}",
		.help = "Opened by a click when there is no on_click; the same placeholders."},
	{.name = "stream",
		.kind = SETTING_CHOICE,
		AT(stream),
		.initial = "mains",
		.choices = jmap_streams,
		.help = "With a server that cannot push: keep a connection to it open on mains power, "
				"always or\n"
				"never. Without one it is asked every 15 minutes."},
	{.name = "ca_file",
		.kind = SETTING_TEXT,
		AT(ca_file),
		.value_name = "FILE",
		.help = "Trust the certificates in FILE instead of the system's."},
	{.name = "insecure",
		.kind = SETTING_BOOL,
		AT(insecure),
		.initial = "off",
		.help = "Accept any certificate, and http:// to other machines. For tests."},
};

static const struct sections_kind jmap_kind = {
	.prefix = JMAP_SECTION,
	.one = "a mail login",
	.many = "mail logins",
	.example = "[jmap work]",
	.program = {.table = jmap_table, .count = sizeof jmap_table / sizeof *jmap_table},
	.item_bytes = sizeof(struct jmap_config),
	.max = JMAP_LOGINS_MAX,
};

/* Lines and the words that they become. */
#define WORDS(member)                                                                              \
	{ #member, offsetof(struct jmap_config, lines.member), offsetof(struct jmap_config, member) }
static const struct {
	const char *key;
	size_t line, words; /* offsets */
} jmap_words[] = {
	WORDS(password_command),
	WORDS(types),
	WORDS(mailboxes),
	WORDS(accounts),
	WORDS(on_change),
	WORDS(on_calendar),
	WORDS(on_contacts),
	WORDS(on_other),
	WORDS(on_click),
};
enum { JMAP_WORDS = sizeof jmap_words / sizeof *jmap_words };

static const char *jmap_line_at(const struct jmap_config *config, size_t i) {
	return *(char *const *)(const void *)((const char *)config + jmap_words[i].line);
}

static char ***jmap_words_at(struct jmap_config *config, size_t i) {
	return (char ***)(void *)((char *)config + jmap_words[i].words);
}

/* ---- one login ---- */

void jmap_config_init(struct jmap_config *config, const char *name) {
	*config = (struct jmap_config){0};
	sections_item_init(&jmap_kind, config, name);
}

void jmap_config_finish(struct jmap_config *config) {
	for (size_t i = 0; i < JMAP_WORDS; i++) {
		words_free(*jmap_words_at(config, i));
	}
	sections_item_finish(&jmap_kind, config);
}

bool jmap_config_set(
	struct jmap_config *config, const char *key, const char *value, char **out_error) {
	const struct setting *setting = settings_find(&jmap_kind.program, key, strlen(key));
	char why[SETTINGS_WHY_MAX];
	*out_error = NULL;
	if (!setting) {
		return false;
	}
	if (!settings_parse(setting, value, config, why)) {
		*out_error = mem_strdup(why);
		return false;
	}
	return true;
}

bool jmap_config_has_key(const char *key, bool *out_is_bool) {
	const struct setting *setting = settings_find(&jmap_kind.program, key, strlen(key));
	*out_is_bool = setting && setting->kind == SETTING_BOOL;
	return setting;
}

char *jmap_config_print(const struct jmap_config *config) {
	struct jmap_config copy = *config; /* with the unit of the file */
	char *text = NULL;
	size_t bytes;
	FILE *out = open_memstream(&text, &bytes);
	copy.timeout_ms /= 1000;
	if (out) {
		sections_print_item(&jmap_kind, &copy, out);
		(void)fclose(out); /* memory alone */
	}
	return text ? text : mem_strdup("");
}

/* ---- the check of a whole login ---- */

struct jmap_check {
	struct jmap_config *config;
	jmap_config_trouble_fn *trouble;
	void *ctx;
	bool failed;
};

static void __attribute__((format(printf, 3, 4)))
jmap_check_fail(struct jmap_check *check, const char *key, const char *format, ...) {
	va_list args;
	char what[1024];
	va_start(args, format);
	(void)vsnprintf(what, sizeof what, format, args);
	va_end(args);
	check->failed = true;
	check->trouble(key, what, check->ctx);
}

static size_t jmap_words_count(char *const *words) {
	size_t count = 0;
	while (words && words[count]) {
		count++;
	}
	return count;
}

static void jmap_check_words(struct jmap_check *check) {
	const char *why;
	for (size_t i = 0; i < JMAP_WORDS; i++) {
		const char *line = jmap_line_at(check->config, i);
		char ***words = jmap_words_at(check->config, i);
		words_free(*words);
		*words = NULL;
		if (!line && words == &check->config->mailboxes) {
			line = "inbox"; /* emptied */
		}
		if (line && !words_split(line, getenv("HOME"), words, &why)) {
			jmap_check_fail(check, jmap_words[i].key, "%s", why);
		}
	}
}

static void jmap_check_list(struct jmap_check *check, const char *key, char *const *words) {
	if (jmap_words_count(words) > JMAP_LIST_MAX) {
		jmap_check_fail(check, key, "may name %d at most", JMAP_LIST_MAX);
	}
}

static bool jmap_type_is_name(const char *type) {
	size_t len = strlen(type);
	return len > 0 && len <= JMAP_TYPE_MAX &&
		   strspn(type, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789") == len;
}

static bool jmap_has_kind(const struct jmap_config *config, enum jmap_kind kind) {
	for (char *const *type = config->types; type && *type; type++) {
		if (jmap_type_kind(*type) == kind) {
			return true;
		}
	}
	return false;
}

/* Types are not given: what the commands need. */
static void jmap_types_by_commands(struct jmap_config *config) {
	static const char *const none[] = {NULL}, *const mail[] = {"EmailDelivery", "Mailbox", NULL},
							 *const calendar[] = {"Calendar", "CalendarEvent", NULL},
							 *const contacts[] = {"AddressBook", "ContactCard", NULL};
	const char *const *const parts[] = {
		mail, config->on_calendar ? calendar : none, config->on_contacts ? contacts : none};
	size_t count = 0;
	config->types = mem_zalloc(7 * sizeof *config->types);
	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
		for (const char *const *type = parts[i]; *type; type++) {
			config->types[count++] = mem_strdup(*type);
		}
	}
}

static void jmap_check_types(struct jmap_check *check) {
	struct jmap_config *config = check->config;
	if (!config->lines.types) {
		jmap_types_by_commands(config);
	}
	jmap_check_list(check, "types", config->types);
	for (char *const *type = config->types; type && *type; type++) {
		const char *known = jmap_type_nearest(*type);
		if (!jmap_type_is_name(*type)) {
			jmap_check_fail(check, "types", "\"%s\" is no name of a type", *type);
		} else if (known && strcmp(known, *type) != 0) {
			jmap_check_fail(check, "types", "%s is written %s", *type, known);
		}
	}
}

/* A command that would never run is a mistake. */
static void jmap_check_commands(struct jmap_check *check) {
	const struct jmap_config *config = check->config;
	const struct {
		const char *key;
		char *const *command;
		enum jmap_kind kind;
		const char *wish;
	} commands[] = {
		{"on_change", config->on_change, JMAP_KIND_MAIL, "EmailDelivery"},
		{"on_calendar", config->on_calendar, JMAP_KIND_CALENDAR, "CalendarEvent"},
		{"on_contacts", config->on_contacts, JMAP_KIND_CONTACTS, "ContactCard"},
		{"on_other", config->on_other, JMAP_KIND_OTHER, "the type that it is for"},
	};
	bool acts = config->notify;
	for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
		acts = acts || commands[i].command;
		if (commands[i].command && !jmap_has_kind(config, commands[i].kind)) {
			jmap_check_fail(check, commands[i].key, "would never run; let types name %s, too",
				commands[i].wish);
		}
	}
	if (!acts) {
		jmap_check_fail(check, NULL, "does nothing: give it on_change, or notify = on");
	}
}

static void jmap_check_url(struct jmap_check *check) {
	const struct jmap_config *config = check->config;
	struct url url;
	if (!config->session_url) {
		return;
	}
	if (!url_parse(slice_of(config->session_url), &url) || url.scheme > URL_HTTPS) {
		jmap_check_fail(check, "session_url",
			"must be a URL like https://mail.example.org/.well-known/jmap, without a password");
	} else if (!url_is_secure(&url) && !url_is_loopback(&url) && !config->insecure) {
		jmap_check_fail(
			check, "session_url", "is not encrypted; use https://, or set insecure for a test");
	}
}

static void jmap_check_user(struct jmap_check *check) {
	const struct jmap_config *config = check->config;
	if (!config->user && (config->auth == JMAP_AUTH_BASIC || !config->session_url)) {
		jmap_check_fail(check, NULL, "needs a user: user = ann@example.org");
	} else if (config->user && !config->session_url) {
		const char *at = strrchr(config->user, '@');
		CLEANUP_FREE char *place = mem_printf("https://%s/", at ? at + 1 : "");
		struct url url;
		if (!at || at == config->user || !url_parse(slice_of(place), &url) ||
			!slice_equals(url.path, "/")) {
			jmap_check_fail(
				check, "user", "is no mail address, so session_url must say where the server is");
		}
	}
	if (config->user && config->auth == JMAP_AUTH_BASIC && strchr(config->user, ':')) {
		jmap_check_fail(check, "user", "must be without a colon (RFC 7617)");
	}
}

/* {name} with letters between the braces is a placeholder; other braces are text. */
static void jmap_check_placeholders(struct jmap_check *check, const char *key, const char *text) {
	static const char *const known[] = {"id", "blobId", "threadId", "accountId"};
	for (const char *at = strchr(text, '{'); at; at = strchr(at + 1, '{')) {
		size_t len = strspn(at + 1, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz");
		bool is_good = len == 0 || at[1 + len] != '}';
		for (size_t i = 0; !is_good && i < sizeof known / sizeof *known; i++) {
			is_good = strlen(known[i]) == len && strncmp(known[i], at + 1, len) == 0;
		}
		if (!is_good) {
			jmap_check_fail(check, key,
				"there is no %.*s; there are {id} {blobId} {threadId} {accountId}", (int)len + 2,
				at);
		}
	}
}

static void jmap_check_click(struct jmap_check *check) {
	const struct jmap_config *config = check->config;
	for (char *const *word = config->on_click; word && *word; word++) {
		jmap_check_placeholders(check, "on_click", *word);
	}
	if (config->open_url) {
		size_t scheme = strspn(config->open_url, "abcdefghijklmnopqrstuvwxyz0123456789+-.");
		if (scheme == 0 || config->open_url[scheme] != ':' || strchr(config->open_url, ' ')) {
			jmap_check_fail(
				check, "open_url", "must be a URL like https://webmail.example.org/mail/{id}");
		}
		jmap_check_placeholders(check, "open_url", config->open_url);
	}
}

bool jmap_config_check(struct jmap_config *config, jmap_config_trouble_fn *trouble, void *ctx) {
	struct jmap_check check = {.config = config, .trouble = trouble, .ctx = ctx};
	jmap_check_words(&check);
	jmap_check_list(&check, "mailboxes", config->mailboxes);
	jmap_check_list(&check, "accounts", config->accounts);
	jmap_check_types(&check);
	if (!check.failed) { /* else its types are not known */
		jmap_check_commands(&check);
	}
	jmap_check_user(&check);
	jmap_check_url(&check);
	jmap_check_click(&check);
	if (config->ca_file && access(config->ca_file, R_OK) < 0) {
		jmap_check_fail(&check, "ca_file", "cannot be read");
	}
	config->timeout_ms *= 1000;
	return !check.failed;
}

/* ---- the file ---- */

struct jmap_place {
	struct sections *sections;
	size_t at;
};

static void jmap_configs_on_trouble(const char *key, const char *what, void *ctx) {
	const struct jmap_place *place = ctx;
	const struct jmap_config *config = sections_item(place->sections, place->at);
	if (key) {
		sections_complain(place->sections, place->at, key, "%s: %s", key, what);
	} else {
		sections_complain(
			place->sections, place->at, NULL, "[%s%s] %s", JMAP_SECTION, config->name, what);
	}
}

int jmap_configs_load(const char *path, struct jmap_configs *out_configs, FILE *err) {
	struct sections *sections = sections_read(&jmap_kind, path, err);
	void *logins;
	for (size_t i = 0; i < sections_count(sections); i++) {
		struct jmap_place place = {sections, i};
		(void)jmap_config_check(
			sections_item(sections, i), jmap_configs_on_trouble, &place); /* it is noted */
	}
	bool is_good = sections_finish(sections, &logins, &out_configs->count);
	out_configs->logins = logins;
	if (!is_good) {
		jmap_configs_free(out_configs);
	}
	return is_good ? 0 : -EINVAL;
}

void jmap_configs_free(struct jmap_configs *configs) {
	for (size_t i = 0; i < configs->count; i++) {
		jmap_config_finish(&configs->logins[i]);
	}
	free(configs->logins);
	*configs = (struct jmap_configs){NULL, 0};
}

const struct jmap_config *jmap_configs_find(const struct jmap_configs *configs, const char *name) {
	for (size_t i = 0; i < configs->count; i++) {
		if (strcmp(configs->logins[i].name, name) == 0) {
			return &configs->logins[i];
		}
	}
	return NULL;
}

void jmap_configs_print_sample(FILE *out) {
	(void)fputs(
		"; Mail by JMAP: what the server says is new is shown, and fetched by your command.\n"
		"; `bellwire jmap add ann@example.org` finds the server, keeps the password and "
		"writes such\n"
		"; a section.\n"
		";[jmap work]\n\n",
		out);
	sections_print_sample(&jmap_kind, out);
}
