/* SPDX-License-Identifier: Apache-2.0 */
/* Reads small files and replaces them atomically. */
#include "common/file.h"
#include "common/cleanup.h"
#include "common/mem.h"
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const char file_fresh_mark[] = ".new-"; /* and six characters: a file being written */

static int file_read_all(int fd, size_t limit_bytes, char **out_data, size_t *out_bytes) {
	CLEANUP_FREE char *data = mem_alloc(limit_bytes + 2);
	size_t bytes = 0;
	for (;;) {
		ssize_t n = read(fd, data + bytes, limit_bytes + 1 - bytes);
		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n < 0) {
			return -errno;
		}
		if (n == 0) {
			break;
		}
		bytes += (size_t)n;
		if (bytes > limit_bytes) {
			return -EFBIG;
		}
	}
	data[bytes] = '\0';
	*out_data = mem_dup(data, bytes + 1);
	*out_bytes = bytes;
	mem_wipe(data, bytes);
	return 0;
}

static int file_read_checked(
	const char *path, size_t limit_bytes, bool is_secret, char **out_data, size_t *out_bytes) {
	CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat status;
	if (fd < 0 || fstat(fd, &status) < 0) {
		return -errno;
	}
	bool is_ours = status.st_uid == geteuid() || status.st_uid == 0;
	if (is_secret && ((status.st_mode & 077) != 0 || !is_ours)) {
		return -EACCES;
	}
	return file_read_all(fd, limit_bytes, out_data, out_bytes);
}

int file_read(const char *path, size_t limit_bytes, char **out_data, size_t *out_bytes) {
	return file_read_checked(path, limit_bytes, false, out_data, out_bytes);
}

int file_read_secret(const char *path, size_t limit_bytes, char **out_data, size_t *out_bytes) {
	return file_read_checked(path, limit_bytes, true, out_data, out_bytes);
}

static int file_open_own(const char *path) {
	int flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
	int fd = open(path, flags);
	if (fd < 0 && errno == EACCES && chmod(path, 0600) == 0) {
		fd = open(path, flags);
	}
	return fd < 0 ? -errno : fd;
}

int file_read_own(const char *path, size_t limit_bytes, char **out_data, size_t *out_bytes) {
	CLEANUP_CLOSE int fd = file_open_own(path);
	struct stat status;
	if (fd < 0) {
		return fd;
	}
	if (fstat(fd, &status) < 0) {
		return -errno;
	}
	if (!S_ISREG(status.st_mode)) {
		return S_ISDIR(status.st_mode) ? -EISDIR : -EINVAL;
	}
	return file_read_all(fd, limit_bytes, out_data, out_bytes);
}

int file_set_aside(const char *path, bool stays, char **out_aside) {
	struct timespec now;
	(void)clock_gettime(CLOCK_REALTIME, &now); /* cannot fail */
	long long now_ms = (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
	CLEANUP_FREE char *aside = mem_printf("%s.damaged-%lld", path, now_ms);
	if ((stays ? link(path, aside) : rename(path, aside)) < 0) {
		return -errno;
	}
	*out_aside = steal(&aside);
	return 0;
}

static bool file_is_fresh(const char *name) {
	size_t len = strlen(name), mark = sizeof file_fresh_mark - 1;
	const char *at = len > mark + 6 ? name + len - 6 - mark : NULL;
	if (!at || strncmp(at, file_fresh_mark, mark) != 0) {
		return false;
	}
	for (at += mark; isalnum((unsigned char)*at); at++) {
	}
	return *at == '\0';
}

void file_sweep(const char *folder) {
	DIR *entries = opendir(folder);
	const struct dirent *entry;
	while (entries && (entry = readdir(entries))) {
		if (file_is_fresh(entry->d_name)) {
			(void)unlinkat(dirfd(entries), entry->d_name, 0); /* or it stays */
		}
	}
	if (entries) {
		(void)closedir(entries);
	}
}

static int file_write_synced(int fd, const char *data, size_t bytes) {
	while (bytes > 0) {
		ssize_t n = write(fd, data, bytes);
		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n < 0) {
			return -errno;
		}
		data += n;
		bytes -= (size_t)n;
	}
	return fsync(fd) < 0 ? -errno : 0;
}

static int file_sync_directory(const char *path) {
	const char *slash = strrchr(path, '/');
	CLEANUP_FREE char *folder = !slash			? mem_strdup(".")
								: slash == path ? mem_strdup("/")
												: mem_strndup(path, (size_t)(slash - path));
	CLEANUP_CLOSE int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

int file_replace(const char *path, const void *data, size_t bytes, mode_t mode) {
	CLEANUP_FREE char *fresh = mem_printf("%s%sXXXXXX", path, file_fresh_mark);
	int fd = mkostemp(fresh, O_CLOEXEC);
	if (fd < 0) {
		return -errno;
	}
	int result = fchmod(fd, mode) < 0 ? -errno : file_write_synced(fd, data, bytes);
	if (close(fd) < 0 && result == 0) {
		result = -errno;
	}
	if (result == 0 && rename(fresh, path) < 0) {
		result = -errno;
	}
	if (result < 0) {
		(void)unlink(fresh);
		return result;
	}
	return file_sync_directory(path);
}

int file_make_folders(const char *path) {
	CLEANUP_FREE char *folder = mem_strdup(path);
	if (!folder[0]) {
		return -ENOENT;
	}
	for (char *slash = strchr(folder + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdir(folder, 0700) < 0 && errno != EEXIST) {
			return -errno;
		}
		*slash = '/';
	}
	return 0;
}
