/* SPDX-License-Identifier: Apache-2.0 */
/* Tells Flatpak and Snap callers from others, and what they may register. */
#include "distributor/bus/sandbox.h"
#include "common/cleanup.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

enum { SANDBOX_INFO_MAX = 64 * 1024 };

static bool sandbox_copy(struct slice app, char out_app[SANDBOX_APP_MAX + 1]) {
	if (app.len == 0 || app.len > SANDBOX_APP_MAX || memchr(app.data, '\0', app.len)) {
		return false;
	}
	memcpy(out_app, app.data, app.len);
	out_app[app.len] = '\0';
	return true;
}

static struct slice sandbox_next_line(struct slice *text) {
	const char *end = text->len > 0 ? memchr(text->data, '\n', text->len) : NULL;
	struct slice line = {text->data, end ? (size_t)(end - text->data) : text->len};
	size_t used = line.len + (end ? 1 : 0);
	text->data += used;
	text->len -= used;
	return slice_trim(line);
}

bool sandbox_parse_flatpak_info(struct slice text, char out_app[SANDBOX_APP_MAX + 1]) {
	bool in_application = false;
	while (text.len > 0) {
		struct slice line = sandbox_next_line(&text);
		if (slice_starts_with(line, "[")) {
			in_application = slice_equals(line, "[Application]");
			continue;
		}
		const char *equals = line.len > 0 ? memchr(line.data, '=', line.len) : NULL;
		if (!in_application || !equals) {
			continue;
		}
		struct slice key = slice_trim((struct slice){line.data, (size_t)(equals - line.data)});
		if (slice_equals(key, "name")) {
			struct slice value = {equals + 1, line.len - (size_t)(equals + 1 - line.data)};
			return sandbox_copy(slice_trim(value), out_app);
		}
	}
	return false;
}

bool sandbox_parse_label(struct slice label, char out_app[SANDBOX_APP_MAX + 1]) {
	static const char prefix[] = "snap.";
	if (!slice_starts_with(label, prefix)) {
		return false;
	}
	struct slice app = {label.data + sizeof prefix - 1, label.len - (sizeof prefix - 1)};
	const char *dot = app.len > 0 ? memchr(app.data, '.', app.len) : NULL;
	if (!dot) {
		return false;
	}
	app.len = (size_t)(dot - app.data);
	return sandbox_copy(app, out_app);
}

/* The file as a whole; anything but a plain file of sane size counts as unreadable. */
static bool sandbox_read_info(int fd, char *data, size_t *out_bytes) {
	struct stat status;
	if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode)) {
		return false;
	}
	size_t bytes = 0;
	for (;;) {
		ssize_t got = read(fd, data + bytes, SANDBOX_INFO_MAX - bytes);
		if (got < 0 && errno == EINTR) {
			continue;
		}
		if (got <= 0) {
			*out_bytes = bytes;
			return got == 0;
		}
		bytes += (size_t)got;
	}
}

static void sandbox_look_flatpak(pid_t pid, struct sandbox *out) {
	char path[64];
	(void)snprintf(path, sizeof path, "/proc/%d/root", (int)pid);
	CLEANUP_CLOSE int root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0) {
		out->is_hidden = errno == ENOENT || errno == ESRCH;
		return; /* else it is not ours to see: not in Flatpak's hands */
	}
	CLEANUP_CLOSE int fd =
		openat(root, ".flatpak-info", O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	out->is_sandboxed = fd >= 0 || errno != ENOENT;
	CLEANUP_FREE char *data = fd < 0 ? NULL : malloc(SANDBOX_INFO_MAX);
	size_t bytes;
	if (data && sandbox_read_info(fd, data, &bytes)) {
		(void)sandbox_parse_flatpak_info((struct slice){data, bytes}, out->app);
	}
}

void sandbox_look(pid_t pid, struct slice label, struct sandbox *out) {
	*out = (struct sandbox){0};
	out->is_sandboxed = sandbox_parse_label(label, out->app);
	if (out->is_sandboxed) {
		return;
	}
	if (pid > 0) {
		sandbox_look_flatpak(pid, out);
	} else {
		out->is_hidden = true;
	}
}

bool sandbox_may_use(const struct sandbox *sandbox, const char *service) {
	if (!sandbox->is_sandboxed) {
		return true;
	}
	size_t len = strlen(sandbox->app);
	return len > 0 && strncmp(service, sandbox->app, len) == 0 &&
		   (service[len] == '\0' || service[len] == '.');
}
