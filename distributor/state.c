/* SPDX-License-Identifier: Apache-2.0 */
/* Reading the state, whatever happened to it. */
#include "distributor/state.h"
#include "common/cleanup.h"
#include "common/file.h"
#include "common/json.h"
#include "common/log.h"
#include "common/mem.h"
#include "distributor/alarm.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

enum { STATE_FILE_MAX = 64 << 20 };

int state_lock(const char *dir) {
	CLEANUP_FREE char *path = mem_printf("%s/lock", dir);
	int result = file_make_folders(path);
	if (result < 0) {
		return result;
	}
	CLEANUP_CLOSE int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0) {
		return -errno;
	}
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		return errno == EWOULDBLOCK ? -EBUSY : -errno;
	}
	int locked = fd;
	fd = -1;
	return locked;
}

char *state_path(const char *dir) {
	return mem_printf("%s/state.json", dir);
}

static bool state_is_good(const json_t *json) {
	return json_is_array(json_object_get(json, "accounts")) &&
		   json_is_object(json_object_get(json, "registrations"));
}

/* NULL with errno ENOENT when there is none; NULL and EBADMSG when it is damaged. */
static json_t *state_read_one(const char *path, state_check_fn *is_good) {
	CLEANUP_FREE char *data = NULL;
	size_t bytes = 0;
	int result = file_read(path, STATE_FILE_MAX, &data, &bytes);
	if (result < 0) {
		errno = -result;
		return NULL;
	}
	json_t *json = json_parse((struct slice){data, bytes});
	if (!json_is_object(json) || !is_good(json)) {
		json_decref(json);
		errno = EBADMSG;
		return NULL;
	}
	return json;
}

json_t *state_peek(const char *dir) {
	CLEANUP_FREE char *path = state_path(dir);
	return state_read_one(path, state_is_good);
}

static void state_set_aside(const char *path) {
	CLEANUP_FREE char *aside = mem_printf("%s.damaged-%lld", path, (long long)clock_wall_ms());
	if (rename(path, aside) == 0) {
		log_error("%s is damaged; it is kept as %s", path, aside);
	} else {
		log_error("%s is damaged and cannot be set aside error=\"%s\"", path, strerror(errno));
	}
}

void state_keep_copy(const char *dir) {
	CLEANUP_FREE char *path = state_path(dir);
	CLEANUP_FREE char *before = mem_printf("%s.bak", path);
	CLEANUP_FREE char *aside = mem_printf("%s.damaged-%lld", path, (long long)clock_wall_ms());
	if (link(path, aside) == 0 || (errno == ENOENT && link(before, aside) == 0)) {
		log_warn(
			"parts of the state make no sense and are left out; all of it is kept as %s", aside);
	} else {
		log_warn("parts of the state make no sense and are left out error=\"%s\"", strerror(errno));
	}
}

json_t *state_read(const char *dir, enum state_condition *out_condition) {
	CLEANUP_FREE char *path = state_path(dir);
	return state_read_file(path, state_is_good, out_condition);
}

json_t *state_read_file(
	const char *path, state_check_fn *is_good, enum state_condition *out_condition) {
	CLEANUP_FREE char *before = mem_printf("%s.bak", path);
	json_t *json = state_read_one(path, is_good);
	*out_condition = STATE_READ;
	if (json) {
		return json;
	}
	bool was_there = errno != ENOENT;
	if (was_there && errno != EBADMSG && errno != EFBIG) {
		log_error("%s cannot be read error=\"%s\"", path, strerror(errno));
		*out_condition = STATE_UNREADABLE;
		return NULL;
	}
	if (was_there) {
		state_set_aside(path);
	}
	json = state_read_one(before, is_good);
	if (json) {
		*out_condition = STATE_RESTORED;
		log_warn("the state of one change earlier is used instead file=%s", before);
		return json;
	}
	if (errno != ENOENT) {
		state_set_aside(before);
		was_there = true;
	}
	*out_condition = was_there ? STATE_LOST : STATE_FRESH;
	return NULL;
}
