/* SPDX-License-Identifier: Apache-2.0 */
/* Log lines on standard error: one write each. */
#include "common/log.h"
#include "common/buffer.h"
#include "common/json.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LOG_LINE_MAX = 4096, LOG_AREAS_MAX = 256 };

static enum log_level log_level = LOG_LEVEL_INFO;
static enum log_format log_format = LOG_FORMAT_TEXT;
static char log_areas[LOG_AREAS_MAX];

static const char *const log_level_names[LOG_LEVEL_COUNT] = {"error", "warn", "info", "debug"};

void log_set_level(enum log_level level) {
	log_level = level;
}

void log_set_format(enum log_format format) {
	log_format = format;
}

void log_set_areas(const char *areas) {
	(void)snprintf(log_areas, sizeof log_areas, "%s", areas ? areas : ""); /* cut if too long */
}

bool log_level_parse(const char *text, enum log_level *out_level) {
	for (int i = 0; i < LOG_LEVEL_COUNT; i++) {
		if (strcmp(text, log_level_names[i]) == 0) {
			*out_level = (enum log_level)i;
			return true;
		}
	}
	return false;
}

bool log_is_debug(const char *area) {
	if (log_level < LOG_LEVEL_DEBUG) {
		return false;
	}
	size_t len = strlen(area);
	for (const char *at = log_areas; (at = strstr(at, area)); at += len) {
		if ((at == log_areas || at[-1] == ',') && (at[len] == '\0' || at[len] == ',')) {
			return true;
		}
	}
	return log_areas[0] == '\0';
}

static void log_print_time(char out[40]) {
	struct timespec now;
	struct tm parts;
	(void)clock_gettime(CLOCK_REALTIME, &now);
	(void)gmtime_r(&now.tv_sec, &parts);
	size_t len = strftime(out, 40, "%Y-%m-%dT%H:%M:%S", &parts);
	(void)snprintf(out + len, 40 - len, ".%03ldZ", now.tv_nsec / 1000000);
}

/* Control characters become \xNN, so nothing from a peer can forge a line. */
static bool log_append_escaped(struct buffer *line, const char *text) {
	bool fits = true;
	for (const unsigned char *c = (const unsigned char *)text; *c && fits; c++) {
		fits =
			*c < ' ' || *c == 127 ? buffer_printf(line, "\\x%02x", *c) : buffer_append(line, c, 1);
	}
	return fits;
}

static void log_emit(enum log_level level, const char *text) {
	static const char priorities[LOG_LEVEL_COUNT] = {'3', '4', '6', '7'};
	struct buffer line;
	buffer_init(&line, LOG_LINE_MAX * 6);
	char now[40];
	log_print_time(now);
	bool fits;
	if (log_format == LOG_FORMAT_JSON) {
		fits = buffer_printf(&line, "{\"time\":\"%s\",\"level\":\"%s\",\"message\":", now,
				   log_level_names[level]) &&
			   json_append_string(&line, slice_of(text)) && buffer_append(&line, "}", 1);
	} else if (getenv("JOURNAL_STREAM")) {
		fits = buffer_printf(&line, "<%c>", priorities[level]) && log_append_escaped(&line, text);
	} else {
		fits = buffer_printf(&line, "%s %-5s ", now, log_level_names[level]) &&
			   log_append_escaped(&line, text);
	}
	fits = fits && buffer_append(&line, "\n", 1);
	if (fits && write(STDERR_FILENO, buffer_begin(&line), buffer_length(&line)) < 0) {
		/* nowhere left to say so */
	}
	buffer_finish(&line);
}

static void __attribute__((format(printf, 2, 0)))
log_vwrite(enum log_level level, const char *format, va_list args) {
	char text[LOG_LINE_MAX];
	(void)vsnprintf(text, sizeof text, format, args); /* a longer line is cut */
	log_emit(level, text);
}

void log_write(enum log_level level, const char *format, ...) {
	if (level > log_level) {
		return;
	}
	va_list args;
	va_start(args, format);
	log_vwrite(level, format, args);
	va_end(args);
}

void log_fatal(const char *format, ...) {
	va_list args;
	va_start(args, format);
	log_vwrite(LOG_LEVEL_ERROR, format, args);
	va_end(args);
	exit(1);
}
