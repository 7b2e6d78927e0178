/* SPDX-License-Identifier: Apache-2.0 */
/* Keeps a listener's identity in a file. */
#include "distributor/ctl/listen_state.h"
#include "common/autopush.h"
#include "common/base64url.h"
#include "common/cleanup.h"
#include "common/file.h"
#include "common/json.h"
#include "common/log.h"
#include "common/mem.h"
#include <errno.h>
#include <fcntl.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>

enum { LISTEN_STATE_MAX_BYTES = 65536, LISTEN_STATE_HASH_BYTES = 4 };

char *listen_state_default_path(const struct url *relay) {
	const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
	CLEANUP_FREE char *folder = NULL;
	if (state && state[0] == '/') {
		folder = mem_strdup(state);
	} else if (home && home[0] == '/') {
		folder = mem_printf("%s/.local/state", home);
	} else {
		return NULL;
	}
	char hash_text[2 * LISTEN_STATE_HASH_BYTES + 2] = "";
	if (relay->path.len > 1 || relay->query.len > 0) {
		/* an invitation is a secret: its hash goes into the name */
		uint8_t hash[EVP_MAX_MD_SIZE];
		CLEANUP_FREE char *rest = mem_printf("%.*s?%.*s", (int)relay->path.len, relay->path.data,
			(int)relay->query.len, relay->query.len > 0 ? relay->query.data : "");
		if (EVP_Digest(rest, strlen(rest), hash, NULL, EVP_sha256(), NULL) != 1) {
			log_fatal("OpenSSL has no SHA-256");
		}
		(void)snprintf(
			hash_text, sizeof hash_text, "-%02x%02x%02x%02x", hash[0], hash[1], hash[2], hash[3]);
	}
	return mem_printf(
		"%s/bellwire/listen-%s-%u%s.json", folder, relay->host, relay->port, hash_text);
}

static void listen_state_random(void *out, size_t bytes) {
	if (RAND_bytes(out, (int)bytes) != 1) {
		log_fatal("OpenSSL has no randomness");
	}
}

char *listen_state_renew_channel(struct listen_state *state) {
	struct channel_id channel;
	char text[AUTOPUSH_CHANNEL_LENGTH + 1];
	listen_state_random(channel.bytes, sizeof channel.bytes);
	channel.bytes[6] = (uint8_t)((channel.bytes[6] & 0x0f) | 0x40); /* a UUID of version 4 */
	channel.bytes[8] = (uint8_t)((channel.bytes[8] & 0x3f) | 0x80);
	autopush_channel_print(channel, text);
	char *old = state->channel;
	state->channel = mem_strdup(text);
	free(state->endpoint);
	state->endpoint = NULL;
	EVP_PKEY_free(state->key);
	state->key = p256_generate();
	if (!state->key) {
		log_fatal("OpenSSL cannot make a key");
	}
	listen_state_random(state->auth, sizeof state->auth);
	return old;
}

static bool listen_state_bytes(const json_t *json, const char *key, uint8_t *out, size_t bytes) {
	struct slice text;
	size_t got = 0;
	return json_get_string(json, key, &text) == JSON_PRESENT &&
		   base64url_decode(text, out, bytes, &got) && got == bytes;
}

/* The same host and port; an invitation may be another one. */
static bool listen_state_is_same_relay(const char *one, const char *other) {
	struct url a, b;
	return url_parse(slice_of(one), &a) && url_parse(slice_of(other), &b) &&
		   strcmp(a.host, b.host) == 0 && a.port == b.port;
}

/* *out_relay: whose state it is, or NULL. */
static bool listen_state_parse(struct listen_state *state, struct slice text, char **out_relay) {
	json_t *json = json_parse(text);
	struct channel_id channel;
	uint8_t secret[P256_SECRET_BYTES];
	bool ok = json_is_object(json);
	if (ok) {
		state->uaid = json_get_string_dup(json, "uaid");
		state->endpoint = json_get_string_dup(json, "endpoint");
		state->vapid_key = json_get_string_dup(json, "vapid_key");
		state->channel = json_get_string_dup(json, "channel");
		*out_relay = json_get_string_dup(json, "relay");
		ok = listen_state_bytes(json, "secret", secret, sizeof secret) &&
			 listen_state_bytes(json, "auth", state->auth, sizeof state->auth) && state->channel &&
			 autopush_channel_parse(slice_of(state->channel), &channel);
	}
	json_decref(json);
	if (ok) {
		state->key = p256_from_secret(secret);
		mem_wipe(secret, sizeof secret);
	}
	return ok && state->key;
}

