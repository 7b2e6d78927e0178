/* SPDX-License-Identifier: Apache-2.0 */
/* Writes each event as one line with one write(2), without allocating. */
#include "common/log.h"
#include "common/utf8.h"
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
	LOG_MESSAGE_MAX = 2048, /* before escaping; the rest is cut off */
	LOG_ESCAPE_MAX = 6, /* "\u001b" */
	LOG_HEAD_MAX = 128, /* prefix, time, level, quotes, line feed */
	LOG_LINE_MAX = LOG_MESSAGE_MAX * LOG_ESCAPE_MAX + LOG_HEAD_MAX,
	LOG_AREAS_MAX = 256,
};

static const struct {
	const char *name;
	const char *journal; /* priorities of syslog, as systemd reads them from standard error */
} log_levels[] = {
	[LOG_LEVEL_ERROR] = {"error", "<3>"},
	[LOG_LEVEL_WARN] = {"warn", "<4>"},
	[LOG_LEVEL_INFO] = {"info", "<6>"},
	[LOG_LEVEL_DEBUG] = {"debug", "<7>"},
};
_Static_assert(sizeof log_levels / sizeof *log_levels == LOG_LEVEL_COUNT, "a row per level");

enum log_journal { LOG_JOURNAL_UNKNOWN, LOG_JOURNAL_NO, LOG_JOURNAL_YES };

static atomic_int log_level = LOG_LEVEL_INFO;
static atomic_int log_format = LOG_FORMAT_TEXT;
static atomic_int log_journal = LOG_JOURNAL_UNKNOWN;
/* Two places, so that another thread that reads the old areas is not disturbed. */
static char log_areas_places[2][LOG_AREAS_MAX];
static _Atomic(const char *) log_areas = log_areas_places[0];

void log_set_level(enum log_level level) {
	atomic_store_explicit(&log_level, level, memory_order_relaxed);
}

void log_set_format(enum log_format format) {
	atomic_store_explicit(&log_format, format, memory_order_relaxed);
}

void log_set_areas(const char *areas) {
	char *place = log_areas_places[atomic_load(&log_areas) == log_areas_places[0]];
	(void)snprintf(place, LOG_AREAS_MAX, "%s", areas ? areas : ""); /* cut when too long */
	atomic_store(&log_areas, place);
}

static bool log_area_is_listed(const char *areas, const char *area) {
	size_t len = strlen(area);
	for (const char *at = areas; *at;) {
		at += strspn(at, ", ");
		size_t word = strcspn(at, ", ");
		if (word == len && memcmp(at, area, len) == 0) {
			return true;
		}
		at += word;
	}
	return false;
}

bool log_is_debug(const char *area) {
	if (atomic_load_explicit(&log_level, memory_order_relaxed) < LOG_LEVEL_DEBUG) {
		return false;
	}
	const char *areas = atomic_load(&log_areas);
	return areas[0] == '\0' || log_area_is_listed(areas, area);
}

/* JOURNAL_STREAM names the device and inode of the journal's socket; a standard error that was sent
 * elsewhere is not it (sd-daemon(3), systemd.exec(5)). */
static bool log_is_journal(void) {
	int known = atomic_load_explicit(&log_journal, memory_order_relaxed);
	if (known == LOG_JOURNAL_UNKNOWN) {
		const char *stream = getenv("JOURNAL_STREAM");
		struct stat status;
		unsigned long long device, inode;
		bool is_it = stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 &&
					 fstat(STDERR_FILENO, &status) == 0 && status.st_dev == device &&
					 status.st_ino == inode;
		known = is_it ? LOG_JOURNAL_YES : LOG_JOURNAL_NO;
		atomic_store_explicit(&log_journal, known, memory_order_relaxed);
	}
	return known == LOG_JOURNAL_YES;
}

static size_t log_print_time(char *out, size_t size) {
	struct timespec now;
	struct tm utc;
	(void)clock_gettime(CLOCK_REALTIME, &now); /* cannot fail with this clock */
	(void)gmtime_r(&now.tv_sec, &utc);
	size_t len = strftime(out, size, "%Y-%m-%dT%H:%M:%S", &utc);
	return len + (size_t)snprintf(out + len, size - len, ".%03ldZ", now.tv_nsec / 1000000);
}

