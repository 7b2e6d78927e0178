/* SPDX-License-Identifier: Apache-2.0 */
/* What the SQLite store promises beyond the contract: files, restarts, crashes, disk trouble. */
#include "common/cleanup.h"
#include "common/mem.h"
#include "tests/contract/world.h"
#include <errno.h>
#include <fcntl.h>
#include <openssl/rand.h>
#include <poll.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum { BUSY_SEC = 7 }; /* what a busy machine may take beside the time that a step is given */

static char sqlite_dir[] = "/tmp/bellwire-sqlite-XXXXXX";
static char sqlite_path[64], sqlite_url[80];

/* ---- a disk that can be made to hang ---- */

static atomic_bool disk_hangs, disk_fails; /* once */
static atomic_int disk_waits; /* calls that hang */

/* In place of the C library's, also for SQLite. */
int fdatasync(int fd) {
	(void)atomic_fetch_add(&disk_waits, 1);
	while (atomic_load(&disk_hangs)) {
		(void)poll(NULL, 0, 5);
	}
	(void)atomic_fetch_sub(&disk_waits, 1);
	if (atomic_exchange(&disk_fails, false)) {
		errno = EIO;
		return -1;
	}
	return fsync(fd);
}

/* Until the worker is writing what was handed over, so that nothing joins that any more. */
static void wait_until_it_hangs(struct world *world) {
	for (int i = 0; i < 2000 && atomic_load(&disk_waits) == 0; i++) {
		world_run(world, 0.005);
	}
	assert_true(atomic_load(&disk_waits) > 0);
}

static int world_setup(void **state) {
	struct world *world;
	world_create(&world);
	world->limits = (struct store_limits){.queue_messages = 100000,
		.queue_bytes = 1 << 30,
		.subscriptions = 100,
		.device_sec = 1000,
		.tombstone_sec = 1000};
	*state = world;
	return 0;
}

static int world_teardown(void **state) {
	world_destroy(*state);
	static const char *const suffixes[] = {"", "-wal", "-shm", "-reserve"};
	for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
		CLEANUP_FREE char *path = mem_printf("%s%s", sqlite_path, suffixes[i]);
		(void)unlink(path);
	}
	return 0;
}

/* The first column of the only row. */
static char *sql(const char *text) {
	sqlite3 *db;
	sqlite3_stmt *row;
	assert_int_equal(sqlite3_open(sqlite_path, &db), SQLITE_OK);
	if (sqlite3_prepare_v2(db, text, -1, &row, NULL) != SQLITE_OK) {
		fail_msg("%s: %s", text, sqlite3_errmsg(db));
	}
	char *result = sqlite3_step(row) == SQLITE_ROW
					   ? mem_strdup((const char *)sqlite3_column_text(row, 0))
					   : mem_strdup("");
	(void)sqlite3_finalize(row);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	return result;
}

static void expect_sql(const char *text, const char *expected) {
	CLEANUP_FREE char *result = sql(text);
	assert_string_equal(result, expected);
}

static void reopen(struct world *world) {
	world_close(world);
	world_open(world, sqlite_url, NULL);
}

/* ---- restarts ---- */

static void a_restart_keeps_everything(void **state) {
	struct world *world = *state;
	world->limits.queue_messages = 4;
	world_open(world, sqlite_url, NULL);
	struct device_id device = new_device();
	const uint8_t key[STORE_KEY_HASH_BYTES] = {3};
	struct subscription_id open = subscribe(world, device, 1);
	struct subscription_id gone = subscribe(world, device, 2);
	struct subscription_id keyed = subscribe_with(world, device, 3, key);
	assert_int_equal(unsubscribe(world, device, 2), STORE_OK);
	CALL(world, store_set_urgency(world->store, device, URGENCY_LOW, on_done, world));
	world_wait(world);
	const struct put_facts topic = {60, URGENCY_NORMAL, "t"};
	(void)put(world, device, open, "evicted");
	(void)put_with(world, device, open, "old", topic);
	for (int i = 0; i < 3; i++) {
		(void)put(world, device, open, "x");
	}
	struct message_id last = world->put.id;
	(void)ack(world, device, 1, last);
	reopen(world);
	expect_queue(world, device, "old x x");
	assert_int_equal(attach(world, device), STORE_OK);
	assert_int_equal(world->device.missed, 1);
	assert_int_equal(world->device.min_urgency, URGENCY_LOW);
	assert_int_equal(world->device.subscriptions, 2);
	assert_int_equal(lookup(world, device, gone), STORE_GONE);
	assert_int_equal(put(world, device, keyed, "x"), STORE_KEY_MISMATCH);
	(void)put_with(world, device, open, "new", topic);
	assert_true(world->put.was_replaced);
	assert_true(message_id_compare(last, world->put.id) < 0);
	reopen(world);
	expect_queue(world, device, "x x new");
}

