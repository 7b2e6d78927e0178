/* SPDX-License-Identifier: Apache-2.0 */
/* As execvp() looks for it. */
#include "distributor/action/program.h"
#include "common/cleanup.h"
#include "common/mem.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

char *program_find_dup(const char *program) {
	if (strchr(program, '/')) {
		return program[0] == '/' ? mem_strdup(program) : NULL;
	}
	const char *path = getenv("PATH");
	for (const char *at = path ? path : "/usr/local/bin:/usr/bin:/bin"; *at;) {
		size_t len = strcspn(at, ":");
		CLEANUP_FREE char *whole = mem_printf("%.*s/%s", (int)len, at, program);
		if (at[0] == '/' && access(whole, X_OK) == 0) {
			return steal(&whole);
		}
		at += len + (at[len] == ':');
	}
	return NULL;
}
