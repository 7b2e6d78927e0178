/* SPDX-License-Identifier: Apache-2.0 */
/* The same bytes as a whole and in pieces make the same events. */
#include "distributor/jmap/event_parser.h"
#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Enough to tell one row of events from another. */
struct digest {
	uint64_t value;
	uint32_t count;
};

static void digest_add(struct digest *digest, struct slice text) {
	for (size_t i = 0; i < text.len; i++) {
		digest->value = (digest->value ^ (uint8_t)text.data[i]) * 0x100000001b3;
	}
	digest->value = (digest->value ^ 0x1ff) * 0x100000001b3;
}

static void note(const struct event *event, void *ctx) {
	struct digest *digest = ctx;
	assert(event->name.len > 0 && event->data.len < EVENT_DATA_MAX);
	digest_add(digest, event->name);
	digest_add(digest, event->data);
	digest_add(digest, event->id);
	digest->count++;
}

static struct digest run(const uint8_t *data, size_t size, size_t step) {
	struct digest digest = {.value = 0xcbf29ce484222325};
	struct event_parser *parser = event_parser_create(note, &digest);
	bool fits = true;
	for (size_t at = 0; fits && at < size; at += step) {
		size_t len = size - at < step ? size - at : step;
		fits = event_parser_feed(parser, (struct slice){(const char *)data + at, len});
	}
	digest_add(&digest, slice_of(event_parser_last_id(parser)));
	assert(event_parser_retry_ms(parser) >= -1);
	digest.count += fits ? 0 : 1u << 31;
	event_parser_destroy(parser);
	return digest;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	struct digest whole = run(data, size, size + 1);
	for (size_t step = 1; step <= 3; step++) {
		struct digest pieces = run(data, size, step);
		assert(pieces.value == whole.value && pieces.count == whole.count);
	}
	return 0;
}
