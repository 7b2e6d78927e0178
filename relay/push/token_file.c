/* SPDX-License-Identifier: Apache-2.0 */
/* Reads and writes the file that holds the keys of push URLs; the commands `key add|list`. */
#include "relay/push/token_file.h"
#include "common/base64url.h"
#include "common/buffer.h"
#include "common/cleanup.h"
#include "common/file.h"
#include "common/log.h"
#include "common/mem.h"
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

enum {
	TOKEN_FILE_MAX_BYTES = 16384,
	TOKEN_FILE_CREATED_DIGITS = 15,
	TOKEN_FILE_FINGERPRINT_BYTES = 4,
};

static const char token_file_header[] = "bellwire-keys 1";

/* Takes the text up to stop off rest, and stop too. */
static struct slice token_file_cut(struct slice *rest, char stop) {
	const char *end = rest->len > 0 ? memchr(rest->data, stop, rest->len) : NULL;
	size_t len = end ? (size_t)(end - rest->data) : rest->len;
	struct slice part = {rest->data, len};
	size_t used = end ? len + 1 : len;
	*rest = (struct slice){rest->data ? rest->data + used : NULL, rest->len - used};
	return part;
}

static bool token_file_number(struct slice text, int64_t max, int64_t *out) {
	int64_t number = 0;
	if (text.len == 0 || text.len > TOKEN_FILE_CREATED_DIGITS) {
		return false;
	}
	for (size_t i = 0; i < text.len; i++) {
		if (text.data[i] < '0' || text.data[i] > '9') {
			return false;
		}
		number = number * 10 + (text.data[i] - '0');
	}
	*out = number;
	return number <= max;
}

static bool token_file_parse_key(struct slice line, struct token_file_key *out_key) {
	struct slice number = token_file_cut(&line, ' '), created = token_file_cut(&line, ' ');
	int64_t value = 0;
	size_t bytes = 0;
	if (!token_file_number(number, UINT8_MAX, &value) ||
		!token_file_number(created, INT64_MAX, &out_key->created_sec) ||
		!base64url_decode(line, out_key->secret, sizeof out_key->secret, &bytes)) {
		return false;
	}
	out_key->number = (uint8_t)value;
	return bytes == sizeof out_key->secret;
}

static bool token_file_has(const struct token_file *file, uint8_t number) {
	for (size_t i = 0; i < file->count; i++) {
		if (file->keys[i].number == number) {
			return true;
		}
	}
	return false;
}

size_t token_file_parse(struct slice text, struct token_file *out_file) {
	out_file->count = 0;
	if (!slice_equals(token_file_cut(&text, '\n'), token_file_header)) {
		return 1;
	}
	size_t line = 1;
	while (text.len > 0) {
		line++;
		struct token_file_key key;
		if (out_file->count == TOKEN_KEYS_MAX ||
			!token_file_parse_key(token_file_cut(&text, '\n'), &key) ||
			token_file_has(out_file, key.number)) {
			return line;
		}
		out_file->keys[out_file->count++] = key;
		mem_wipe(&key, sizeof key);
	}
	return out_file->count > 0 ? 0 : line + 1;
}

/* Why a file that must be secret was refused, and the cure. */
static char *token_file_explain(const char *path, int error) {
	struct stat status;
	if (error == -EACCES && stat(path, &status) == 0) {
		if ((status.st_mode & 077) != 0) {
			return mem_printf("key file %s is open to other users (mode %04o); run: chmod 600 %s",
				path, status.st_mode & 07777, path);
		}
		if (status.st_uid != geteuid() && status.st_uid != 0) {
			return mem_printf("key file %s belongs to user %u, not to this one (%u) or root", path,
				(unsigned)status.st_uid, (unsigned)geteuid());
		}
	}
	return mem_printf("key file %s cannot be read: %s", path, strerror(-error));
}

static int token_file_read(const char *path, struct token_file *out_file, char **out_error) {
	char *text = NULL;
	size_t bytes = 0;
	int result = file_read_secret(path, TOKEN_FILE_MAX_BYTES, &text, &bytes);
	if (result < 0) {
		*out_error = token_file_explain(path, result);
		return result;
	}
	size_t line = token_file_parse((struct slice){text, bytes}, out_file);
	mem_wipe(text, bytes);
	free(text);
	if (line > 0) {
		mem_wipe(out_file, sizeof *out_file);
		*out_error = mem_printf("key file %s, line %zu: expected %s; restore the file from a "
								"backup, for push URLs open only with its keys",
			path, line,
			line == 1 ? "the header \"bellwire-keys 1\""
					  : "`NUMBER CREATED KEY` with a new number (0-255) and 64 bytes of base64url");
		return -EINVAL;
	}
	return 0;
}

