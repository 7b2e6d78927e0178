/* SPDX-License-Identifier: Apache-2.0 */
/* A line, checked and wiped. */
#include "distributor/jmap/secret_text.h"
#include "common/mem.h"
#include <stdlib.h>

static bool secret_is_text(struct slice line) {
	for (size_t i = 0; i < line.len; i++) {
		unsigned char c = (unsigned char)line.data[i];
		if (c < ' ' || c == 0x7f) {
			return false; /* it could end a header's line */
		}
	}
	return line.len > 0 && line.len <= SECRET_MAX;
}

char *secret_line_dup(struct slice bytes) {
	const char *end = bytes.len > 0 ? memchr(bytes.data, '\n', bytes.len) : NULL;
	struct slice line = {bytes.data, end ? (size_t)(end - bytes.data) : bytes.len};
	if (line.len > 0 && line.data[line.len - 1] == '\r') {
		line.len--;
	}
	return secret_is_text(line) ? mem_strndup(line.data, line.len) : NULL;
}

void secret_free(char *secret) {
	if (secret) {
		mem_wipe(secret, strlen(secret));
		free(secret);
	}
}
