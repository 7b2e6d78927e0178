/* SPDX-License-Identifier: Apache-2.0 */
/* The most frequent message of a client, read by hand: a JSON tree of it costs thirty times as
 * much. */
#include "common/autopush_acks.h"

enum { ACKS_CODE_DIGITS_MAX = 9 };

enum acks_member { ACKS_CHANNEL = 1, ACKS_VERSION = 2, ACKS_CODE = 4 };

static bool acks_skip(struct slice *rest, const char *expected, size_t len) {
	if (rest->len < len || memcmp(rest->data, expected, len) != 0) {
		return false;
	}
	rest->data += len;
	rest->len -= len;
	return true;
}

#define ACKS_SKIP(rest, literal) acks_skip(rest, literal, sizeof(literal) - 1)

/* len characters and the quote behind them. */
static bool acks_take_text(struct slice *rest, size_t len, struct slice *out_text) {
	if (rest->len <= len || rest->data[len] != '"') {
		return false;
	}
	*out_text = (struct slice){rest->data, len};
	rest->data += len + 1;
	rest->len -= len + 1;
	return true;
}

/* Its value does not matter, only that it is a number. */
static bool acks_skip_code(struct slice *rest) {
	size_t digits = 0;
	while (digits < rest->len && rest->data[digits] >= '0' && rest->data[digits] <= '9') {
		digits++;
	}
	if (digits == 0 || digits > ACKS_CODE_DIGITS_MAX || rest->data[0] == '0') {
		return false;
	}
	rest->data += digits;
	rest->len -= digits;
	return true;
}

static bool acks_scan_member(struct slice *rest, struct autopush_ack *ack, unsigned *seen) {
	struct slice value;
	enum acks_member member;
	bool is_good;
	if (ACKS_SKIP(rest, "\"channelID\":\"")) {
		member = ACKS_CHANNEL;
		is_good = acks_take_text(rest, AUTOPUSH_CHANNEL_LENGTH, &value) &&
				  autopush_channel_parse(value, &ack->channel);
	} else if (ACKS_SKIP(rest, "\"version\":\"")) {
		member = ACKS_VERSION;
		is_good = acks_take_text(rest, AUTOPUSH_VERSION_LENGTH, &value) &&
				  autopush_version_parse(value, &ack->id);
	} else {
		member = ACKS_CODE;
		is_good = ACKS_SKIP(rest, "\"code\":") && acks_skip_code(rest);
	}
	is_good = is_good && !(*seen & member);
	*seen |= member;
	return is_good;
}

static bool acks_scan_update(struct slice *rest, struct autopush_ack *ack) {
	unsigned seen = 0;
	if (!ACKS_SKIP(rest, "{")) {
		return false;
	}
	do {
		if (!acks_scan_member(rest, ack, &seen)) {
			return false;
		}
	} while (ACKS_SKIP(rest, ","));
	return ACKS_SKIP(rest, "}") && (seen & ACKS_CHANNEL) && (seen & ACKS_VERSION);
}

bool autopush_acks_scan(
	struct slice text, struct autopush_ack *out_acks, size_t max, size_t *out_count) {
	struct slice rest = text;
	size_t count = 0;
	if (!ACKS_SKIP(&rest, "{\"messageType\":\"ack\",\"updates\":[")) {
		return false;
	}
	do {
		if (count == max || !acks_scan_update(&rest, &out_acks[count])) {
			return false;
		}
		count++;
	} while (ACKS_SKIP(&rest, ","));
	if (!ACKS_SKIP(&rest, "]}") || rest.len > 0) {
		return false;
	}
	*out_count = count;
	return true;
}
