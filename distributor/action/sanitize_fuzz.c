/* SPDX-License-Identifier: Apache-2.0 */
/* Whatever goes in, what comes out is UTF-8 without control characters, and no longer than asked
 * for. */
#include "common/utf8.h"
#include "distributor/action/sanitize.h"
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	if (size < 2) {
		return 0;
	}
	size_t most = data[1];
	char *shown = sanitize_dup((struct slice){(const char *)data + 2, size - 2}, most, data[0] & 3);
	size_t len = strlen(shown);
	if (len > most * 6 + 3) {
		abort();
	}
	for (size_t at = 0; at < len;) {
		size_t step = utf8_character((const uint8_t *)shown + at, len - at);
		unsigned char c = (unsigned char)shown[at];
		if (step == 0 || (c < ' ' && c != '\n') || c == 0x7f || (c == '\n' && data[0] & 1) ||
			((c == '<' || c == '>') && data[0] & 2)) {
			abort();
		}
		at += step;
	}
	free(shown);
	return 0;
}