/* C0, DEL, and C1, which terminals obey also as UTF-8; line ends of Unicode, and what turns the
 * direction of writing, so that a line says something else than it seems to. */
static bool log_is_control(uint32_t character) {
	return character < 0x20 || (character >= 0x7f && character < 0xa0) || character == 0x61c ||
		   character == 0x200e || character == 0x200f ||
		   (character >= 0x2028 && character <= 0x202e) ||
		   (character >= 0x2066 && character <= 0x2069);
}

/* Writes what stands for the step bytes at `at` (0: one byte that is not UTF-8). */
static size_t log_escape(char *out, const uint8_t *at, size_t step, bool is_json) {
	if (step == 0 && is_json) {
		memcpy(out, "\xef\xbf\xbd", 3); /* U+FFFD */
		return 3;
	}
	if (step == 0) {
		return (size_t)snprintf(out, LOG_ESCAPE_MAX + 1, "\\x%02x", *at);
	}
	uint32_t character = utf8_decode(at, step);
	if (log_is_control(character)) {
		bool is_long = is_json || character > 0xff;
		return (size_t)snprintf(
			out, LOG_ESCAPE_MAX + 1, is_long ? "\\u%04x" : "\\x%02x", (unsigned)character);
	}
	size_t len = 0;
	if (is_json && (*at == '"' || *at == '\\')) {
		out[len++] = '\\';
	}
	memcpy(out + len, at, step);
	return len + step;
}

static size_t log_print_message(char *out, const char *message, size_t len, bool is_json) {
	size_t written = 0;
	for (size_t i = 0; i < len;) {
		const uint8_t *at = (const uint8_t *)message + i;
		size_t step = utf8_character(at, len - i);
		written += log_escape(out + written, at, step, is_json);
		i += step ? step : 1;
	}
	return written;
}

static size_t log_print_line(
	char out[LOG_LINE_MAX], enum log_level level, const char *message, size_t message_len) {
	bool is_json = atomic_load_explicit(&log_format, memory_order_relaxed) == LOG_FORMAT_JSON;
	bool is_journal = log_is_journal();
	char when[40];
	(void)log_print_time(when, sizeof when);
	size_t len = 0;
	if (is_journal) {
		len += (size_t)snprintf(out, LOG_HEAD_MAX, "%s", log_levels[level].journal);
	}
	const char *name = log_levels[level].name;
	if (is_json) {
		len += (size_t)snprintf(out + len, LOG_HEAD_MAX - len,
			"{\"time\":\"%s\",\"level\":\"%s\",\"message\":\"", when, name);
	} else if (!is_journal) {
		len += (size_t)snprintf(out + len, LOG_HEAD_MAX - len, "%s %-5s ", when, name);
	}
	len += log_print_message(out + len, message, message_len, is_json);
	if (is_json) {
		memcpy(out + len, "\"}", 2);
		len += 2;
	}
	out[len++] = '\n';
	return len;
}

static void __attribute__((format(printf, 2, 0)))
log_write_args(enum log_level level, const char *format, va_list args) {
	char message[LOG_MESSAGE_MAX];
	char line[LOG_LINE_MAX];
	int len = vsnprintf(message, sizeof message, format, args);
	size_t message_len = len < 0 ? 0 : (size_t)len;
	if (message_len >= sizeof message) {
		static const char cut[] = "...";
		message_len = sizeof message - 1;
		memcpy(message + message_len - (sizeof cut - 1), cut, sizeof cut - 1);
	}
	size_t line_len = log_print_line(line, level, message, message_len);
	(void)!write(STDERR_FILENO, line, line_len); /* there is no other place to complain */
}

void log_write(enum log_level level, const char *format, ...) {
	if ((int)level > atomic_load_explicit(&log_level, memory_order_relaxed)) {
		return;
	}
	va_list args;
	va_start(args, format);
	log_write_args(level, format, args);
	va_end(args);
}

void log_fatal(const char *format, ...) {
	va_list args;
	va_start(args, format);
	log_write_args(LOG_LEVEL_ERROR, format, args);
	va_end(args);
	exit(EXIT_FAILURE);
}