static int listen_state_read(struct listen_state *state, char **out_error) {
	char *text = NULL;
	size_t bytes = 0;
	int result = file_read_secret(state->path, LISTEN_STATE_MAX_BYTES, &text, &bytes);
	if (result == -ENOENT) {
		free(listen_state_renew_channel(state));
		return 0;
	}
	if (result == -EACCES) {
		*out_error = mem_printf(
			"%s cannot be read, or is open to other users; it holds secrets, so run: chmod 600 %s",
			state->path, state->path);
		return result;
	}
	if (result < 0) {
		*out_error = mem_printf("%s: %s", state->path, strerror(-result));
		return result;
	}
	CLEANUP_FREE char *relay = NULL;
	bool ok = listen_state_parse(state, (struct slice){text, bytes}, &relay);
	mem_wipe(text, bytes);
	free(text);
	if (!ok) {
		*out_error = mem_printf("%s is no state of bellwire listen; remove it to start afresh, or "
								"name another with --state",
			state->path);
		return -EINVAL;
	}
	if (relay && !listen_state_is_same_relay(relay, state->relay)) {
		/* It holds a secret of that relay, which is not for this one to see. */
		*out_error =
			mem_printf("%s is the state for another relay, %s; name another file with "
					   "--state, or, if that relay has moved, change \"relay\" in the file",
				state->path, relay);
		return -EXDEV;
	}
	return 0;
}

static int listen_state_lock(struct listen_state *state, char **out_error) {
	CLEANUP_FREE char *path = mem_printf("%s.lock", state->path);
	state->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (state->lock < 0) {
		int error = errno;
		*out_error = mem_printf("%s: %s", path, strerror(error));
		return -error;
	}
	if (flock(state->lock, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK) {
		*out_error = mem_printf("another listener uses %s", state->path);
		return -EBUSY;
	}
	return 0;
}

int listen_state_open(
	struct listen_state *state, const char *path, const char *relay, char **out_error) {
	*state = (struct listen_state){.lock = -1};
	state->path = mem_strdup(path);
	state->relay = mem_strdup(relay);
	int result = file_make_folders(path);
	if (result < 0) {
		*out_error = mem_printf("the folder of %s cannot be made: %s", path, strerror(-result));
	}
	result = result == 0 ? listen_state_lock(state, out_error) : result;
	result = result == 0 ? listen_state_read(state, out_error) : result;
	if (result < 0) {
		listen_state_close(state);
	}
	return result;
}

void listen_state_open_unkept(struct listen_state *state, const char *relay) {
	*state = (struct listen_state){.lock = -1, .relay = mem_strdup(relay)};
	free(listen_state_renew_channel(state));
}

void listen_state_close(struct listen_state *state) {
	cleanup_close_p(&state->lock);
	EVP_PKEY_free(state->key);
	free(state->path);
	free(state->relay);
	free(state->uaid);
	free(state->endpoint);
	free(state->vapid_key);
	free(state->channel);
	mem_wipe(state, sizeof *state);
	state->lock = -1;
}

int listen_state_save(const struct listen_state *state) {
	uint8_t secret[P256_SECRET_BYTES];
	if (!state->path) {
		return 0;
	}
	if (!p256_secret_of(state->key, secret)) {
		log_fatal("OpenSSL cannot tell the private key");
	}
	CLEANUP_FREE char *secret_text = base64url_print(secret, sizeof secret);
	CLEANUP_FREE char *auth_text = base64url_print(state->auth, sizeof state->auth);
	json_t *json = json_pack("{s:s,s:s?,s:s,s:s?,s:s?,s:s,s:s}", "relay", state->relay, "uaid",
		state->uaid, "channel", state->channel, "endpoint", state->endpoint, "vapid_key",
		state->vapid_key, "secret", secret_text, "auth", auth_text);
	CLEANUP_FREE char *text = json ? json_dumps(json, JSON_INDENT(2)) : NULL;
	json_decref(json);
	int result = text ? file_replace(state->path, text, strlen(text), 0600) : -EILSEQ;
	mem_wipe(secret, sizeof secret);
	mem_wipe(secret_text, strlen(secret_text));
	if (text) {
		mem_wipe(text, strlen(text));
	}
	return result;
}
