/* SPDX-License-Identifier: Apache-2.0 */
/* Parses TTL, Urgency, Topic, Encryption and Crypto-Key. */
#include "relay/push/push_headers.h"
#include "common/autopush.h"

enum push_header_result push_ttl_parse(const struct slice *value, size_t count, uint32_t *out_sec) {
	if (!value) {
		return PUSH_HEADER_ABSENT;
	}
	struct slice text = slice_trim(*value);
	if (count != 1 || text.len == 0) {
		return PUSH_HEADER_BAD;
	}
	uint64_t seconds = 0;
	for (size_t i = 0; i < text.len; i++) {
		if (text.data[i] < '0' || text.data[i] > '9') {
			return PUSH_HEADER_BAD;
		}
		seconds = seconds * 10 + (uint64_t)(text.data[i] - '0');
		if (seconds > UINT32_MAX) {
			seconds = UINT32_MAX;
		}
	}
	*out_sec = (uint32_t)seconds;
	return PUSH_HEADER_OK;
}

enum push_header_result push_urgency_parse(
	const struct slice *value, size_t count, enum urgency *out_urgency) {
	*out_urgency = URGENCY_NORMAL;
	if (!value) {
		return PUSH_HEADER_ABSENT;
	}
	if (count != 1 || (value->len > 0 && memchr(value->data, ',', value->len))) {
		return PUSH_HEADER_BAD;
	}
	if (!urgency_parse(slice_trim(*value), out_urgency)) {
		*out_urgency = URGENCY_NORMAL;
	}
	return PUSH_HEADER_OK;
}

static bool push_topic_char(char c) {
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
		   c == '_';
}

enum push_header_result push_topic_parse(
	const struct slice *value, size_t count, struct slice *out_topic) {
	*out_topic = (struct slice){NULL, 0};
	if (!value) {
		return PUSH_HEADER_ABSENT;
	}
	struct slice text = slice_trim(*value);
	if (count != 1 || text.len == 0 || text.len > PUSH_TOPIC_MAX) {
		return PUSH_HEADER_BAD;
	}
	size_t len = text.len;
	while (len > 0 && text.data[len - 1] == '=') {
		len--;
	}
	for (size_t i = 0; i < len; i++) {
		if (!push_topic_char(text.data[i])) {
			return PUSH_HEADER_BAD;
		}
	}
	if (len == 0) {
		return PUSH_HEADER_BAD;
	}
	*out_topic = text;
	return PUSH_HEADER_OK;
}

/* Takes the next parameter off header: text up to ';' or ','. False at the end. */
static bool push_crypto_next(
	struct slice *header, struct slice *out_name, struct slice *out_value) {
	while (header->len > 0) {
		size_t len = 0;
		while (len < header->len && header->data[len] != ';' && header->data[len] != ',') {
			len++;
		}
		struct slice part = slice_trim((struct slice){header->data, len});
		size_t used = len < header->len ? len + 1 : len;
		header->data += used;
		header->len -= used;
		const char *equals = part.len > 0 ? memchr(part.data, '=', part.len) : NULL;
		if (!equals) {
			continue;
		}
		*out_name = slice_trim((struct slice){part.data, (size_t)(equals - part.data)});
		struct slice value =
			slice_trim((struct slice){equals + 1, part.len - (size_t)(equals + 1 - part.data)});
		if (value.len >= 2 && value.data[0] == '"' && value.data[value.len - 1] == '"') {
			value.data++;
			value.len -= 2;
		}
		while (value.len > 0 && value.data[value.len - 1] == '=') {
			value.len--;
		}
		*out_value = value;
		return true;
	}
	return false;
}

bool push_crypto_param(struct slice header, const char *name, struct slice *out_value) {
	struct slice found, value;
	while (push_crypto_next(&header, &found, &value)) {
		if (slice_equals_nocase(found, name)) {
			*out_value = value;
			return true;
		}
	}
	return false;
}

/* Joins the parameters as "name=value;…", those of another key than dh and keyid left out when
 * asked. */
static bool push_crypto_clean(
	struct slice header, bool keys_only, char *out, size_t max, size_t *out_len) {
	struct slice name, value;
	size_t len = 0;
	while (push_crypto_next(&header, &name, &value)) {
		if (keys_only && !slice_equals_nocase(name, "dh") && !slice_equals_nocase(name, "keyid")) {
			continue;
		}
		if (len + 1 + name.len + 1 + value.len > max) {
			return false;
		}
		if (len > 0) {
			out[len++] = ';';
		}
		memcpy(out + len, name.data, name.len);
		len += name.len;
		out[len++] = '=';
		memcpy(out + len, value.data, value.len);
		len += value.len;
	}
	*out_len = len;
	return len > 0;
}

bool push_crypto_key_clean(struct slice header, char *out, size_t max, size_t *out_len) {
	return push_crypto_clean(header, true, out, max, out_len);
}

bool push_encryption_clean(struct slice header, char *out, size_t max, size_t *out_len) {
	return push_crypto_clean(header, false, out, max, out_len);
}
