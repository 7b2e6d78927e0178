/* SPDX-License-Identifier: Apache-2.0 */
/* From left to right; the first thing that does not fit ends it. */
#include "distributor/ctl/arguments.h"
#include "distributor/ctl/commands.h"
#include <stdio.h>
#include <string.h>

struct arguments_reading {
	const struct arguments *arguments;
	const char *command;
	char **argv; /* what is left */
	const char **words;
	size_t count; /* of words */
	int status;
};

static const struct arguments_flag *arguments_find(
	const struct arguments *arguments, const char *name, size_t len) {
	const struct arguments_flag *flag = arguments->flags;
	for (; flag->name; flag++) {
		if (strlen(flag->name) == len && strncmp(flag->name, name, len) == 0) {
			return flag;
		}
	}
	return NULL;
}

/* "--name", "--name=value", or "--name" and the next word. */
static void arguments_take_flag(struct arguments_reading *reading, const char *text) {
	const char *name = text + 2, *value = strchr(name, '=');
	size_t len = value ? (size_t)(value - name) : strlen(name);
	const struct arguments_flag *flag = arguments_find(reading->arguments, name, len);
	if (text[1] != '-' || !flag) {
		int shown = (int)(text[1] == '-' ? len + 2 : strlen(text));
		reading->status = command_misused(reading->command, "there is no option %.*s", shown, text);
	} else if (!flag->text && value) {
		reading->status = command_misused(reading->command, "--%s takes no value", flag->name);
	} else if (flag->text && !value && !*reading->argv) {
		reading->status =
			command_misused(reading->command, "--%s takes a value, and none follows", flag->name);
	} else if (flag->text) {
		*flag->text = value ? value + 1 : *reading->argv++;
	} else if (flag->is_given) {
		*flag->is_given = true;
	}
}

static void arguments_take_word(struct arguments_reading *reading, const char *word) {
	const struct arguments *arguments = reading->arguments;
	if (reading->count < arguments->most) {
		reading->words[reading->count++] = word;
	} else if (arguments->words) {
		reading->status = command_misused(
			reading->command, "\"%s\" is too much behind %s", word, arguments->words);
	} else {
		reading->status = command_misused(
			reading->command, "what is \"%s\"? %s takes options only", word, reading->command);
	}
}

static bool arguments_is_help(const char *text) {
	return strcmp(text, "--help") == 0 || strcmp(text, "-h") == 0;
}

/* False when nothing is to be done any more. */
static bool arguments_take(struct arguments_reading *reading) {
	bool flags_are_over = false;
	while (*reading->argv && reading->status == COMMAND_OK) {
		const char *text = *reading->argv++;
		if (flags_are_over || text[0] != '-' || text[1] == '\0') {
			arguments_take_word(reading, text);
		} else if (strcmp(text, "--") == 0) {
			flags_are_over = true;
		} else if (arguments_is_help(text)) {
			(void)fputs(reading->arguments->usage, stdout);
			return false;
		} else {
			arguments_take_flag(reading, text);
		}
	}
	return reading->status == COMMAND_OK;
}

bool arguments_read(const struct arguments *arguments, int argc, char **argv,
	const char **out_words, int *out_status) {
	struct arguments_reading reading = {
		.arguments = arguments,
		.command = arguments->command ? arguments->command : argv[0],
		.argv = argv + (argc > 0),
		.words = out_words,
		.status = COMMAND_OK,
	};
	for (size_t i = 0; i < arguments->most; i++) {
		out_words[i] = NULL;
	}
	bool is_good = arguments_take(&reading);
	if (is_good && reading.count < arguments->least) {
		reading.status = command_misused(reading.command, "%s is missing", arguments->words);
		is_good = false;
	}
	*out_status = reading.status;
	return is_good;
}