static void ids_of_transient_messages_never_come_again(void **state) {
	struct world *world = *state;
	world_open(world, sqlite_url, NULL);
	struct device_id device = new_device();
	struct subscription_id subscription = subscribe(world, device, 1);
	(void)put_with(world, device, subscription, "a", (struct put_facts){0, URGENCY_HIGH, NULL});
	struct message_id first = world->put.id;
	reopen(world);
	(void)put_with(world, device, subscription, "a", (struct put_facts){0, URGENCY_HIGH, NULL});
	assert_true(message_id_compare(first, world->put.id) < 0);
}

static void invites_and_quotas_survive(void **state) {
	struct world *world = *state;
	world_open(world, sqlite_url, NULL);
	struct store_subscribe what = {.device = new_device(),
		.channel = channel(1),
		.fresh = new_subscription(),
		.invite = {{9}},
		.invite_devices = 1,
		.messages_per_day = 2};
	struct device_id first = what.device;
	CALL(world, store_subscribe(world->store, &what, on_subscribed, world));
	world_wait(world);
	assert_int_equal(put(world, first, what.fresh, "a"), STORE_OK);
	reopen(world);
	assert_int_equal(put(world, first, what.fresh, "b"), STORE_OK);
	assert_int_equal(put(world, first, what.fresh, "c"), STORE_OVER_QUOTA);
	what.device = new_device();
	what.fresh = new_subscription();
	CALL(world, store_subscribe(world->store, &what, on_subscribed, world));
	world_wait(world);
	assert_int_equal(world->subscribed.outcome, STORE_FULL);
	CALL(world, store_remove_invited(world->store, what.invite, on_done, world));
	world_wait(world);
	reopen(world);
	assert_int_equal(attach(world, first), STORE_MISSING);
	world_close(world);
	expect_sql("SELECT count(*) FROM message", "0");
	expect_sql("SELECT count(*) FROM body", "0");
	expect_sql("SELECT count(*) FROM device", "0");
}

static void a_message_replaced_in_its_batch_is_never_written(void **state) {
	struct world *world = *state;
	world_open(world, sqlite_url, NULL);
	struct device_id device = new_device();
	struct subscription_id subscription = subscribe(world, device, 1);
	const struct store_put what = {.device = device,
		.subscription = subscription,
		.ttl_sec = 60,
		.urgency = URGENCY_NORMAL,
		.topic = slice_of("t"),
		.body = slice_of("x")};
	for (int i = 0; i < 50; i++) {
		CALL(world, store_put(world->store, &what, on_put, world));
	}
	world_wait(world);
	expect_queue(world, device, "x");
	world_close(world);
	expect_sql("SELECT count(*) FROM message", "1");
	expect_sql("SELECT count(*) FROM body", "1");
}

static void rows_without_an_owner_are_cleared_away(void **state) {
	struct world *world = *state;
	world_open(world, sqlite_url, NULL);
	world_close(world);
	free(sql("INSERT INTO message VALUES(5, 77, 1, 1, 1, NULL)"));
	free(sql("INSERT INTO body VALUES(5, NULL, NULL, NULL, 'x')"));
	free(sql(
		"INSERT INTO subscription VALUES(9, randomblob(16), randomblob(16), zeroblob(16), NULL, "
		"0)"));
	free(sql("INSERT INTO device VALUES(8, zeroblob(16), 1, 0, 0, NULL, 0, 0, 0)"));
	world_open(world, sqlite_url, NULL);
	world_close(world);
	expect_sql("SELECT count(*) FROM message", "0");
	expect_sql("SELECT count(*) FROM body", "0");
	expect_sql("SELECT count(*) FROM subscription", "0");
	expect_sql("SELECT count(*) FROM device", "0");
}

