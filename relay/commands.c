/* SPDX-License-Identifier: Apache-2.0 */
/* The relay's one-shot commands: keys, invites, a health check, the sample configuration. */
#include "relay/commands.h"
#include "common/cleanup.h"
#include "common/mem.h"
#include "common/url.h"
#include "relay/config.h"
#include "relay/http/listener.h"
#include "relay/ops/invites.h"
#include "relay/push/token.h"
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const char commands_usage[] =
	"bellwire-relay [SETTINGS]\n"
	"       bellwire-relay key add|list [SETTINGS]\n"
	"       bellwire-relay invite add NAME [--devices N] [--messages-per-day N] [SETTINGS]\n"
	"       bellwire-relay invite list [--json] [SETTINGS]\n"
	"       bellwire-relay invite revoke NAME [SETTINGS]\n"
	"       bellwire-relay health [SETTINGS]\n"
	"       bellwire-relay sample-config";

struct command_words {
	const char *words[3]; /* behind the command: verb, name */
	size_t count;
	uint32_t devices, messages_per_day;
	bool as_json;
	struct config config;
};

static int command_usage(void) {
	fprintf(stderr, "usage: %s\n", commands_usage);
	return 2;
}

static bool command_number(const char *flag, const char *text, uint32_t *out) {
	char *end;
	errno = 0;
	unsigned long value = text ? strtoul(text, &end, 10) : 0;
	if (!text || errno != 0 || end == text || *end != '\0' || *text == '-' || value > UINT32_MAX) {
		fprintf(stderr, "%s: must be a number from 0 to 4294967295\n", flag);
		return false;
	}
	*out = (uint32_t)value;
	return true;
}

/* Takes the flags that are no settings off argv. */
static bool command_take_flags(int *argc, char **argv, struct command_words *words) {
	int kept = 0;
	for (int i = 0; i < *argc; i++) {
		uint32_t *number = strcmp(argv[i], "--devices") == 0			? &words->devices
						   : strcmp(argv[i], "--messages-per-day") == 0 ? &words->messages_per_day
																		: NULL;
		if (number) {
			if (!command_number(argv[i], i + 1 < *argc ? argv[i + 1] : NULL, number)) {
				return false;
			}
			i++;
		} else if (strcmp(argv[i], "--json") == 0) {
			words->as_json = true;
		} else {
			argv[kept++] = argv[i];
		}
	}
	*argc = kept;
	return true;
}

/* Reads flags and settings. Only the settings a command needs are checked, by the command. */
static bool command_load(int argc, char **argv, struct command_words *words) {
	enum settings_action action;
	char **rest;
	size_t count;
	if (!command_take_flags(&argc, argv, words) ||
		settings_load(&config_program, argc, argv, &words->config, &action, &rest, &count, stderr) <
			0) {
		return false;
	}
	for (size_t i = 0; i < count && i < 3; i++) {
		words->words[i] = rest[i];
	}
	words->count = count;
	if (action != SETTINGS_RUN || count > 2) {
		(void)command_usage();
		return false;
	}
	return true;
}

static int command_report(int result, const char *error) {
	if (result < 0) {
		fprintf(stderr, "bellwire-relay: %s\n", error ? error : "failed");
		return 1;
	}
	return 0;
}

static int command_key(struct command_words *words) {
	CLEANUP_FREE char *path = mem_printf("%s/keys", words->config.state_dir);
	CLEANUP_FREE char *error = NULL;
	if (words->count != 1) {
		return command_usage();
	}
	if (strcmp(words->words[0], "add") == 0) {
		int result = token_keys_add(path, &error);
		if (result == 0) {
			puts("key added; new push URLs use it once the relay has read it: send SIGHUP");
		}
		return command_report(result, error);
	}
	if (strcmp(words->words[0], "list") == 0) {
		CLEANUP_FREE char *text = NULL;
		int result = token_keys_list(path, &text, &error);
		if (result == 0) {
			fputs(text, stdout);
		}
		return command_report(result, error);
	}
	return command_usage();
}

/* http(s)://… becomes ws(s)://…/i/SECRET, what a person types into a client. */
static char *command_invite_url(const struct config *config, const char *secret) {
	const char *base = config->public_url.items[0];
	size_t len = strlen(base);
	while (len > 0 && base[len - 1] == '/') {
		len--;
	}
	return mem_printf("ws%.*s/i/%s", (int)(len - 4), base + 4, secret);
}