static int token_file_write(const char *path, const struct token_file *file, char **out_error) {
	struct buffer text;
	buffer_init(&text, TOKEN_FILE_MAX_BYTES);
	bool ok = buffer_printf(&text, "%s\n", token_file_header);
	for (size_t i = 0; i < file->count; i++) {
		char secret[BASE64URL_LENGTH(TOKEN_KEY_BYTES) + 1];
		secret[base64url_encode(secret, file->keys[i].secret, TOKEN_KEY_BYTES)] = '\0';
		ok = ok && buffer_printf(&text, "%u %" PRId64 " %s\n", file->keys[i].number,
					   file->keys[i].created_sec, secret);
		mem_wipe(secret, sizeof secret);
	}
	assert(ok); /* the limit holds TOKEN_KEYS_MAX lines */
	int result = file_replace(path, buffer_begin(&text), buffer_length(&text), 0600);
	if (result < 0) {
		*out_error = mem_printf("key file %s cannot be written: %s", path, strerror(-result));
	}
	mem_wipe(buffer_begin(&text), buffer_length(&text));
	buffer_finish(&text);
	return result;
}

/* Keeps two starting relays from making two files. The lock is on the folder, so that nothing stays
 * behind; where a file system has none we go on without. */
static int token_file_lock(const char *path) {
	const char *slash = strrchr(path, '/');
	CLEANUP_FREE char *folder =
		slash ? mem_strndup(path, slash > path ? (size_t)(slash - path) : 1) : mem_strdup(".");
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0) {
		(void)flock(fd, LOCK_EX);
	}
	return fd;
}

/* Appends a fresh key with the next free number. */
static void token_file_append(struct token_file *file) {
	assert(file->count < TOKEN_KEYS_MAX);
	uint8_t number = file->count > 0 ? (uint8_t)(file->keys[file->count - 1].number + 1) : 1;
	while (token_file_has(file, number)) {
		number++;
	}
	struct token_file_key *key = &file->keys[file->count++];
	key->number = number;
	key->created_sec = (int64_t)time(NULL);
	if (RAND_priv_bytes(key->secret, sizeof key->secret) != 1) {
		log_fatal("OpenSSL has no randomness");
	}
}

int token_file_open(const char *path, bool create, struct token_file *out_file, char **out_error) {
	CLEANUP_CLOSE int lock = create ? token_file_lock(path) : -1;
	(void)lock; /* held to the end of the scope */
	CLEANUP_FREE char *error = NULL;
	int result = token_file_read(path, out_file, &error);
	if (result == -ENOENT && create) {
		out_file->count = 0;
		token_file_append(out_file);
		return token_file_write(path, out_file, out_error);
	}
	if (result < 0) {
		*out_error = steal(&error);
	}
	return result;
}

int token_keys_add(const char *path, char **out_error) {
	CLEANUP_CLOSE int lock = token_file_lock(path);
	(void)lock; /* held to the end of the scope */
	struct token_file file;
	int result = token_file_read(path, &file, out_error);
	if (result < 0) {
		return result;
	}
	if (file.count == TOKEN_KEYS_MAX) {
		*out_error = mem_printf("key file %s holds %d keys already; take out one whose push URLs "
								"are no longer in use",
			path, TOKEN_KEYS_MAX);
		result = -ENOSPC;
	} else {
		token_file_append(&file);
		result = token_file_write(path, &file, out_error);
	}
	mem_wipe(&file, sizeof file);
	return result;
}

/* "1  2026-01-31T12:00:00Z  3f9c2a1b" */
static bool token_file_print_key(struct buffer *text, const struct token_file_key *key) {
	uint8_t hash[EVP_MAX_MD_SIZE];
	struct tm tm;
	char when[32] = "?", fingerprint[2 * TOKEN_FILE_FINGERPRINT_BYTES + 1] = "";
	time_t created = (time_t)key->created_sec;
	if (gmtime_r(&created, &tm)) {
		(void)strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", &tm);
	}
	if (EVP_Digest(key->secret, sizeof key->secret, hash, NULL, EVP_sha256(), NULL) != 1) {
		log_fatal("OpenSSL has no SHA-256");
	}
	for (size_t i = 0; i < TOKEN_FILE_FINGERPRINT_BYTES; i++) {
		(void)snprintf(fingerprint + 2 * i, 3, "%02x", hash[i]);
	}
	return buffer_printf(text, "%u  %s  %s", key->number, when, fingerprint);
}

int token_keys_list(const char *path, char **out_text, char **out_error) {
	struct token_file file;
	int result = token_file_read(path, &file, out_error);
	if (result < 0) {
		return result;
	}
	struct buffer text;
	buffer_init(&text, TOKEN_FILE_MAX_BYTES);
	bool ok = true;
	for (size_t i = 0; i < file.count; i++) {
		ok = ok && token_file_print_key(&text, &file.keys[i]) &&
			 buffer_printf(&text, "%s\n", i + 1 == file.count ? "  makes new push URLs" : "");
	}
	assert(ok);
	*out_text = mem_strndup(buffer_begin(&text), buffer_length(&text));
	buffer_finish(&text);
	mem_wipe(&file, sizeof file);
	return 0;
}
