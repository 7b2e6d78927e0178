/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzzes redis_url_parse: what is taken is whole, and log lines never show the password. */
#include "common/mem.h"
#include "storage/redis_url.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	char *text = mem_strndup((const char *)data, size);
	struct redis_url url;
	const char *refusal = redis_url_parse(text, &url);
	if (refusal) {
		assert(refusal[0] != '\0');
		free(text);
		return 0;
	}
	assert((url.host != NULL) != (url.path != NULL));
	assert(!url.host || (url.host[0] != '\0' && url.port > 0));
	assert(!url.path || (url.path[0] == '/' && !url.is_tls));
	assert(!url.user || url.password);
	char *place = redis_url_place_print(&url);
	assert(strstr(text, url.host ? url.host : "/"));
	assert(place[0] != '\0' && strlen(place) <= strlen(text) + 6);
	free(place);
	redis_url_finish(&url);
	free(text);
	return 0;
}
