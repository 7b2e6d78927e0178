/* SPDX-License-Identifier: Apache-2.0 */
/* Messages as files: NUMBER-SEQUENCE.json, so that the name says whose it is and when it came. */
#include "distributor/journal.h"
#include "common/base64url.h"
#include "common/cleanup.h"
#include "common/file.h"
#include "common/json.h"
#include "common/log.h"
#include "common/mem.h"
#include "distributor/alarm.h"
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define JOURNAL_BOOT_ID_PATH "/proc/sys/kernel/random/boot_id"

enum { JOURNAL_FILE_MAX = 256 << 10, JOURNAL_BOOT_ID_MAX = 64 };

struct journal {
	struct disk *disk;
	char *folder;
	char *boot_id; /* as long as it is the same, the boot clock goes on; "" when it is not known */
	size_t messages, bytes;
	bool is_failing;
};

static void journal_set_aside(const char *path) {
	CLEANUP_FREE char *aside = NULL;
	int result = file_set_aside(path, false, &aside);
	log_warn(
		"%s is damaged and is set aside kept=%s", path, result < 0 ? strerror(-result) : aside);
}

static void journal_make_folder(struct journal *journal) {
	struct stat status;
	if (lstat(journal->folder, &status) == 0 && !S_ISDIR(status.st_mode)) {
		journal_set_aside(journal->folder);
	}
	if ((mkdir(journal->folder, 0700) < 0 && errno != EEXIST) ||
		(access(journal->folder, R_OK | W_OK | X_OK) < 0 && chmod(journal->folder, 0700) < 0)) {
		log_warn("%s cannot be used error=\"%s\": what apps do not take waits at the relay",
			journal->folder, strerror(errno));
	}
	file_sweep(journal->folder);
}

static char *journal_boot_id_dup(void) {
	char *text = NULL;
	size_t bytes = 0;
	if (file_read(JOURNAL_BOOT_ID_PATH, JOURNAL_BOOT_ID_MAX, &text, &bytes) < 0) {
		return mem_strdup("");
	}
	text[strcspn(text, "\n")] = '\0';
	return text;
}

struct journal *journal_open(struct disk *disk, const char *folder) {
	struct journal *journal = mem_zalloc(sizeof *journal);
	journal->disk = disk;
	journal->folder = mem_strdup(folder);
	journal->boot_id = journal_boot_id_dup();
	journal_make_folder(journal);
	return journal;
}

void journal_close(struct journal *journal) {
	if (journal) {
		free(journal->folder);
		free(journal->boot_id);
		free(journal);
	}
}

static char *journal_path(const struct journal *journal, uint32_t number, uint64_t sequence) {
	return mem_printf("%s/%" PRIu32 "-%016" PRIx64 ".json", journal->folder, number, sequence);
}

/* By both clocks: the wall clock may be set meanwhile, the boot clock ends with the machine. */
static void journal_print_expiry(
	const struct journal *journal, const struct message *message, json_t *json) {
	int64_t at_ms = message->expires_boot_ms;
	if (at_ms == INT64_MAX) {
		return;
	}
	int64_t wall_ms = at_ms - clock_boot_ms() + clock_wall_ms();
	(void)json_object_set_new(json, "expires_ms", json_integer(wall_ms));
	(void)json_object_set_new(json, "expires_boot_ms", json_integer(at_ms));
	(void)json_object_set_new(json, "boot_id", json_string(journal->boot_id));
}

static char *journal_print(const struct journal *journal, const struct message *message) {
	CLEANUP_FREE char *body = base64url_print(message->body, message->bytes);
	json_t *json = json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:i,s:I}", "channel",
		message->channel, "version", message->version, "id", message->id, "body", body, "encoding",
		message->encoding, "encryption", message->encryption, "crypto_key", message->crypto_key,
		"topic", message->topic, "urgency", (int)message->urgency, "received_ms",
		(json_int_t)message->received_ms);
	journal_print_expiry(journal, message, json); /* NULL is passed through */
	char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
	json_decref(json);
	return text;
}

bool journal_add(
	struct journal *journal, const struct message *message, disk_done_fn *done, void *ctx) {
	char *text = journal->messages < JOURNAL_MESSAGES_MAX &&
						 journal->bytes + message->bytes <= JOURNAL_BYTES_MAX
					 ? journal_print(journal, message)
					 : NULL;
	if (!text) {
		return false;
	}
	CLEANUP_FREE char *path = journal_path(journal, message->number, message->sequence);
	journal->messages++;
	journal->bytes += message->bytes;
	disk_replace(journal->disk, path, text, strlen(text), done, ctx);
	return true;
}

void journal_remove(struct journal *journal, const struct message *message) {
	CLEANUP_FREE char *path = journal_path(journal, message->number, message->sequence);
	journal->messages--;
	journal->bytes -= message->bytes;
	disk_remove(journal->disk, path);
}

