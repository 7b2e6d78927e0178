/* SPDX-License-Identifier: Apache-2.0 */
/* Files whose saves join, with a real disk. */
#include "common/file.h"
#include "common/mem.h"
#include "distributor/disk.h"
#include <ev.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */

struct fixture {
	struct ev_loop *loop;
	struct disk *disk;
	char dir[64], path[80];
	int value, printed, told;
};

static char *print(void *ctx) {
	struct fixture *f = ctx;
	f->printed++;
	return mem_printf("%d", f->value);
}

static void on_saved(int result, void *ctx) {
	assert_int_equal(result, 0);
	((struct fixture *)ctx)->told++;
}

static int setup(void **state) {
	struct fixture *f = mem_zalloc(sizeof *f);
	(void)snprintf(f->dir, sizeof f->dir, "/tmp/test_disk.XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	(void)snprintf(f->path, sizeof f->path, "%s/file", f->dir);
	f->loop = ev_loop_new(EVBACKEND_EPOLL);
	f->disk = disk_open(f->loop);
	*state = f;
	return 0;
}

static int teardown(void **state) {
	struct fixture *f = *state;
	char before[96];
	disk_close(f->disk);
	ev_loop_destroy(f->loop);
	(void)snprintf(before, sizeof before, "%s.bak", f->path);
	(void)unlink(before);
	(void)unlink(f->path);
	(void)rmdir(f->dir);
	free(f);
	return 0;
}

static void assert_content(const struct fixture *f, const char *content) {
	char *data;
	size_t bytes;
	assert_int_equal(file_read(f->path, 100, &data, &bytes), 0);
	assert_string_equal(data, content);
	free(data);
}

static void one_that_is_released_has_its_last_save(void **state) {
	struct fixture *f = *state;
	struct state_file *file = state_file_create(f->disk, f->path, true, print, f);
	f->value = 1;
	state_file_save(file, on_saved, f); /* begins at once */
	f->value = 2;
	state_file_save(file, on_saved, f); /* would wait for the first */
	state_file_release(file);
	assert_int_equal(f->printed, 2);
	f->value = 3; /* nobody may ask for it any more */
	disk_close(f->disk);
	f->disk = NULL;
	assert_int_equal(f->printed, 2);
	assert_content(f, "2");
	assert_int_equal(f->told, 2);
}

static void one_that_is_released_at_rest_writes_nothing(void **state) {
	struct fixture *f = *state;
	state_file_release(state_file_create(f->disk, f->path, true, print, f));
	disk_close(f->disk);
	f->disk = NULL;
	assert_int_equal(f->printed, 0);
	assert_int_equal(access(f->path, F_OK), -1);
}

static void removal_follows_the_last_save(void **state) {
	struct fixture *f = *state;
	struct state_file *file = state_file_create(f->disk, f->path, true, print, f);
	state_file_save(file, NULL, NULL);
	state_file_save(file, NULL, NULL);
	state_file_release(file);
	disk_remove(f->disk, f->path);
	disk_close(f->disk);
	f->disk = NULL;
	assert_int_equal(access(f->path, F_OK), -1);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(one_that_is_released_has_its_last_save, setup, teardown),
		cmocka_unit_test_setup_teardown(
			one_that_is_released_at_rest_writes_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(removal_follows_the_last_save, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
