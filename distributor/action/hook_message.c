/* SPDX-License-Identifier: Apache-2.0 */
/* Pushes become bytes for standard input, and variables. */
#include "distributor/action/hook_message.h"
#include "common/autopush.h"
#include "common/base64url.h"
#include "common/mem.h"
#include "common/utf8.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { HOOK_TOPIC_MAX = 32, HOOK_VARIABLES_MAX = 12 };

/* RFC 8030 5.4; a relay might let others through. */
static bool hook_topic_is_good(const char *topic) {
	size_t len = strlen(topic);
	return len <= HOOK_TOPIC_MAX &&
		   strspn(topic, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=") ==
			   len;
}

struct hook_message *hook_message_create(
	const struct message *message, dispatch_done_fn *done, void *done_ctx) {
	struct hook_message *made = mem_zalloc(sizeof *made);
	list_init(&made->link);
	memcpy(made->id, message->id, sizeof made->id);
	made->topic = mem_strdup(hook_topic_is_good(message->topic) ? message->topic : "");
	made->encoding = mem_strdup(message->encoding);
	made->urgency = message->urgency;
	made->received_ms = message->received_ms;
	made->is_decrypted = message_decrypt(message, &made->body, &made->bytes, &made->reason);
	if (!made->is_decrypted) {
		made->body = mem_dup(message->body, message->bytes);
		made->bytes = message->bytes;
	}
	made->done = done;
	made->done_ctx = done_ctx;
	return made;
}

void hook_message_free(struct hook_message *message) {
	list_remove(&message->link);
	free(message->topic);
	free(message->encoding);
	free(message->body);
	free(message);
}

bool hook_message_is_readable(const struct hook_message *message) {
	return message->is_decrypted || message->encoding[0] == '\0';
}

/* ---- standard input ---- */

static int hook_write(int fd, const void *data, size_t bytes) {
	const char *at = data;
	while (bytes > 0) {
		ssize_t written = write(fd, at, bytes);
		if (written < 0 && errno == EINTR) {
			continue;
		}
		if (written <= 0) {
			return written < 0 ? -errno : -EIO;
		}
		at += written;
		bytes -= (size_t)written;
	}
	return 0;
}

static bool hook_is_text(const uint8_t *body, size_t bytes) {
	for (size_t at = 0; at < bytes;) {
		size_t len = utf8_character(body + at, bytes - at);
		if (len == 0) {
			return false;
		}
		at += len;
	}
	return true;
}

static json_t *hook_message_json(const struct hook_message *message) {
	json_t *json = json_pack("{s:s,s:I,s:s,s:b}", "id", message->id, "received",
		(json_int_t)(message->received_ms / 1000), "urgency", urgency_name(message->urgency),
		"decrypted", (int)message->is_decrypted);
	if (message->topic[0]) {
		(void)json_object_set_new(json, "topic", json_string(message->topic));
	}
	if (!message->is_decrypted) {
		(void)json_object_set_new(json, "reason", json_string(message->reason));
		if (message->encoding[0]) { /* left out when it is no text */
			(void)json_object_set_new(json, "encoding", json_string(message->encoding));
		}
	}
	if (hook_is_text(message->body, message->bytes)) {
		(void)json_object_set_new(
			json, "data", json_stringn((const char *)message->body, message->bytes));
	} else {
		char *text = mem_alloc(BASE64URL_LENGTH(message->bytes) + 1);
		text[base64url_encode(text, message->body, message->bytes)] = '\0';
		(void)json_object_set_new(json, "data_base64", json_string(text));
		free(text);
	}
	return json;
}

static int hook_write_line(int fd, const struct hook_message *message) {
	json_t *json = hook_message_json(message);
	char *line = json_dumps(json, JSON_COMPACT);
	int result = line ? hook_write(fd, line, strlen(line)) : -EINVAL;
	free(line);
	json_decref(json);
	return result < 0 ? result : hook_write(fd, "\n", 1);
}

static int hook_write_input(int fd, const struct hook_facts *facts) {
	const struct hook_message *message;
	int result = 0;
	if (facts->config->input == HOOK_INPUT_LAST && !list_is_empty(facts->messages)) {
		message = container_of(facts->messages->prev, struct hook_message, link);
		result = hook_write(fd, message->body, message->bytes);
	} else if (facts->config->input == HOOK_INPUT_LINES) {
		LIST_FOREACH (message, facts->messages, link) {
			result = result < 0 ? result : hook_write_line(fd, message);
		}
	}
	return result;
}

int hook_input_open(const struct hook_facts *facts) {
	int fd = memfd_create("bellwire-hook", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0) {
		return -errno;
	}
	int result = hook_write_input(fd, facts);
	if (result < 0 || lseek(fd, 0, SEEK_SET) < 0) {
		(void)close(fd);
		return result < 0 ? result : -errno;
	}
	/* So that nobody who holds it changes it; without seals it works as well. */
	(void)fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL);
	return fd;
}

/* ---- environment ---- */

char **hook_environment_make(const struct hook_facts *facts) {
	char **all = mem_zalloc((HOOK_VARIABLES_MAX + 1) * sizeof *all);
	size_t count = 0;
	all[count++] = mem_printf("BELLWIRE_HOOK=%s", facts->config->name);
	all[count++] = mem_printf("BELLWIRE_REASON=%s", facts->reason);
	all[count++] = mem_printf("BELLWIRE_MESSAGES=%u", facts->count);
	all[count++] =
		mem_printf("BELLWIRE_INPUT=%s", hook_input_name((enum hook_input)facts->config->input));
	if (list_is_empty(facts->messages)) {
		return all;
	}
	const struct hook_message *newest =
		container_of(facts->messages->prev, struct hook_message, link);
	all[count++] = mem_printf("BELLWIRE_ID=%s", newest->id);
	all[count++] = mem_printf("BELLWIRE_URGENCY=%s", urgency_name(newest->urgency));
	all[count++] = mem_printf("BELLWIRE_RECEIVED=%" PRId64, newest->received_ms / 1000);
	all[count++] = mem_printf("BELLWIRE_DECRYPTED=%d", newest->is_decrypted);
	all[count++] = mem_printf("BELLWIRE_BYTES=%zu", newest->bytes);
	if (newest->topic[0]) {
		all[count++] = mem_printf("BELLWIRE_TOPIC=%s", newest->topic);
	}
	return all;
}

void hook_environment_free(char **environment) {
	for (size_t i = 0; environment && environment[i]; i++) {
		free(environment[i]);
	}
	free(environment);
}
