/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzzes the settings file: what was taken is printed as a file that means the same. */
#include "common/cleanup.h"
#include "common/settings_parse.h"
#include <assert.h>

struct fuzzed {
	struct settings_origin *origin;
	bool flag;
	int64_t number, size, time;
	char *text;
	int choice;
	struct settings_list list;
};

static const char *const fuzzed_choices[] = {"open", "invite", NULL};

#define AT(member) .offset = offsetof(struct fuzzed, member)
static const struct setting fuzzed_table[] = {
	{.name = "flag", .kind = SETTING_BOOL, AT(flag), .section = "a"},
	{.name = "number", .kind = SETTING_INTEGER, AT(number), .min = -5, .max = 5, .section = "a"},
	{.name = "size", .kind = SETTING_SIZE, AT(size), .max = INT64_MAX, .section = "a"},
	{.name = "time", .kind = SETTING_DURATION, AT(time), .max = 86400, .section = "b"},
	{.name = "text", .kind = SETTING_TEXT, AT(text), .section = "b"},
	{.name = "choice",
		.kind = SETTING_CHOICE,
		AT(choice),
		.choices = fuzzed_choices,
		.section = "b"},
	{.name = "list", .kind = SETTING_LIST, AT(list), .initial = "x y", .section = "b"},
};

static const struct settings_program fuzzed_program = {
	.name = "fuzzed", .table = fuzzed_table, .count = sizeof fuzzed_table / sizeof *fuzzed_table};

static char *fuzzed_print(const struct fuzzed *fuzzed, size_t *out_len) {
	char *text = NULL;
	FILE *out = open_memstream(&text, out_len);
	assert(out);
	settings_print(&fuzzed_program, fuzzed, out);
	(void)fclose(out);
	return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	static FILE *nowhere;
	if (!nowhere) {
		nowhere = fopen("/dev/null", "we");
	}
	struct fuzzed first = {0}, second = {0};
	struct slice text = {(const char *)data, size};
	if (settings_load_text(&fuzzed_program, text, "fuzz.conf", &first, nowhere) == 0) {
		size_t len, again_len;
		CLEANUP_FREE char *made = fuzzed_print(&first, &len);
		int result = settings_load_text(
			&fuzzed_program, (struct slice){made, len}, "made.conf", &second, nowhere);
		assert(result == 0);
		if (!strstr(made, "(hidden)")) {
			CLEANUP_FREE char *again = fuzzed_print(&second, &again_len);
			assert(len == again_len && memcmp(made, again, len) == 0);
		}
		settings_free(&fuzzed_program, &second);
	}
	settings_free(&fuzzed_program, &first);
	return 0;
}