static void starting_with_many_messages_is_quick(void **state) {
	struct world *world = *state;
	enum { MANY = 20000 };
	world_open(world, sqlite_url, NULL);
	struct device_id device = new_device();
	struct subscription_id subscription = subscribe(world, device, 1);
	const struct store_put what = {.device = device,
		.subscription = subscription,
		.ttl_sec = 60,
		.urgency = URGENCY_NORMAL,
		.body = slice_of("some body")};
	for (int i = 0; i < MANY; i++) {
		CALL(world, store_put(world->store, &what, on_put, world));
	}
	world_wait(world);
	world_close(world);
	ev_tstamp began = ev_time();
	world_open(world, sqlite_url, NULL);
	print_message("opened with %d messages in %.3f s\n", MANY, ev_time() - began);
	struct store_stats stats;
	store_get_stats(world->store, &stats);
	assert_int_equal(stats.queued_messages, MANY);
}

/* ---- files that cannot be used ---- */

static void expect_refusal(struct world *world, const char *url, const char *part) {
	char *error = NULL;
	world_open(world, url, &error);
	assert_null(world->store);
	assert_non_null(error);
	if (!strstr(error, part)) {
		fail_msg("\"%s\" does not say \"%s\"", error, part);
	}
	free(error);
}

static void a_file_in_use_is_refused(void **state) {
	struct world *world = *state;
	world_open(world, sqlite_url, NULL);
	(void)fflush(NULL);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		const struct store_options options = {
			.url = sqlite_url, .loop = ev_loop_new(EVBACKEND_EPOLL), .limits = world->limits};
		char *error = NULL;
		struct store *second = store_open(&options, &error);
		_exit(!second && strstr(error, "in use by another process") ? 0 : 1);
	}
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

static void a_file_that_is_no_store_is_refused(void **state) {
	struct world *world = *state;
	FILE *file = fopen(sqlite_path, "w");
	for (int i = 0; i < 1000; i++) {
		fputs("this is no database ", file);
	}
	assert_int_equal(fclose(file), 0);
	assert_int_equal(chmod(sqlite_path, 0600), 0);
	expect_refusal(world, sqlite_url, "damaged or no SQLite file");
	assert_int_equal(chmod(sqlite_path, 0644), 0);
	expect_refusal(world, sqlite_url, "chmod 600");
	expect_refusal(world, "sqlite:", "names no file");
	expect_refusal(world, "sqlite:/nonexistent/dir/x.db", "create its directory");
	expect_refusal(world, "sqlite:/tmp", "cannot be opened");
}

static void a_store_of_another_version_is_refused(void **state) {
	struct world *world = *state;
	world_open(world, sqlite_url, NULL);
	world_close(world);
	free(sql("PRAGMA user_version=99"));
	expect_refusal(world, sqlite_url, "another version");
}

static void a_damaged_file_is_refused_or_said_to_be(void **state) {
	struct world *world = *state;
	world_open(world, sqlite_url, NULL);
	(void)subscribe(world, new_device(), 1);
	world_close(world);
	int fd = open(sqlite_path, O_WRONLY | O_CLOEXEC);
	char noise[8192];
	assert_int_equal(RAND_bytes((unsigned char *)noise, sizeof noise), 1);
	assert_int_equal(pwrite(fd, noise, sizeof noise, 100), sizeof noise);
	assert_int_equal(close(fd), 0);
	expect_refusal(world, sqlite_url, "damaged");
}

static void only_the_owner_may_read_its_files(void **state) {
	struct world *world = *state;
	mode_t old = umask(0);
	world_open(world, sqlite_url, NULL);
	(void)subscribe(world, new_device(), 1);
	(void)umask(old);
	static const char *const suffixes[] = {"", "-wal", "-reserve"};
	for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
		CLEANUP_FREE char *path = mem_printf("%s%s", sqlite_path, suffixes[i]);
		struct stat status;
		assert_int_equal(stat(path, &status), 0);
		assert_int_equal(status.st_mode & 0777, 0600);
	}
}

/* ---- disk trouble ---- */

