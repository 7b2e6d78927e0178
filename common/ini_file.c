/* SPDX-License-Identifier: Apache-2.0 */
/* inih, fed with one whole line at a time. */
#include "common/ini_file.h"
#include "common/cleanup.h"
#include "common/mem.h"
#include <errno.h>
#include <ini.h>
#include <stdbool.h>
#include <string.h>

struct ini_file {
	FILE *file;
	ini_pair_fn *on_pair;
	ini_trouble_fn *on_trouble;
	void *ctx;
	int line; /* inih's handler is not told */
};

static int ini_on_pair(void *user, const char *section, const char *name, const char *value) {
	struct ini_file *ini = user;
	ini->on_pair(&(struct ini_pair){section, name, value, ini->line}, ini->ctx);
	return 1;
}

static bool ini_line_is_text(const char *line, size_t len) {
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)line[i];
		if ((c < ' ' && c != '\t' && c != '\n' && c != '\r') || c == 0x7f) {
			return false;
		}
	}
	return true;
}

/* inih would take the rest of a long line for another line. */
static char *ini_read_line(char *out, int max, void *stream) {
	struct ini_file *ini = stream;
	CLEANUP_FREE char *line = NULL;
	size_t size = 0;
	ssize_t len = getline(&line, &size, ini->file);
	if (len < 0) {
		return NULL;
	}
	ini->line++;
	const char *trouble = NULL;
	if (!ini_line_is_text(line, (size_t)len)) {
		trouble = "has a control character, as no line of text has";
	} else if (len > max - 2) {
		trouble = "is too long; a list may be spread over several lines with the same name";
	}
	if (trouble) {
		ini->on_trouble(ini->line, trouble, ini->ctx);
		len = 0;
	}
	memcpy(out, line, (size_t)len);
	if (len == 0 || out[len - 1] != '\n') {
		out[len++] = '\n';
	}
	out[len] = '\0';
	return out;
}

void ini_file_read(FILE *file, ini_pair_fn *on_pair, ini_trouble_fn *on_trouble, void *ctx) {
	struct ini_file ini = {file, on_pair, on_trouble, ctx, 0};
#ifdef BELLWIRE_INI_IS_TUNABLE
	/* A value may hold " ;", as a command does, and an indented line is one like the others. */
	ini_allow_inline_comments = false;
	ini_allow_multiline = false;
	ini_use_stack = false;
	ini_initial_alloc = ini_max_line = INI_LINE_MAX;
#endif
	int bad_line = ini_parse_stream(ini_read_line, &ini, ini_on_pair, &ini);
	if (ferror(file)) {
		CLEANUP_FREE char *what = mem_printf("cannot be read: %s", strerror(errno));
		on_trouble(0, what, ctx);
	} else if (bad_line > 0) {
		on_trouble(bad_line, "must be \"name = value\", \"[section]\" or a comment", ctx);
	}
}
