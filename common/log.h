/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One short event a line on standard error, with key=value pairs: log_info("device connected
 * id=%s", …). Under journald (JOURNAL_STREAM names standard error) a line starts with its
 * level, "<6>"; elsewhere with the time. Control characters in the text, and those that turn the
 * direction of writing, are escaped, so nothing from a peer can forge a line or make it seem
 * another. Never log tokens, endpoints, UAIDs or payloads.
 */
#pragma once
#include <stdbool.h>

enum log_level {
	LOG_LEVEL_ERROR,
	LOG_LEVEL_WARN,
	LOG_LEVEL_INFO,
	LOG_LEVEL_DEBUG,
	LOG_LEVEL_COUNT
};
enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };

void log_set_level(enum log_level level);
void log_set_format(enum log_format format);
/* Limits debug lines to areas, "device,store"; NULL or "" means all. Copied. */
void log_set_areas(const char *areas);
bool log_is_debug(const char *area);

void log_write(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));
_Noreturn void log_fatal(const char *format, ...)
	__attribute__((format(printf, 1, 2))); /* exit 1 */

#define log_error(...) log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...) log_write(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...) log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(area, ...)                                                                       \
	do {                                                                                           \
		if (log_is_debug(area)) {                                                                  \
			log_write(LOG_LEVEL_DEBUG, area ": " __VA_ARGS__);                                     \
		}                                                                                          \
	} while (0)