/* No file may grow behind this size: writes fail as on a broken disk. 0 takes the limit away. */
static void limit_files(rlim_t bytes) {
	struct rlimit limit;
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = bytes ? bytes : limit.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void sweep_until_available(struct world *world) {
	for (int i = 0; i < 100 && !store_is_available(world->store); i++) {
		store_sweep(world->store);
		world_run(world, 0.1);
	}
	assert_true(store_is_available(world->store));
}

static void a_failed_write_undoes_the_put_and_all_it_did(void **state) {
	struct world *world = *state;
	world->limits.queue_messages = 3;
	world_open(world, sqlite_url, NULL);
	struct device_id device = new_device();
	struct subscription_id subscription = subscribe(world, device, 1);
	const struct put_facts topic = {60, URGENCY_NORMAL, "t"};
	(void)put_with(world, device, subscription, "a", topic);
	(void)put(world, device, subscription, "b");
	(void)put(world, device, subscription, "c");
	struct message_id c = world->put.id;
	(void)signal(SIGXFSZ, SIG_IGN);
	limit_files(4096);
	assert_int_equal(put_with(world, device, subscription, "d", topic), STORE_UNAVAILABLE);
	assert_false(store_is_available(world->store));
	assert_int_equal(world->state_changes, 1);
	assert_non_null(strstr(world->reason, sqlite_path));
	world_run(world, 0.3);
	assert_int_equal(put(world, device, subscription, "e"), STORE_UNAVAILABLE);
	(void)subscribe(world, device, 2);
	assert_int_equal(world->subscribed.outcome, STORE_UNAVAILABLE);
	assert_int_equal(attach(world, device), STORE_OK);
	assert_int_equal(world->device.missed, 0);
	/* What the device took stays taken, though it cannot be written yet. */
	assert_int_equal(ack(world, device, 1, c), 1);
	assert_int_equal(world->done, STORE_UNAVAILABLE);
	expect_queue(world, device, "a b");
	limit_files(0);
	sweep_until_available(world);
	assert_int_equal(world->state_changes, 2);
	assert_int_equal(put_with(world, device, subscription, "f", topic), STORE_OK);
	reopen(world);
	expect_queue(world, device, "b f");
	world_close(world);
	expect_sql("PRAGMA integrity_check", "ok");
}

/* A disk of 4 MiB with a store on it; skips where it cannot be mounted. Where it lies is for
 * small_disk_close. */
static char *small_disk_open(struct world *world, char **out_url) {
	char *mount_point = mem_printf("%s/disk", sqlite_dir);
	(void)mkdir(mount_point, 0700);
	if (mount("tmpfs", mount_point, "tmpfs", 0, "size=4m,mode=0700") != 0) {
		print_message("skipped: a small disk cannot be mounted here: %s\n", strerror(errno));
		free(mount_point);
		skip();
	}
	*out_url = mem_printf("sqlite:%s/s.db", mount_point);
	world_open(world, *out_url, NULL);
	return mount_point;
}

static void small_disk_close(struct world *world, char *mount_point, char *url) {
	world_close(world);
	assert_int_equal(umount2(mount_point, MNT_DETACH), 0);
	assert_int_equal(rmdir(mount_point), 0);
	free(mount_point);
	free(url);
}

/* Puts until there is no room; how many were stored. */
static size_t small_disk_fill(
	struct world *world, struct device_id device, struct subscription_id subscription) {
	static char body[4000];
	size_t stored = 0;
	while (put_slice(world, device, subscription, (struct slice){body, sizeof body}) == STORE_OK) {
		stored++;
		assert_true(stored < 2000);
	}
	assert_true(stored > 100);
	assert_int_equal(world->put.outcome, STORE_UNAVAILABLE);
	return stored;
}

static void a_full_disk_can_be_drained(void **state) {
	struct world *world = *state;
	char *url, *mount_point = small_disk_open(world, &url);
	struct device_id device = new_device();
	struct subscription_id subscription = subscribe(world, device, 1);
	size_t stored = small_disk_fill(world, device, subscription);
	size_t taken = 0;
	struct message_id after = {0, 0};
	do {
		fetch_with(world, device, after, URGENCY_VERY_LOW, 32);
		assert_int_equal(world->fetched.outcome, STORE_OK);
		after = world->fetched.next;
		for (size_t i = 0; i < world->fetched.count; i++) {
			taken += ack(world, device, 1, world->ids[i]);
			assert_int_equal(world->done, STORE_OK); /* written, on a full disk */
		}
	} while (world->fetched.has_more);
	assert_int_equal(taken, stored);
	sweep_until_available(world);
	assert_int_equal(put(world, device, subscription, "again"), STORE_OK);
	expect_queue(world, device, "again");
	world_close(world);
	world_open(world, url, NULL);
	expect_queue(world, device, "again");
	small_disk_close(world, mount_point, url);
}

/* More at once than the WAL has room for. */
static void a_full_disk_can_be_emptied_at_once(void **state) {
	struct world *world = *state;
	char *url, *mount_point = small_disk_open(world, &url);
	struct device_id device = new_device();
	struct subscription_id kept = subscribe(world, device, 1);
	assert_int_equal(put(world, device, kept, "kept"), STORE_OK);
	(void)small_disk_fill(world, device, subscribe(world, device, 2));
	assert_int_equal(unsubscribe(world, device, 2), STORE_OK);
	sweep_until_available(world);
	assert_int_equal(put(world, device, kept, "again"), STORE_OK);
	world_close(world);
	world_open(world, url, NULL);
	expect_queue(world, device, "kept again");
	small_disk_close(world, mount_point, url);
}

static void a_hanging_disk_holds_nobody_up(void **state) {
	struct world *world = *state;
	world_open(world, sqlite_url, NULL);
	struct device_id device = new_device();
	struct subscription_id subscription = subscribe(world, device, 1);
	(void)put(world, device, subscription, "before");
	struct message_id before = world->put.id;
	atomic_store(&disk_hangs, true);
	ev_now_update(world->loop);
	ev_tstamp began = ev_now(world->loop);
	char *body = mem_strdup("under way");
	const struct store_put what = {.device = device,
		.subscription = subscription,
		.ttl_sec = 60,
		.urgency = URGENCY_NORMAL,
		.body = slice_of(body)};
	CALL(world, store_put(world->store, &what, on_put, world));
	wait_until_it_hangs(world);
	CALL(world, store_put(world->store, &what, on_put, world));
	CALL(world, store_fetch(world->store, device, (struct message_id){0, 0}, URGENCY_LOW, 5,
					on_fetched, world));
	CALL(world, store_attach(world->store, device, on_device, world));
	while (world->waiting > 0 && ev_now(world->loop) < began + 20) {
		store_sweep(world->store);
		world_run(world, 0.2);
	}
	assert_int_equal(world->waiting, 0);
	assert_true(ev_now(world->loop) - began < STORE_DEADLINE_MS / 1000.0 + BUSY_SEC);
	assert_int_equal(world->put.outcome, STORE_UNAVAILABLE);
	assert_int_equal(world->fetched.outcome, STORE_UNAVAILABLE);
	assert_int_equal(world->device.outcome, STORE_OK);
	assert_false(store_is_available(world->store));
	memset(body, 'X', strlen(body)); /* it is ours again */
	free(body);
	/* Everything is answered at once meanwhile. */
	assert_int_equal(put(world, device, subscription, "refused"), STORE_UNAVAILABLE);
	assert_int_equal(lookup(world, device, subscription), STORE_OK);
	assert_int_equal(ack(world, device, 1, before), 1);
	assert_int_equal(world->done, STORE_UNAVAILABLE);
	fetch_with(world, device, (struct message_id){0, 0}, URGENCY_LOW, 5);
	assert_int_equal(world->fetched.count, 0);
	atomic_store(&disk_hangs, false);
	sweep_until_available(world);
	assert_int_equal(put(world, device, subscription, "after"), STORE_OK);
	/* What came of the two put under way was unknown; they were written after all. */
	assert_int_equal(world->wakes, 2);
	reopen(world);
	fetch_with(world, device, (struct message_id){0, 0}, URGENCY_LOW, 9);
	assert_int_equal(world->fetched.count, 3);
	assert_string_equal(world->bodies[0], "under way");
	assert_string_equal(world->bodies[2], "after");
}

static void closing_does_not_wait_for_a_hanging_disk(void **state) {
	struct world *world = *state;
	world_open(world, sqlite_url, NULL);
	struct device_id device = new_device();
	struct subscription_id subscription = subscribe(world, device, 1);
	const struct store_put what = {.device = device,
		.subscription = subscription,
		.ttl_sec = 60,
		.urgency = URGENCY_NORMAL,
		.topic = slice_of("topic"),
		.body = slice_of("under way")};
	atomic_store(&disk_hangs, true);
	CALL(world, store_put(world->store, &what, on_put, world));
	wait_until_it_hangs(world);
	CALL(world, store_put(world->store, &what, on_put, world)); /* behind it, replaces it */
	ev_tstamp began = ev_time();
	world_close(world);
	assert_true(ev_time() - began < STORE_DEADLINE_MS / 1000.0 + BUSY_SEC);
	assert_int_equal(world->put.outcome, STORE_UNAVAILABLE);
	atomic_store(&disk_hangs, false);
	/* Now it ends what was under way, and gives the file back. */
	char *error = NULL;
	for (int i = 0; i < 100 && !world->store; i++) {
		free(error);
		world_open(world, sqlite_url, &error);
		(void)poll(NULL, 0, world->store ? 0 : 50);
	}
	assert_non_null(world->store);
	expect_queue(world, device, "under way");
}

/* ---- batches that wait behind one that is being written ---- */

/* A put that is under way, and what came of it. */
struct pending_put {
	struct world *world;
	enum store_outcome outcome;
	bool *other_is_answered; /* before this one? */
	bool was_after, is_answered;
};

static void on_pending_put(const struct store_put_result *result, void *ctx) {
	struct pending_put *pending = ctx;
	pending->outcome = result->outcome;
	pending->is_answered = true;
	pending->was_after = pending->other_is_answered && *pending->other_is_answered;
	world_answered(pending->world);
}

static void put_pending(struct pending_put *pending, struct device_id device,
	struct subscription_id subscription, const char *body) {
	const struct store_put what = {.device = device,
		.subscription = subscription,
		.ttl_sec = 60,
		.urgency = URGENCY_NORMAL,
		.body = slice_of(body)};
	CALL(pending->world, store_put(pending->world->store, &what, on_pending_put, pending));
	world_run(pending->world, 0.01); /* until it was handed over */
}

static void a_failed_batch_does_not_take_the_next_with_it(void **state) {
	struct world *world = *state;
	world_open(world, sqlite_url, NULL);
	struct device_id device = new_device();
	struct subscription_id subscription = subscribe(world, device, 1);
	struct pending_put first = {.world = world};
	struct pending_put second = {.world = world, .other_is_answered = &first.is_answered};
	struct pending_put third = {.world = world, .other_is_answered = &second.is_answered};
	atomic_store(&disk_hangs, true);
	put_pending(&first, device, subscription, "first");
	wait_until_it_hangs(world);
	put_pending(&second, device, subscription, "second");
	put_pending(&third, device, subscription, "third"); /* joins the second */
	atomic_store(&disk_fails, true);
	atomic_store(&disk_hangs, false);
	world_wait(world);
	assert_int_equal(first.outcome, STORE_UNAVAILABLE);
	assert_int_equal(second.outcome, STORE_OK);
	assert_int_equal(third.outcome, STORE_OK);
	assert_true(second.was_after && third.was_after);
	expect_queue(world, device, "second third");
	reopen(world);
	expect_queue(world, device, "second third");
}

/* What a start after a crash at this moment would find. */
static void expect_sql_after_crash(const char *text, const char *expected) {
	CLEANUP_FREE char *copy = mem_printf("cp %s %s-crash && cp %s-wal %s-crash-wal", sqlite_path,
		sqlite_path, sqlite_path, sqlite_path);
	assert_int_equal(system(copy), 0);
	sqlite3 *db;
	sqlite3_stmt *row;
	CLEANUP_FREE char *path = mem_printf("%s-crash", sqlite_path);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, text, -1, &row, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(row), SQLITE_ROW);
	assert_string_equal((const char *)sqlite3_column_text(row, 0), expected);
	(void)sqlite3_finalize(row);
	assert_int_equal(sqlite3_close(db), SQLITE_OK); /* takes the WAL with it */
	(void)unlink(path);
}

