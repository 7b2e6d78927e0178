/* SPDX-License-Identifier: Apache-2.0 */
/* Hashes of what must not be told. */
#include "distributor/jmap/push_device.h"
#include "common/base64url.h"
#include "common/cleanup.h"
#include "common/file.h"
#include "common/log.h"
#include "common/mem.h"
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { PUSH_DEVICE_BYTES = 16, PUSH_MACHINE_MAX = 256 };

/* The first half of SHA-256, in base64url. */
static void push_digest(const void *data, size_t bytes, char out[PUSH_DEVICE_LENGTH + 1]) {
	uint8_t digest[EVP_MAX_MD_SIZE];
	if (EVP_Digest(data, bytes, digest, NULL, EVP_sha256(), NULL) != 1) {
		log_fatal("OpenSSL has no SHA-256");
	}
	out[base64url_encode(out, digest, PUSH_DEVICE_BYTES)] = '\0';
}

/* Fresh; NULL when the system has none (containers, Android). */
static char *push_machine_dup(void) {
	static const char *const paths[] = {"/etc/machine-id", "/var/lib/dbus/machine-id"};
	for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
		char *text = NULL;
		size_t bytes = 0;
		if (file_read(paths[i], PUSH_MACHINE_MAX, &text, &bytes) == 0 && bytes >= 32) {
			return text;
		}
		free(text);
	}
	return NULL;
}

static void push_device_invent(struct push_device *device, const char *saved) {
	uint8_t random[PUSH_DEVICE_BYTES];
	if (saved && strlen(saved) == PUSH_DEVICE_LENGTH) {
		memcpy(device->invented, saved, sizeof device->invented);
		return;
	}
	if (RAND_bytes(random, sizeof random) != 1) {
		log_fatal("OpenSSL has no random numbers");
	}
	device->invented[base64url_encode(device->invented, random, sizeof random)] = '\0';
}

void push_device_init(struct push_device *device, const struct jmap_config *config,
	const char *state_dir, const char *saved) {
	CLEANUP_FREE char *machine = push_machine_dup();
	*device = (struct push_device){.invented = ""};
	if (!machine) {
		push_device_invent(device, saved);
	}
	/* separated by what stands in none of them but the last */
	CLEANUP_FREE char *text =
		mem_printf("bellwire mail\n%s\n%lu\n%s\n%s\n%s", machine ? machine : device->invented,
			(unsigned long)getuid(), config->name, config->user ? config->user : "", state_dir);
	push_digest(text, strlen(text), device->client_id);
}

char *push_bound_dup(const struct registration *registration) {
	uint8_t point[P256_POINT_BYTES] = {0};
	char digest[PUSH_DEVICE_LENGTH + 1];
	(void)(registration->key && p256_point_of(registration->key, point)); /* else there are none */
	CLEANUP_FREE char *key = base64url_print(point, sizeof point);
	CLEANUP_FREE char *auth = base64url_print(registration->auth, sizeof registration->auth);
	CLEANUP_FREE char *text = mem_printf("%s\n%s\n%s\n%s", registration->endpoint,
		registration->vapid_key ? registration->vapid_key : "", key, auth);
	push_digest(text, strlen(text), digest);
	mem_wipe(auth, strlen(auth));
	mem_wipe(text, strlen(text));
	return mem_strdup(digest);
}