void journal_note(struct journal *journal, int result) {
	disk_note(journal->disk, &journal->is_failing, result);
}

/* ---- reading ---- */

static bool journal_get_body(struct message *message, const json_t *json) {
	struct slice text;
	if (json_get_string(json, "body", &text) != JSON_PRESENT) {
		return false;
	}
	free(message->body);
	message->body = mem_zalloc(text.len + 1);
	return base64url_decode(text, (uint8_t *)message->body, text.len, &message->bytes);
}

/* A time of this boot's clock; INT64_MAX: never. */
static int64_t journal_get_expiry_ms(const struct journal *journal, const json_t *json) {
	struct slice boot_id;
	int64_t at_ms;
	if (journal->boot_id[0] && json_get_string(json, "boot_id", &boot_id) == JSON_PRESENT &&
		slice_equals(boot_id, journal->boot_id) &&
		json_get_integer(json, "expires_boot_ms", &at_ms) == JSON_PRESENT) {
		return at_ms;
	}
	if (json_get_integer(json, "expires_ms", &at_ms) != JSON_PRESENT || at_ms >= INT64_MAX / 2) {
		return INT64_MAX;
	}
	return at_ms < 0 ? 0 : at_ms - clock_wall_ms() + clock_boot_ms();
}

static struct message *journal_parse(
	const struct journal *journal, const char *data, size_t bytes) {
	json_t *json = json_parse((struct slice){data, bytes});
	struct message *message = message_create(NULL);
	struct slice channel, id;
	int64_t urgency = URGENCY_NORMAL;
	bool good = json_get_string(json, "channel", &channel) == JSON_PRESENT &&
				channel.len < sizeof message->channel &&
				json_get_string(json, "id", &id) == JSON_PRESENT && id.len < sizeof message->id &&
				journal_get_body(message, json);
	if (good) {
		memcpy(message->channel, channel.data, channel.len);
		memcpy(message->id, id.data, id.len);
		json_load_text(json, "version", &message->version);
		json_load_text(json, "encoding", &message->encoding);
		json_load_text(json, "encryption", &message->encryption);
		json_load_text(json, "crypto_key", &message->crypto_key);
		json_load_text(json, "topic", &message->topic);
		(void)json_get_integer(json, "urgency", &urgency); /* absent ones keep their defaults */
		(void)json_get_integer(json, "received_ms", &message->received_ms);
		message->urgency =
			urgency >= 0 && urgency < URGENCY_COUNT ? (enum urgency)urgency : URGENCY_NORMAL;
		message->expires_boot_ms = journal_get_expiry_ms(journal, json);
		message->is_journalled = message->is_acked = true;
	}
	json_decref(json);
	if (!good) {
		message_free(message);
		message = NULL;
	}
	return message;
}

/* Older sequence numbers first. */
static int journal_compare(const struct dirent **a, const struct dirent **b) {
	const char *one = strchr((*a)->d_name, '-'), *other = strchr((*b)->d_name, '-');
	return strcmp(one ? one : "", other ? other : "");
}

static int journal_is_entry(const struct dirent *entry) {
	size_t len = strlen(entry->d_name);
	return strchr(entry->d_name, '-') && len > 5 && strcmp(entry->d_name + len - 5, ".json") == 0;
}

static void journal_load_one(
	struct journal *journal, const char *name, journal_found_fn *found, void *ctx) {
	CLEANUP_FREE char *path = mem_printf("%s/%s", journal->folder, name);
	CLEANUP_FREE char *data = NULL;
	size_t bytes = 0;
	unsigned long number = strtoul(name, NULL, 10);
	struct message *message = file_read_own(path, JOURNAL_FILE_MAX, &data, &bytes) == 0
								  ? journal_parse(journal, data, bytes)
								  : NULL;
	uint64_t sequence = strtoull(strchr(name, '-') + 1, NULL, 16);
	if (!message || sequence > UINT64_MAX / 2) {
		message_free(message);
		journal_set_aside(path); /* else it is found again at the next start */
		return;
	}
	message->sequence = sequence;
	size_t body_bytes = message->bytes;
	if (found(message, (uint32_t)number, ctx)) {
		journal->messages++;
		journal->bytes += body_bytes;
	} else {
		message_free(message);
		disk_remove(journal->disk, path);
	}
}

void journal_load(struct journal *journal, journal_found_fn *found, void *ctx) {
	struct dirent **entries = NULL;
	int count = scandir(journal->folder, &entries, journal_is_entry, journal_compare);
	for (int i = 0; i < count; i++) {
		journal_load_one(journal, entries[i]->d_name, found, ctx);
		free(entries[i]);
	}
	free(entries);
}
