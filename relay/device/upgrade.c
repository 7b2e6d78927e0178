/* SPDX-License-Identifier: Apache-2.0 */
/* Checks an upgrade request and takes its connection out of HTTP. */
#include "relay/device/upgrade.h"
#include "common/base64url.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { UPGRADE_KEY_LENGTH = 24, UPGRADE_KEY_BYTES = 16, UPGRADE_BYTES_MAX = 256 * 1024 };

static bool upgrade_names_us(struct slice offered, bool *out_any) {
	while (offered.len > 0) {
		const char *comma = memchr(offered.data, ',', offered.len);
		size_t length = comma ? (size_t)(comma - offered.data) : offered.len;
		struct slice name = slice_trim((struct slice){offered.data, length});
		*out_any |= name.len > 0;
		if (slice_equals(name, "push-notification")) {
			return true;
		}
		size_t used = comma ? length + 1 : length;
		offered = (struct slice){offered.data + used, offered.len - used};
	}
	return false;
}

static bool upgrade_key_is_good(struct slice key) {
	uint8_t bytes[UPGRADE_KEY_BYTES];
	size_t length;
	return key.len == UPGRADE_KEY_LENGTH &&
		   base64url_decode_lenient(key, bytes, sizeof bytes, &length) && length == sizeof bytes;
}

int upgrade_check(const struct http_head *head, struct slice *out_key, bool *out_named) {
	struct slice key = {NULL, 0}, version = {NULL, 0};
	bool any_name = false, named = false;
	for (size_t i = 0; i < head->header_count; i++) {
		const struct http_header *header = &head->headers[i];
		if (slice_equals_nocase(header->name, "sec-websocket-protocol")) {
			named |= upgrade_names_us(header->value, &any_name);
		} else if (slice_equals_nocase(header->name, "sec-websocket-key")) {
			key = header->value;
		} else if (slice_equals_nocase(header->name, "sec-websocket-version")) {
			version = header->value;
		}
	}
	if (!slice_equals(version, "13")) {
		return 426;
	}
	if (!upgrade_key_is_good(key) || (any_name && !named)) {
		return 400;
	}
	*out_key = key;
	*out_named = named;
	return 0;
}

void upgrade_refuse(struct http_request *request, int status) {
	static const struct http_answer_header version[] = {{"Sec-WebSocket-Version", "13"}};
	static const struct http_answer_header soon[] = {{"Retry-After", "5"}};
	/* Others of its address have to go first. */
	static const struct http_answer_header later[] = {{"Retry-After", "30"}};
	struct http_answer answer = {.status = status, .close = true};
	if (status == 426) {
		answer.headers = version;
		answer.header_count = 1;
	} else if (status == 503) {
		answer.headers = soon;
		answer.header_count = 1;
	} else if (status == 429) {
		answer.headers = later;
		answer.header_count = 1;
	}
	http_request_answer(request, &answer);
}

/* libwebsockets gets only what matters: no header of a peer can exceed its tables or reach its own
 * handling of paths. */
static bool upgrade_rewrite(
	struct buffer *out, const char *key, bool named, const char *bytes, size_t count) {
	const char *end = memmem(bytes, count, "\r\n\r\n", 4);
	if (!end) {
		return false;
	}
	size_t head = (size_t)(end - bytes) + 4;
	return buffer_printf(out,
			   "GET / HTTP/1.1\r\nHost: relay\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
			   "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n%s\r\n",
			   key, named ? "Sec-WebSocket-Protocol: push-notification\r\n" : "") &&
		   (count == head || buffer_append(out, bytes + head, count - head));
}

bool upgrade_take(struct http_request *request, int *out_fd, struct buffer *take_head) {
	struct slice found;
	bool named;
	int status = upgrade_check(http_request_head(request), &found, &named);
	if (status != 0) {
		upgrade_refuse(request, status);
		return false;
	}
	char key[UPGRADE_KEY_LENGTH + 1] = "";
	memcpy(key, found.data, UPGRADE_KEY_LENGTH);
	char *bytes;
	size_t count;
	int fd;
	if (!http_request_take_upgrade(request, &fd, &bytes, &count)) {
		return false;
	}
	buffer_init(take_head, UPGRADE_BYTES_MAX);
	bool was_rewritten = upgrade_rewrite(take_head, key, named, bytes, count);
	free(bytes);
	if (!was_rewritten) {
		buffer_finish(take_head);
		(void)close(fd);
		return false;
	}
	*out_fd = fd;
	return true;
}
