/* SPDX-License-Identifier: Apache-2.0 */
/* `bellwire prefer`: apps with several distributors ask an environment variable. */
#include "common/cleanup.h"
#include "common/file.h"
#include "distributor/config.h"
#include "distributor/ctl/arguments.h"
#include "distributor/ctl/commands.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char prefer_usage[] =
	"usage: bellwire prefer [--undo] [--json]\n"
	"\n"
	"Apps that find several UnifiedPush distributors take the one that the variable\n"
	"UNIFIEDPUSH_DISTRIBUTOR names; without it, KDE's apps take KDE's. Sets it for sessions that "
	"begin\n"
	"from now on, in environment.d/60-bellwire.conf of the configuration folder.\n"
	"\n"
	"  --undo   remove that file\n"
	"  --json   print the result as JSON\n";

/* KDE's library takes the last element of the bus name. */
static const char prefer_text[] = "UNIFIEDPUSH_DISTRIBUTOR=bellwire\n";

static int prefer_write(const char *path) {
	int result = file_make_folders(path);
	return result < 0 ? result : file_replace(path, prefer_text, strlen(prefer_text), 0644);
}

static int prefer_remove(const char *path) {
	return unlink(path) < 0 && errno != ENOENT ? -errno : 0;
}

int prefer_command(int argc, char **argv) {
	bool undo = false, json = false;
	const struct arguments_flag flags[] = {
		{"undo", .is_given = &undo}, {"json", .is_given = &json}, {.name = NULL}};
	const struct arguments arguments = {.usage = prefer_usage, .flags = flags};
	int result;
	if (!arguments_read(&arguments, argc, argv, NULL, &result)) {
		return result;
	}
	CLEANUP_FREE char *path = config_file_dup("environment.d/60-bellwire.conf");
	if (!path) {
		return command_fail("HOME is not set, so there is no place for it");
	}
	result = undo ? prefer_remove(path) : prefer_write(path);
	if (result < 0) {
		return command_fail(
			"%s cannot be %s: %s", path, undo ? "removed" : "written", strerror(-result));
	}
	if (json) {
		return command_print_json(json_pack("{s:s,s:b}", "file", path, "preferred", !undo))
				   ? COMMAND_OK
				   : COMMAND_FAILED;
	}
	printf("%s %s; it counts from the next login on\n", path,
		undo ? "is removed" : "names this distributor");
	return COMMAND_OK;
}