static void on_subscribed_again(const struct store_subscribed *result, void *ctx) {
	if (result->outcome == STORE_OK) {
		expect_sql_after_crash("SELECT count(*) FROM subscription", "2");
	}
	on_subscribed(result, ctx);
}

/* The second subscribe finds the first one's subscription, which the disk then refuses. */
static void what_failed_is_written_before_it_is_promised(void **state) {
	struct world *world = *state;
	world_open(world, sqlite_url, NULL);
	const struct store_subscribe what = {
		.device = new_device(), .channel = channel(1), .fresh = new_subscription()};
	(void)put(world, what.device, subscribe(world, what.device, 2), "something to read");
	atomic_store(&disk_hangs, true);
	CALL(world, store_subscribe(world->store, &what, on_subscribed, world));
	wait_until_it_hangs(world);
	CALL(world, store_subscribe(world->store, &what, on_subscribed_again, world));
	CALL(world, store_fetch(world->store, what.device, (struct message_id){0, 0}, URGENCY_LOW, 5,
					on_fetched, world));
	world_run(world, 0.01);
	atomic_store(&disk_fails, true);
	atomic_store(&disk_hangs, false);
	world_wait(world);
	assert_int_equal(world->subscribed.outcome, STORE_OK);
}

struct asker {
	struct world *world;
	struct device_id device;
};

