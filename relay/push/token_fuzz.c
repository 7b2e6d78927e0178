/* SPDX-License-Identifier: Apache-2.0 */
/* Opens any text as a token of either kind and reads it as a key file. */
#include "common/mem.h"
#include "relay/push/token_file.h"
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct token_keys *fuzz_keys(void) {
	char folder[] = "/tmp/bellwire-fuzz.XXXXXX";
	char *made = mkdtemp(folder), *error = NULL;
	assert(made);
	char *path = mem_printf("%s/keys", folder);
	struct token_keys *keys = token_keys_open(path, true, &error);
	assert(keys);
	(void)unlink(path);
	(void)rmdir(folder);
	free(path);
	return keys;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	static struct token_keys *keys;
	keys = keys ? keys : fuzz_keys();
	struct slice text = {(const char *)data, size};
	struct device_id device;
	struct subscription_id subscription;
	struct message_id message;
	bool is_push = token_open_push(keys, text, &device, &subscription);
	bool is_message = token_open_message(keys, text, &device, &message);
	assert(!is_push && !is_message); /* the key is fresh in every run */
	struct token_file file;
	if (token_file_parse(text, &file) == 0) {
		assert(file.count > 0 && file.count <= TOKEN_KEYS_MAX);
	}
	return 0;
}
