/* SPDX-License-Identifier: Apache-2.0 */
/* The list of invites: a JSON file shared between the command line and running relays. */
#include "relay/ops/invites.h"
#include "common/base64url.h"
#include "common/cleanup.h"
#include "common/file.h"
#include "common/hashmap.h"
#include "common/json.h"
#include "common/log.h"
#include "common/mem.h"
#include <errno.h>
#include <fcntl.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <qrencode.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

enum { INVITES_FILE_MAX = 32 << 20, INVITE_SECRET_BYTES = 16, INVITE_NAME_MAX = 100 };

struct invite {
	uint8_t hash[SHA256_DIGEST_LENGTH]; /* of the secret's text; its first 16 bytes are the id */
	uint32_t devices, messages_per_day;
	bool is_revoked, was_told;
};

struct invites {
	char *path;
	invites_revoked_fn *on_revoked;
	void *ctx;
	struct hashmap *by_hash; /* owns its struct invite */
	struct timespec read_at; /* the file's time of change when read */
	off_t read_size;
};

static void invites_clear(struct hashmap *map) {
	struct invite *invite;
	for (size_t at = 0; map && (invite = hashmap_next(map, &at));) {
		free(invite);
	}
	hashmap_destroy(map);
}

/* ---- the file ---- */

/* An absent file is an empty list. */
static json_t *invites_read(const char *path, char **out_error) {
	CLEANUP_FREE char *text = NULL;
	size_t bytes;
	int result = file_read_secret(path, INVITES_FILE_MAX, &text, &bytes);
	if (result == -ENOENT) {
		return json_array();
	}
	if (result == -EACCES) {
		*out_error = mem_printf("%s: must be readable by its owner only; chmod 600 %s", path, path);
		return NULL;
	}
	if (result < 0) {
		*out_error = mem_printf("%s: %s", path, strerror(-result));
		return NULL;
	}
	json_t *list = json_parse((struct slice){text, bytes});
	if (!json_is_array(list) || json_array_size(list) > INVITES_MAX) {
		json_decref(list);
		*out_error = mem_printf("%s: is not a list of invites; restore it from a backup", path);
		return NULL;
	}
	return list;
}

static int invites_write(const char *path, const json_t *list, char **out_error) {
	CLEANUP_FREE char *text = json_dumps(list, JSON_INDENT(1));
	int result = text ? file_replace(path, text, strlen(text), 0600) : -ENOMEM;
	if (result < 0) {
		*out_error = mem_printf("%s: %s", path, strerror(-result));
		return -1;
	}
	return 0;
}

/* Serialises writers; the lock ends with the descriptor. */
static int invites_lock(const char *path, char **out_error) {
	CLEANUP_FREE char *lock = mem_printf("%s.lock", path);
	int fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || flock(fd, LOCK_EX) < 0) {
		*out_error = mem_printf("%s: %s", lock, strerror(errno));
		if (fd >= 0) {
			(void)close(fd);
		}
		return -1;
	}
	return fd;
}

static json_t *invites_named(const json_t *list, const char *name) {
	size_t i;
	json_t *item;
	json_array_foreach(list, i, item) {
		struct slice found;
		if (json_get_string(item, "name", &found) == JSON_PRESENT && slice_equals(found, name)) {
			return item;
		}
	}
	return NULL;
}

/* ---- a running relay ---- */

static struct invite *invite_from_json(const json_t *item) {
	struct slice hash;
	size_t bytes;
	int64_t devices = 0, messages = 0;
	bool is_revoked = false;
	struct invite *invite = mem_zalloc(sizeof *invite);
	if (json_get_string(item, "hash", &hash) != JSON_PRESENT ||
		!base64url_decode(hash, invite->hash, sizeof invite->hash, &bytes) ||
		bytes != sizeof invite->hash ||
		json_get_integer(item, "devices", &devices) == JSON_WRONG_TYPE || devices < 0 ||
		devices > UINT32_MAX ||
		json_get_integer(item, "messages_per_day", &messages) == JSON_WRONG_TYPE || messages < 0 ||
		messages > UINT32_MAX || json_get_bool(item, "revoked", &is_revoked) == JSON_WRONG_TYPE) {
		free(invite);
		return NULL;
	}
	invite->devices = (uint32_t)devices;
	invite->messages_per_day = (uint32_t)messages;
	invite->is_revoked = is_revoked;
	return invite;
}

static struct invite_id invite_id_of(const struct invite *invite) {
	struct invite_id id;
	memcpy(id.bytes, invite->hash, sizeof id.bytes);
	return id;
}

static struct hashmap *invites_map(const json_t *list, const char *path, char **out_error) {
	struct hashmap *map = hashmap_create(offsetof(struct invite, hash), SHA256_DIGEST_LENGTH);
	size_t i;
	json_t *item;
	json_array_foreach(list, i, item) {
		struct invite *invite = invite_from_json(item);
		if (!invite) {
			invites_clear(map);
			*out_error = mem_printf("%s: invite %zu is malformed; restore the file", path, i + 1);
			return NULL;
		}
		free(hashmap_put(map, invite));
	}
	return map;
}