static void fetch_when_looked_up(const struct store_subscription *subscription, void *ctx) {
	struct asker *asker = ctx;
	struct world *world = asker->world;
	CALL(world, store_fetch(world->store, asker->device, (struct message_id){0, 0}, URGENCY_LOW, 5,
					on_fetched, world));
	on_subscription(subscription, world);
}

/* The look-up is answered from a batch that has nothing to write, and what it brings has. */
static void what_an_answer_asks_for_is_read(void **state) {
	struct world *world = *state;
	world_open(world, sqlite_url, NULL);
	struct asker asker = {world, new_device()};
	struct subscription_id subscription = subscribe(world, asker.device, 1);
	(void)put(world, asker.device, subscription, "kept");
	struct pending_put pending = {.world = world};
	atomic_store(&disk_hangs, true);
	put_pending(&pending, asker.device, subscription, "under way");
	wait_until_it_hangs(world);
	CALL(world,
		store_lookup(world->store, asker.device, subscription, fetch_when_looked_up, &asker));
	world_run(world, 0.01);
	atomic_store(&disk_hangs, false);
	world_wait(world);
	assert_int_equal(world->fetched.count, 2);
	assert_string_equal(world->bodies[0], "kept");
	assert_string_equal(world->bodies[1], "under way");
}

