/* SPDX-License-Identifier: Apache-2.0 */
/* Line by line: what belongs to the section is left out. */
#include "distributor/ctl/config_section.h"
#include "common/mem.h"
#include "common/slice.h"
#include <stdbool.h>
#include <string.h>

char *config_section_add_dup(const char *text, const char *section) {
	size_t len = strlen(text);
	const char *between = len == 0 ? "" : text[len - 1] == '\n' ? "\n" : "\n\n";
	return mem_printf("%s%s%s", text, between, section);
}

/* What stands in the brackets; an empty slice with NULL when the line is no header. */
static struct slice config_section_header(struct slice line) {
	line = slice_trim(line);
	const char *end = line.len > 0 && line.data[0] == '[' ? memchr(line.data, ']', line.len) : NULL;
	return end ? (struct slice){line.data + 1, (size_t)(end - line.data) - 1}
			   : (struct slice){NULL, 0};
}

static bool config_section_is(struct slice header, const char *kind, const char *name) {
	if (!header.data || !slice_starts_with(header, kind)) {
		return false;
	}
	size_t kind_len = strlen(kind);
	return slice_equals(
		slice_trim((struct slice){header.data + kind_len, header.len - kind_len}), name);
}

static bool config_section_is_pair(struct slice line) {
	line = slice_trim(line);
	return line.len > 0 && line.data[0] != ';' && line.data[0] != '#';
}

char *config_section_remove_dup(const char *text, const char *kind, const char *name) {
	char *kept = mem_alloc(strlen(text) + 1);
	size_t used = 0;
	bool is_inside = false;
	const char *loose = NULL; /* lines behind the section's last pair */
	for (const char *at = text; *at;) {
		size_t len = strcspn(at, "\n"), whole = len + (at[len] == '\n');
		struct slice line = {at, len}, header = config_section_header(line);
		bool was_inside = is_inside;
		is_inside = header.data ? config_section_is(header, kind, name) : is_inside;
		if (was_inside && header.data && !is_inside && loose) {
			memcpy(kept + used, loose, (size_t)(at - loose));
			used += (size_t)(at - loose);
		}
		if (!is_inside) {
			memcpy(kept + used, at, whole);
			used += whole;
		} else if (header.data || config_section_is_pair(line)) {
			loose = at + whole;
		}
		at += whole;
	}
	kept[used] = '\0';
	return kept;
}
