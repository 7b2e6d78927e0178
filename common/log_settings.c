/* SPDX-License-Identifier: Apache-2.0 */
/* Words of the log's settings, and handing them to the log. */
#include "common/log_settings.h"
#include "common/log.h"

const char *const log_settings_levels[] = {
	[LOG_LEVEL_ERROR] = "error",
	[LOG_LEVEL_WARN] = "warn",
	[LOG_LEVEL_INFO] = "info",
	[LOG_LEVEL_DEBUG] = "debug",
	[LOG_LEVEL_COUNT] = NULL,
};
const char *const log_settings_formats[] = {
	[LOG_FORMAT_TEXT] = "text",
	[LOG_FORMAT_JSON] = "json",
	NULL,
};

void log_settings_apply(const struct log_settings *settings) {
	log_set_level((enum log_level)settings->level);
	log_set_format((enum log_format)settings->format);
	log_set_areas(settings->areas);
}