/* ---- kill -9 ---- */

enum { KILL_ROUNDS = 8, KILL_IN_FLIGHT = 16 };

/* What the child tells its parent through the pipe, once it is durable. */
struct told {
	uint64_t lo;
	bool is_acked;
};
struct killed {
	struct store *store;
	struct device_id device;
	struct subscription_id subscription;
	int pipe;
};
struct killed_put {
	struct killed *killed;
	struct message_id id;
};

static void killed_tell(const struct killed *killed, uint64_t lo, bool is_acked) {
	const struct told told = {lo, is_acked};
	if (write(killed->pipe, &told, sizeof told) != (ssize_t)sizeof told) {
		_exit(3);
	}
}

static void killed_put_next(struct killed_put *put);

static void killed_on_acked(enum store_outcome outcome, size_t removed, void *ctx) {
	struct killed_put *put = ctx;
	if (outcome == STORE_OK && removed == 1) {
		killed_tell(put->killed, put->id.lo, true);
	}
	killed_put_next(put);
}

static void killed_on_put(const struct store_put_result *result, void *ctx) {
	struct killed_put *put = ctx;
	if (result->outcome != STORE_OK) {
		_exit(4);
	}
	killed_tell(put->killed, result->id.lo, false);
	put->id = result->id;
	if (result->id.lo % 3 == 0) {
		const struct store_ack what = {channel(1), result->id};
		store_ack(put->killed->store, put->killed->device, &what, 1, killed_on_acked, put);
	} else {
		killed_put_next(put);
	}
}

static void killed_put_next(struct killed_put *put) {
	const struct store_put what = {.device = put->killed->device,
		.subscription = put->killed->subscription,
		.ttl_sec = 600,
		.urgency = URGENCY_NORMAL,
		.body = slice_of("kept")};
	store_put(put->killed->store, &what, killed_on_put, put);
}

static void killed_run(const struct world *world, struct device_id device,
	struct subscription_id subscription, int pipe) {
	const struct store_options options = {
		.url = sqlite_url, .loop = ev_loop_new(EVBACKEND_EPOLL), .limits = world->limits};
	char *error;
	struct killed killed = {
		store_open(&options, &error), .device = device, .subscription = subscription, .pipe = pipe};
	if (!killed.store) {
		_exit(2);
	}
	ev_ref(options.loop);
	struct killed_put puts[KILL_IN_FLIGHT];
	for (size_t i = 0; i < KILL_IN_FLIGHT; i++) {
		puts[i].killed = &killed;
		killed_put_next(&puts[i]);
	}
	ev_run(options.loop, 0);
	_exit(5);
}

static int lo_compare(const void *a, const void *b) {
	uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
	return left < right ? -1 : left > right;
}

/* All that is queued, by fetching. */
static uint64_t *fetch_all(struct world *world, struct device_id device, size_t *out_count) {
	uint64_t *all = NULL;
	size_t count = 0;
	struct message_id after = {0, 0};
	do {
		fetch_with(world, device, after, URGENCY_VERY_LOW, STORE_FETCH_MAX);
		after = world->fetched.next;
		all = mem_realloc(all, (count + STORE_FETCH_MAX) * sizeof *all);
		for (size_t i = 0; i < world->fetched.count; i++) {
			assert_string_equal(world->bodies[i], "kept");
			all[count++] = world->ids[i].lo;
		}
	} while (world->fetched.has_more);
	*out_count = count;
	return all;
}