static void invites_tell_revoked(struct invites *invites) {
	struct invite *invite;
	for (size_t at = 0; (invite = hashmap_next(invites->by_hash, &at));) {
		if (invite->is_revoked && !invite->was_told) {
			invite->was_told = true;
			invites->on_revoked(invite_id_of(invite), invites->ctx);
		}
	}
}

static int invites_load(struct invites *invites, char **out_error) {
	json_t *list = invites_read(invites->path, out_error);
	struct hashmap *fresh = list ? invites_map(list, invites->path, out_error) : NULL;
	json_decref(list);
	if (!fresh) {
		return -1;
	}
	struct invite *invite;
	for (size_t at = 0; (invite = hashmap_next(fresh, &at));) {
		const struct invite *old =
			invites->by_hash ? hashmap_get(invites->by_hash, invite->hash) : NULL;
		invite->was_told = old && old->was_told;
	}
	invites_clear(invites->by_hash);
	invites->by_hash = fresh;
	return 0;
}

static void invites_note_time(struct invites *invites) {
	struct stat status = {0};
	(void)stat(invites->path, &status); /* absent: all zero, which is a state as well */
	invites->read_at = status.st_mtim;
	invites->read_size = status.st_size;
}

struct invites *invites_open(
	const char *path, invites_revoked_fn *on_revoked, void *ctx, char **out_error) {
	struct invites *invites = mem_zalloc(sizeof *invites);
	invites->path = mem_strdup(path);
	invites->on_revoked = on_revoked;
	invites->ctx = ctx;
	invites_note_time(invites);
	if (invites_load(invites, out_error) < 0) {
		invites_destroy(invites);
		return NULL;
	}
	return invites;
}

void invites_destroy(struct invites *invites) {
	if (!invites) {
		return;
	}
	invites_clear(invites->by_hash);
	free(invites->path);
	free(invites);
}

void invites_poll(struct invites *invites) {
	struct stat status = {0};
	(void)stat(invites->path, &status);
	if (status.st_mtim.tv_sec != invites->read_at.tv_sec ||
		status.st_mtim.tv_nsec != invites->read_at.tv_nsec ||
		status.st_size != invites->read_size) {
		invites_note_time(invites);
		CLEANUP_FREE char *error = NULL;
		if (invites_load(invites, &error) < 0) {
			log_error("invites not read, the old list stays error=\"%s\"", error);
		}
	}
	invites_tell_revoked(invites);
}

void invites_tell_again(struct invites *invites) {
	struct invite *invite;
	for (size_t at = 0; (invite = hashmap_next(invites->by_hash, &at));) {
		invite->was_told = false;
	}
}

bool invites_find(struct invites *invites, struct slice secret, struct device_invite *out_invite) {
	if (secret.len != INVITE_SECRET_LENGTH) {
		return false;
	}
	invites_poll(invites);
	uint8_t hash[SHA256_DIGEST_LENGTH];
	SHA256((const uint8_t *)secret.data, secret.len, hash);
	const struct invite *invite = hashmap_get(invites->by_hash, hash);
	if (!invite || invite->is_revoked) {
		return false;
	}
	*out_invite = (struct device_invite){
		.id = invite_id_of(invite),
		.devices = invite->devices,
		.messages_per_day = invite->messages_per_day,
	};
	return true;
}

/* ---- the command line ---- */

static bool invite_name_is_valid(const char *name) {
	size_t len = strlen(name);
	for (size_t i = 0; i < len; i++) {
		if ((unsigned char)name[i] < ' ' || name[i] == 127) {
			return false;
		}
	}
	return len > 0 && len <= INVITE_NAME_MAX;
}

int invites_add(const char *path, const char *name, uint32_t devices, uint32_t messages_per_day,
	char out_secret[INVITE_SECRET_LENGTH + 1], char **out_error) {
	if (!invite_name_is_valid(name)) {
		*out_error = mem_printf("a name has 1 to %d printable characters", INVITE_NAME_MAX);
		return -1;
	}
	CLEANUP_CLOSE int lock = invites_lock(path, out_error);
	json_t *list = lock >= 0 ? invites_read(path, out_error) : NULL;
	if (!list) {
		return -1;
	}
	int result = -1;
	const json_t *old = invites_named(list, name);
	uint8_t secret[INVITE_SECRET_BYTES], hash[SHA256_DIGEST_LENGTH];
	if (old && !json_is_true(json_object_get(old, "revoked"))) {
		*out_error =
			mem_printf("there is an invite \"%s\" already; revoke it or choose another name", name);
	} else if (RAND_bytes(secret, sizeof secret) != 1) {
		*out_error = mem_strdup("no random numbers to be had");
	} else {
		out_secret[base64url_encode(out_secret, secret, sizeof secret)] = '\0';
		SHA256((const uint8_t *)out_secret, INVITE_SECRET_LENGTH, hash);
		CLEANUP_FREE char *hash_text = base64url_print(hash, sizeof hash);
		json_t *item = json_pack("{s:s, s:s, s:I, s:I, s:I, s:b}", "name", name, "hash", hash_text,
			"devices", (json_int_t)devices, "messages_per_day", (json_int_t)messages_per_day,
			"created", (json_int_t)time(NULL), "revoked", 0);
		result = item && json_array_append_new(list, item) == 0
					 ? invites_write(path, list, out_error)
					 : -1;
		if (result < 0 && !*out_error) {
			*out_error = mem_strdup("the name is not valid UTF-8");
		}
	}
	json_decref(list);
	return result;
}

