/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a fuzz target once on every file of a folder, so that found crashes stay tests without
 * libFuzzer. */
#include "common/cleanup.h"
#include "common/mem.h"
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay_file(const char *folder, const char *name) {
	CLEANUP_FREE char *path = mem_printf("%s/%s", folder, name);
	FILE *file = fopen(path, "rb");
	if (!file) {
		perror(path);
		return -1;
	}
	static uint8_t data[1 << 20];
	size_t size = fread(data, 1, sizeof data, file);
	(void)fclose(file);
	CLEANUP_FREE uint8_t *exact = mem_dup(data, size); /* so that a read behind the end is seen */
	(void)LLVMFuzzerTestOneInput(exact, size);
	return 0;
}

int main(int argc, char **argv) {
	if (argc != 2) {
		fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
		return 2;
	}
	DIR *dir = opendir(argv[1]);
	if (!dir) {
		perror(argv[1]);
		return 1;
	}
	int files = 0, failed = 0;
	for (struct dirent *entry; (entry = readdir(dir));) {
		if (entry->d_name[0] != '.') {
			files++;
			failed |= replay_file(argv[1], entry->d_name);
		}
	}
	(void)closedir(dir);
	printf("%d seeds\n", files);
	return failed || files == 0;
}
