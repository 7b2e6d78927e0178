/* SPDX-License-Identifier: Apache-2.0 */
/* Reading the state, whatever happened to it. */
#include "distributor/state.h"
#include "common/cleanup.h"
#include "common/file.h"
#include "common/json.h"
#include "common/log.h"
#include "common/mem.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { STATE_FILE_MAX = 64 << 20 };

static int state_open_lock(const char *path) {
	int flags = O_RDWR | O_CREAT | O_CLOEXEC | O_NOCTTY;
	CLEANUP_FREE char *aside = NULL;
	int fd = open(path, flags, 0600);
	if (fd < 0 && errno == EACCES && chmod(path, 0600) == 0) {
		fd = open(path, flags, 0600);
	}
	if (fd < 0 && errno == EISDIR && file_set_aside(path, false, &aside) == 0) {
		log_warn("%s is no lock; it is kept as %s", path, aside);
		fd = open(path, flags, 0600);
	}
	return fd < 0 ? -errno : fd;
}

int state_lock(const char *dir) {
	CLEANUP_FREE char *path = mem_printf("%s/lock", dir);
	int result = file_make_folders(path);
	if (result < 0) {
		return result;
	}
	CLEANUP_CLOSE int fd = state_open_lock(path);
	if (fd < 0) {
		return fd;
	}
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		return errno == EWOULDBLOCK ? -EBUSY : -errno;
	}
	file_sweep(dir);
	int locked = fd;
	fd = -1;
	return locked;
}

char *state_path(const char *dir) {
	return mem_printf("%s/state.json", dir);
}

/* What one file holds. */
struct state_file_content {
	json_t *json; /* NULL: nothing that can be used */
	bool is_whole;
	int error; /* of reading; 0: it was read, but is not what we write */
};

static void state_look(
	const char *path, state_check_fn *is_whole, void *ctx, struct state_file_content *out) {
	CLEANUP_FREE char *data = NULL;
	size_t bytes = 0;
	*out = (struct state_file_content){0};
	out->error = file_read_own(path, STATE_FILE_MAX, &data, &bytes);
	json_t *json = out->error == 0 ? json_parse((struct slice){data, bytes}) : NULL;
	if (json_is_object(json)) {
		out->json = json;
		out->is_whole = !is_whole || is_whole(json, ctx);
	} else {
		json_decref(json);
	}
}

/* Of these the file is the cause; of others the disk is, and tomorrow they may be over. */
static bool state_is_damage(int error) {
	static const int damages[] = {
		0, -ENOENT, -EFBIG, -EISDIR, -EINVAL, -EACCES, -EPERM, -ELOOP, -ENXIO, -ENOTDIR};
	for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
		if (damages[i] == error) {
			return true;
		}
	}
	return false;
}

static void state_set_aside(const char *path, bool stays) {
	CLEANUP_FREE char *aside = NULL;
	int result = file_set_aside(path, stays, &aside);
	if (result == 0) {
		log_error("%s is damaged; it is kept as %s", path, aside);
	} else {
		log_error("%s is damaged and cannot be kept error=\"%s\"", path, strerror(-result));
	}
}

json_t *state_peek(const char *dir) {
	CLEANUP_FREE char *path = state_path(dir);
	CLEANUP_FREE char *copy = mem_printf("%s.bak", path);
	struct state_file_content content;
	state_look(path, NULL, NULL, &content);
	if (!content.json) {
		state_look(copy, NULL, NULL, &content);
	}
	return content.json;
}

/* Two that are not whole: the parts of one that make sense. It stays until it is replaced. */
static json_t *state_choose(const char *path, const char *copy, struct state_file_content *main,
	struct state_file_content *other, enum state_condition *out_condition) {
	bool is_there = main->error != -ENOENT, other_is_there = other->error != -ENOENT;
	json_t *json = main->json ? main->json : other->json;
	if (is_there) {
		state_set_aside(path, main->json != NULL);
	}
	if (other_is_there) {
		state_set_aside(copy, other->json != NULL);
	}
	if (json) {
		log_warn("parts of the state make no sense and are left out");
	}
	if (main->json && other->json) {
		json_decref(other->json);
	}
	*out_condition = json ? STATE_PARTIAL : is_there || other_is_there ? STATE_LOST : STATE_FRESH;
	return json;
}

json_t *state_read(
	const char *dir, state_check_fn *is_whole, void *ctx, enum state_condition *out_condition) {
	CLEANUP_FREE char *path = state_path(dir);
	return state_read_file(path, is_whole, ctx, out_condition);
}

json_t *state_read_file(
	const char *path, state_check_fn *is_whole, void *ctx, enum state_condition *out_condition) {
	CLEANUP_FREE char *copy = mem_printf("%s.bak", path);
	struct state_file_content main, other;
	state_look(path, is_whole, ctx, &main);
	*out_condition = STATE_READ;
	if (main.is_whole) {
		return main.json;
	}
	if (!state_is_damage(main.error)) {
		log_error("%s cannot be read error=\"%s\"", path, strerror(-main.error));
		*out_condition = STATE_UNREADABLE;
		return NULL;
	}
	state_look(copy, is_whole, ctx, &other);
	if (!other.is_whole) {
		return state_choose(path, copy, &main, &other, out_condition);
	}
	json_decref(main.json);
	if (main.error != -ENOENT) {
		state_set_aside(path, false);
	}
	log_warn("the copy of the state is used file=%s", copy);
	*out_condition = STATE_RESTORED;
	return other.json;
}
