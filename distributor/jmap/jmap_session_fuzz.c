/* SPDX-License-Identifier: Apache-2.0 */
/* A session object of a server. */
#include "distributor/jmap/jmap_session.h"
#include <assert.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	char *error = NULL;
	struct jmap_session *session = jmap_session_parse(
		(struct slice){(const char *)data, size}, "https://mail.example/jmap", &error);
	assert((session == NULL) == (error != NULL));
	if (session) {
		assert(session->api_url[0] && session->event_source_url && session->state && session->user);
		assert(session->max_calls > 0 && session->max_objects_get > 0);
		for (size_t i = 0; i < session->accounts_count; i++) {
			assert(session->accounts[i].id && session->accounts[i].name);
		}
	}
	jmap_session_free(session);
	free(error);
	return 0;
}