int invites_revoke(const char *path, const char *name, char **out_error) {
	CLEANUP_CLOSE int lock = invites_lock(path, out_error);
	json_t *list = lock >= 0 ? invites_read(path, out_error) : NULL;
	if (!list) {
		return -1;
	}
	int result = -1;
	bool any = false;
	size_t i;
	json_t *item;
	json_array_foreach(list, i, item) {
		struct slice found;
		if (json_get_string(item, "name", &found) == JSON_PRESENT && slice_equals(found, name) &&
			!json_is_true(json_object_get(item, "revoked"))) {
			(void)json_object_set_new(item, "revoked", json_true());
			any = true;
		}
	}
	if (any) {
		result = invites_write(path, list, out_error);
	} else {
		*out_error = mem_printf("there is no invite \"%s\"; see bellwire-relay invite list", name);
	}
	json_decref(list);
	return result;
}

static void invites_print_limit(const json_t *limit, char out[24]) {
	long long most = json_integer_value(limit);
	if (most > 0) {
		(void)snprintf(out, 24, "%lld", most);
	} else {
		(void)snprintf(out, 24, "any");
	}
}

static void invites_print(const json_t *item, FILE *out) {
	char created[32] = "";
	time_t when = (time_t)json_integer_value(json_object_get(item, "created"));
	struct tm parts;
	if (gmtime_r(&when, &parts)) {
		(void)strftime(created, sizeof created, "%Y-%m-%d", &parts);
	}
	char devices[24], messages[24];
	invites_print_limit(json_object_get(item, "devices"), devices);
	invites_print_limit(json_object_get(item, "messages_per_day"), messages);
	fprintf(out, "%-30s %10s %16s  %s  %s\n", json_string_value(json_object_get(item, "name")),
		devices, messages, created,
		json_is_true(json_object_get(item, "revoked")) ? "revoked" : "valid");
}

int invites_list(const char *path, FILE *out, bool as_json, char **out_error) {
	json_t *list = invites_read(path, out_error);
	if (!list) {
		return -1;
	}
	size_t i;
	json_t *item;
	json_array_foreach(list, i, item) {
		(void)json_object_del(item, "hash");
		if (!as_json) {
			if (i == 0) {
				fprintf(out, "%-30s %10s %16s  %-10s  %s\n", "NAME", "DEVICES", "MESSAGES/DAY",
					"CREATED", "STATE");
			}
			invites_print(item, out);
		}
	}
	if (as_json) {
		(void)json_dumpf(list, out, JSON_INDENT(1));
		fputc('\n', out);
	} else if (json_array_size(list) == 0) {
		fputs("no invites; make one with: bellwire-relay invite add NAME\n", out);
	}
	json_decref(list);
	return 0;
}

/* ---- QR ---- */

static bool qr_is_dark(const QRcode *code, int x, int y) {
	if (x < 0 || y < 0 || x >= code->width || y >= code->width) {
		return false;
	}
	return (code->data[y * code->width + x] & 1) != 0;
}

void invites_print_qr(const char *text, FILE *out) {
	enum { QR_MARGIN = 2 };
	QRcode *code = QRcode_encodeString8bit(text, 0, QR_ECLEVEL_M);
	if (!code) {
		return; /* too long for a code: the URL was printed anyway */
	}
	/* Two rows a line; dark modules are drawn as gaps, for terminals are dark. */
	static const char *const blocks[4] = {"\xe2\x96\x88", "\xe2\x96\x84", "\xe2\x96\x80", " "};
	for (int y = -QR_MARGIN; y < code->width + QR_MARGIN; y += 2) {
		for (int x = -QR_MARGIN; x < code->width + QR_MARGIN; x++) {
			int top = qr_is_dark(code, x, y), bottom = qr_is_dark(code, x, y + 1);
			fputs(blocks[top + 2 * bottom], out);
		}
		fputc('\n', out);
	}
	QRcode_free(code);
}