static void read_and_kill(int pipe, pid_t child, size_t target, struct told **told, size_t *count) {
	struct told one;
	bool is_killed = false;
	while (read(pipe, &one, sizeof one) == (ssize_t)sizeof one) {
		*told = mem_realloc(*told, (*count + 1) * sizeof one);
		(*told)[(*count)++] = one;
		if (!is_killed && *count >= target) {
			is_killed = kill(child, SIGKILL) == 0;
		}
	}
}

static void a_kill_loses_nothing_and_brings_nothing_back(void **state) {
	struct world *world = *state;
	world_open(world, sqlite_url, NULL);
	struct device_id device = new_device();
	struct subscription_id subscription = subscribe(world, device, 1);
	struct told *told = NULL;
	size_t told_count = 0;
	for (int round = 0; round < KILL_ROUNDS; round++) {
		world_close(world);
		int pipes[2];
		assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
		(void)fflush(NULL);
		pid_t child = fork();
		assert_true(child >= 0);
		if (child == 0) {
			killed_run(world, device, subscription, pipes[1]);
		}
		(void)close(pipes[1]);
		uint16_t random;
		assert_int_equal(RAND_bytes((unsigned char *)&random, sizeof random), 1);
		read_and_kill(pipes[0], child, told_count + 1 + random % 1000, &told, &told_count);
		(void)close(pipes[0]);
		int status;
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_true(WIFSIGNALED(status));
		CLEANUP_FREE char *check = sql("PRAGMA integrity_check");
		assert_string_equal(check, "ok");
		world_open(world, sqlite_url, NULL);
		size_t count;
		CLEANUP_FREE uint64_t *all = fetch_all(world, device, &count);
		CLEANUP_FREE uint64_t *acked = mem_alloc((told_count + 1) * sizeof *acked);
		size_t acked_count = 0;
		for (size_t i = 0; i < told_count; i++) {
			if (told[i].is_acked) {
				acked[acked_count++] = told[i].lo;
				assert_null(bsearch(&told[i].lo, all, count, sizeof *all, lo_compare));
			}
		}
		qsort(acked, acked_count, sizeof *acked, lo_compare);
		for (size_t i = 0; i < told_count; i++) {
			/* An acknowledgement may have been written and not been told. */
			if (told[i].lo % 3 != 0 && !bsearch(&told[i].lo, all, count, sizeof *all, lo_compare)) {
				fail_msg("message %llu is lost", (unsigned long long)told[i].lo);
			}
		}
	}
	print_message("%zu reports in %d rounds\n", told_count, KILL_ROUNDS);
	free(told);
}

int main(void) {
	if (!mkdtemp(sqlite_dir)) {
		perror(sqlite_dir);
		return 1;
	}
	(void)snprintf(sqlite_path, sizeof sqlite_path, "%s/store.db", sqlite_dir);
	(void)snprintf(sqlite_url, sizeof sqlite_url, "sqlite:%s", sqlite_path);
#define TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_restart_keeps_everything),
		TEST(ids_of_transient_messages_never_come_again),
		TEST(invites_and_quotas_survive),
		TEST(a_message_replaced_in_its_batch_is_never_written),
		TEST(rows_without_an_owner_are_cleared_away),
		TEST(starting_with_many_messages_is_quick),
		TEST(a_file_in_use_is_refused),
		TEST(a_file_that_is_no_store_is_refused),
		TEST(a_store_of_another_version_is_refused),
		TEST(a_damaged_file_is_refused_or_said_to_be),
		TEST(only_the_owner_may_read_its_files),
		TEST(a_failed_write_undoes_the_put_and_all_it_did),
		TEST(a_full_disk_can_be_drained),
		TEST(a_full_disk_can_be_emptied_at_once),
		TEST(a_hanging_disk_holds_nobody_up),
		TEST(closing_does_not_wait_for_a_hanging_disk),
		TEST(a_failed_batch_does_not_take_the_next_with_it),
		TEST(what_failed_is_written_before_it_is_promised),
		TEST(what_an_answer_asks_for_is_read),
		TEST(a_kill_loses_nothing_and_brings_nothing_back),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	(void)rmdir(sqlite_dir);
	return failed;
}
