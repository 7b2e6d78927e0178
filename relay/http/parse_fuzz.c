/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a request head, and behind its first byte as a chunked body fed in two pieces. */
#include "common/mem.h"
#include "relay/http/parse.h"
#include <assert.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_head(struct slice text) {
	struct http_head head;
	size_t scanned = 0, bytes = 0;
	if (http_parse_head(text, &scanned, &head, &bytes) != HTTP_PARSE_OK) {
		return;
	}
	assert(bytes <= text.len && head.header_count <= HTTP_HEADERS_MAX);
	assert(!(head.is_chunked && head.has_content_length));
	/* Dripped byte by byte it must be read the same. */
	struct http_head again;
	size_t drip = 0, end = 0;
	enum http_parse_result result = HTTP_PARSE_MORE;
	for (size_t len = 1; len <= text.len && result == HTTP_PARSE_MORE; len++) {
		result = http_parse_head((struct slice){text.data, len}, &drip, &again, &end);
	}
	assert(result == HTTP_PARSE_OK && end == bytes && again.header_count == head.header_count);
}

static void fuzz_chunks(const uint8_t *data, size_t size) {
	if (size == 0) {
		return;
	}
	size_t cut = data[0] % size;
	char *copy = mem_dup(data + 1, size - 1);
	struct http_chunks chunks;
	http_chunks_init(&chunks);
	size_t payload, used;
	size_t first = cut < size - 1 ? cut : size - 1;
	if (http_chunks_feed(&chunks, copy, first, &payload, &used) == HTTP_PARSE_MORE) {
		assert(used == first && payload <= first);
		(void)http_chunks_feed(&chunks, copy + first, size - 1 - first, &payload, &used);
		assert(payload <= used && used <= size - 1 - first);
	}
	free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	fuzz_head((struct slice){(const char *)data, size});
	fuzz_chunks(data, size);
	return 0;
}
