/* SPDX-License-Identifier: Apache-2.0 */
/* What a server pushed, after its decryption. */
#include "distributor/jmap/push_object.h"
#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_changes(json_t *changed) {
	const char *account, *type;
	json_t *states, *state;
	assert(json_object_size(changed) <= PUSH_OBJECT_ACCOUNTS_MAX);
	json_object_foreach(changed, account, states) {
		assert(strlen(account) <= PUSH_OBJECT_ID_MAX);
		assert(json_object_size(states) <= PUSH_OBJECT_TYPES_MAX);
		json_object_foreach(states, type, state) {
			assert(strlen(type) <= PUSH_OBJECT_ID_MAX);
			assert(strlen(json_string_value(state)) == json_string_length(state));
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	struct push_object object;
	push_object_parse((struct slice){(const char *)data, size}, &object);
	assert(!object.was_encrypted);
	assert((object.kind == PUSH_OBJECT_UNREADABLE) == (object.reason[0] != '\0'));
	assert((object.kind == PUSH_OBJECT_STATE_CHANGE) == (object.changed != NULL));
	assert((object.kind == PUSH_OBJECT_VERIFICATION) == (object.code && object.subscription_id));
	assert((object.kind == PUSH_OBJECT_ALERT) == (object.account_id != NULL));
	check_changes(object.changed);
	push_object_finish(&object);
	return 0;
}
