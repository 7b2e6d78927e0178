/* SPDX-License-Identifier: Apache-2.0 */
/* The settings of the log, which every program has: a struct for its config, the rows for its
 * table, and how they take effect. */
#pragma once
#include "common/settings.h"

struct log_settings {
	int level; /* enum log_level */
	int format; /* enum log_format */
	char *areas;
};
void log_settings_apply(const struct log_settings *settings);

extern const char *const log_settings_levels[], *const log_settings_formats[];

/* For a struct log_settings that is a member of the config's type. more: said behind the level's
 * help, "" or " …". */
#define LOG_SETTINGS(type, member, more)                                                           \
	{.name = "log_level",                                                                          \
		.kind = SETTING_CHOICE,                                                                    \
		.offset = offsetof(type, member.level),                                                    \
		.initial = "info",                                                                         \
		.choices = log_settings_levels,                                                            \
		.section = "log",                                                                          \
		.help = "Least important level that is logged: error, warn, info or debug." more},         \
		{.name = "log_format",                                                                     \
			.kind = SETTING_CHOICE,                                                                \
			.offset = offsetof(type, member.format),                                               \
			.initial = "text",                                                                     \
			.choices = log_settings_formats,                                                       \
			.section = "log",                                                                      \
			.help = "Form of a log line: text (key=value) or json."},                              \
	{                                                                                              \
		.name = "log_areas", .kind = SETTING_TEXT, .offset = offsetof(type, member.areas),         \
		.section = "log", .value_name = "LIST",                                                    \
		.help = "Limits debug lines to areas, such as device,store or link,dispatch. Unset: all."  \
	}