static int command_invite_add(struct command_words *words, const char *path) {
	struct url url;
	const struct settings_list *urls = &words->config.public_url;
	if (urls->count == 0 || !url_parse(slice_of(urls->items[0]), &url) || url.scheme > URL_HTTPS) {
		fprintf(stderr, "bellwire-relay: public_url must be set, the invite's URL is made of it\n");
		return 2;
	}
	char secret[INVITE_SECRET_LENGTH + 1];
	CLEANUP_FREE char *error = NULL;
	int result =
		invites_add(path, words->words[1], words->devices, words->messages_per_day, secret, &error);
	if (result == 0) {
		CLEANUP_FREE char *text = command_invite_url(&words->config, secret);
		if (words->as_json) {
			printf("{\"url\":\"%s\"}\n", text);
		} else {
			printf("%s\n", text);
			if (isatty(STDOUT_FILENO)) {
				invites_print_qr(text, stdout);
			}
			fprintf(
				stderr, "This URL is shown once. Type it into the client as its push server.\n");
		}
	}
	return command_report(result, error);
}

static int command_invite(struct command_words *words) {
	CLEANUP_FREE char *path = mem_printf("%s/invites", words->config.state_dir);
	CLEANUP_FREE char *error = NULL;
	const char *verb = words->count > 0 ? words->words[0] : "";
	if (strcmp(verb, "add") == 0 && words->count == 2) {
		return command_invite_add(words, path);
	}
	if (strcmp(verb, "list") == 0 && words->count == 1) {
		return command_report(invites_list(path, stdout, words->as_json, &error), error);
	}
	if (strcmp(verb, "revoke") == 0 && words->count == 2) {
		int result = invites_revoke(path, words->words[1], &error);
		if (result == 0) {
			puts("revoked; running relays drop its devices within seconds");
		}
		return command_report(result, error);
	}
	return command_usage();
}

/* ---- health: for containers and scripts ---- */

static int command_connect(const struct http_listener_address *address) {
	int fd = socket(address->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const struct timeval limit = {.tv_sec = 5};
	if (fd < 0) {
		return -errno;
	}
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
	if (connect(fd, (const struct sockaddr *)&address->address, address->address_bytes) < 0) {
		int error = -errno;
		(void)close(fd);
		return error;
	}
	return fd;
}

/* Asks the first plain TCP listener. */
static const char *command_health_address(const struct config *config) {
	for (size_t i = 0; i < config->listen.count; i++) {
		const char *text = config->listen.items[i];
		if (strncmp(text, "unix:", 5) != 0 && strncmp(text, "tls:", 4) != 0) {
			return text;
		}
	}
	return config->admin_listen;
}

static int command_health(struct command_words *words) {
	const char *text = command_health_address(&words->config);
	CLEANUP_FREE char *error = NULL;
	struct http_listener_address address;
	if (!text || http_listener_address_parse(text, &address, &error) < 0 || address.is_unix) {
		fprintf(stderr, "bellwire-relay: no plain TCP listener to ask%s%s\n", error ? ": " : "",
			error ? error : "");
		return 2;
	}
	CLEANUP_CLOSE int fd = command_connect(&address);
	http_listener_address_finish(&address);
	if (fd < 0) {
		fprintf(stderr, "bellwire-relay: %s: %s; is the relay running?\n", text, strerror(-fd));
		return 1;
	}
	static const char request[] =
		"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
	char answer[4096];
	size_t bytes = 0;
	if (send(fd, request, sizeof request - 1, MSG_NOSIGNAL) != (ssize_t)(sizeof request - 1)) {
		fprintf(stderr, "bellwire-relay: %s: %s\n", text, strerror(errno));
		return 1;
	}
	for (ssize_t n; bytes < sizeof answer - 1 &&
					(n = recv(fd, answer + bytes, sizeof answer - 1 - bytes, 0)) > 0;) {
		bytes += (size_t)n;
	}
	answer[bytes] = '\0';
	const char *body = strstr(answer, "\r\n\r\n");
	if (body) {
		puts(body + 4);
	}
	return strncmp(answer, "HTTP/1.1 200", 12) == 0 ? 0 : 1;
}

static int command_sample_config(struct command_words *words) {
	(void)words;
	settings_print_sample(&config_program, stdout);
	return 0;
}

static const struct command {
	const char *name;
	int (*run)(struct command_words *words);
} commands[] = {
	{"key", command_key},
	{"invite", command_invite},
	{"health", command_health},
	{"sample-config", command_sample_config},
};

static const struct command *command_find(const char *name) {
	for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
		if (strcmp(commands[i].name, name) == 0) {
			return &commands[i];
		}
	}
	return NULL;
}

_Bool commands_has(const char *name) {
	return command_find(name) != NULL;
}

int commands_run(int argc, char **argv) {
	struct command_words words = {0};
	int status = 2;
	if (command_load(argc - 1, argv + 1, &words)) {
		const struct command *command = command_find(argv[1]);
		status = command ? command->run(&words) : command_usage();
	}
	settings_free(&config_program, &words.config);
	return status;
}
