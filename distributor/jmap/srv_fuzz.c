/* SPDX-License-Identifier: Apache-2.0 */
/* A DNS answer of anybody. */
#include "distributor/jmap/srv.h"
#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	struct srv_result result;
	srv_read((struct slice){(const char *)data, size}, &result);
	assert(result.is_found == (result.host[0] != '\0'));
	assert(result.is_found == (result.port != 0));
	return 0;
}
