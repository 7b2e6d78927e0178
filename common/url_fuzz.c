/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzzes url_parse: an origin made from what was taken is a URL of the same place. */
#include "common/url.h"
#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	struct url url, again;
	if (!url_parse((struct slice){(const char *)data, size}, &url)) {
		return 0;
	}
	char origin[URL_ORIGIN_MAX];
	url_origin_print(&url, origin);
	assert(url_parse(slice_of(origin), &again));
	assert(strcmp(url.host, again.host) == 0 && url.port == again.port);
	assert(url_is_secure(&url) == url_is_secure(&again));
	assert(url_is_loopback(&url) == url_is_loopback(&again));
	assert(url.path.len > 0 && url.path.data[0] == '/');
	return 0;
}
