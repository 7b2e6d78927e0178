/* SPDX-License-Identifier: Apache-2.0 */
/* The worker thread that writes, and files whose saves join. */
#include "distributor/disk.h"
#include "common/cleanup.h"
#include "common/file.h"
#include "common/list.h"
#include "common/log.h"
#include "common/mem.h"
#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct disk_job {
	struct list link; /* struct disk::waiting, then ::finished */
	char *path, *data; /* data NULL: remove */
	size_t bytes;
	bool has_copy; /* PATH.bak is to be the same, later */
	bool is_urgent; /* somebody waits for the answer */
	int result;
	disk_done_fn *done;
	void *ctx;
};

struct disk_copy {
	struct list link; /* struct disk::copies */
	char *path, *data; /* path without .bak */
	size_t bytes;
};

struct disk {
	struct ev_loop *loop;
	ev_async finished_async;
	pthread_t thread;
	pthread_mutex_t lock; /* for all below */
	pthread_cond_t asked;
	struct list waiting, finished; /* struct disk_job::link */
	bool is_closing;
	/* struct disk_copy::link; the worker's own, to be written when it has nothing else to do */
	struct list copies;
	disk_trouble_fn *trouble; /* the loop's, as all below */
	void *trouble_ctx;
	unsigned int failing;
};

static int disk_job_run(const struct disk_job *job) {
	if (job->data) {
		return file_replace(job->path, job->data, job->bytes, 0600);
	}
	return unlink(job->path) < 0 && errno != ENOENT ? -errno : 0;
}

/* ---- copies, by the worker ---------------------------------------------------------------------
 */

static void disk_copy_free(struct disk_copy *copy) {
	list_remove(&copy->link);
	free(copy->path);
	free(copy->data);
	free(copy);
}

/* What was to be copied of the job's file is of no use any more. */
static void disk_copies_drop(struct disk *disk, const struct disk_job *job) {
	struct disk_copy *copy, *next;
	LIST_FOREACH_SAFE (copy, next, &disk->copies, link) {
		if (strcmp(copy->path, job->path) == 0) {
			disk_copy_free(copy);
		}
	}
}

static void disk_copies_plan(struct disk *disk, struct disk_job *job) {
	struct disk_copy *copy = mem_zalloc(sizeof *copy);
	list_init(&copy->link);
	copy->path = mem_strdup(job->path);
	copy->data = steal(&job->data);
	copy->bytes = job->bytes;
	list_append(&disk->copies, &copy->link);
}

static void disk_copy_write(struct disk_copy *copy) {
	CLEANUP_FREE char *path = mem_printf("%s.bak", copy->path);
	/* nobody counts on it as long as the file itself is good */
	(void)file_replace(path, copy->data, copy->bytes, 0600);
	disk_copy_free(copy);
}

/* ---- the worker --------------------------------------------------------------------------------
 */

static void disk_do(struct disk *disk, struct disk_job *job) {
	job->result = disk_job_run(job);
	disk_copies_drop(disk, job);
	if (job->has_copy && job->result == 0) {
		disk_copies_plan(disk, job);
	}
}

/* NULL: there is none, but a copy to be written, or it is the end. */
static struct disk_job *disk_next_job(struct disk *disk) {
	(void)pthread_mutex_lock(&disk->lock);
	struct disk_job *job;
	while (!(job = list_first(&disk->waiting, struct disk_job, link)) && !disk->is_closing &&
		   list_is_empty(&disk->copies)) {
		(void)pthread_cond_wait(&disk->asked, &disk->lock);
	}
	if (job) {
		list_remove(&job->link);
	}
	(void)pthread_mutex_unlock(&disk->lock);
	return job;
}

static void *disk_work(void *arg) {
	struct disk *disk = arg;
	struct disk_job *job;
	while ((job = disk_next_job(disk)) || !list_is_empty(&disk->copies)) {
		if (!job) {
			disk_copy_write(list_first(&disk->copies, struct disk_copy, link));
			continue;
		}
		disk_do(disk, job);
		(void)pthread_mutex_lock(&disk->lock);
		list_append(&disk->finished, &job->link);
		(void)pthread_mutex_unlock(&disk->lock);
		ev_async_send(disk->loop, &disk->finished_async);
	}
	return NULL;
}

/* ---- the loop ----------------------------------------------------------------------------------
 */

static void disk_finish_jobs(struct disk *disk) {
	struct list finished;
	list_init(&finished);
	(void)pthread_mutex_lock(&disk->lock);
	list_splice(&finished, &disk->finished);
	(void)pthread_mutex_unlock(&disk->lock);
	struct disk_job *job;
	while ((job = list_first(&finished, struct disk_job, link))) {
		list_remove(&job->link);
		if (job->done) {
			job->done(job->result, job->ctx);
		}
		free(job->path);
		free(job->data);
		free(job);
	}
}

static void disk_on_finished(struct ev_loop *loop, ev_async *async, int events) {
	(void)loop;
	(void)events;
	disk_finish_jobs(async->data);
}

static void disk_start_thread(struct disk *disk) {
	sigset_t all, before;
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are the loop's */
	int result = pthread_create(&disk->thread, NULL, disk_work, disk);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (result != 0) {
		log_fatal("no thread can be started error=%s", strerror(result));
	}
}

struct disk *disk_open(struct ev_loop *loop) {
	struct disk *disk = mem_zalloc(sizeof *disk);
	disk->loop = loop;
	list_init(&disk->waiting);
	list_init(&disk->finished);
	list_init(&disk->copies);
	(void)pthread_mutex_init(&disk->lock, NULL);
	(void)pthread_cond_init(&disk->asked, NULL);
	ev_async_init(&disk->finished_async, disk_on_finished);
	disk->finished_async.data = disk;
	ev_async_start(loop, &disk->finished_async);
	disk_start_thread(disk);
	return disk;
}

void disk_on_trouble(struct disk *disk, disk_trouble_fn *trouble, void *ctx) {
	disk->trouble = trouble;
	disk->trouble_ctx = ctx;
}

void disk_note(struct disk *disk, bool *is_failing, int result) {
	bool fails = result < 0;
	if (*is_failing == fails) {
		return;
	}
	*is_failing = fails;
	disk->failing += fails ? 1U : -1U;
	if (disk->trouble && disk->failing == (fails ? 1 : 0)) {
		disk->trouble(result, disk->trouble_ctx);
	}
}

void disk_close(struct disk *disk) {
	if (!disk) {
		return;
	}
	(void)pthread_mutex_lock(&disk->lock);
	disk->is_closing = true;
	(void)pthread_cond_signal(&disk->asked);
	(void)pthread_mutex_unlock(&disk->lock);
	(void)pthread_join(disk->thread, NULL);
	ev_async_stop(disk->loop, &disk->finished_async);
	disk_finish_jobs(disk);
	struct disk_job *job; /* what a callback asked for just now is done here */
	while ((job = list_first(&disk->waiting, struct disk_job, link))) {
		list_remove(&job->link);
		disk_do(disk, job);
		list_append(&disk->finished, &job->link);
		disk_finish_jobs(disk);
	}
	struct disk_copy *copy;
	while ((copy = list_first(&disk->copies, struct disk_copy, link))) {
		disk_copy_write(copy);
	}
	(void)pthread_cond_destroy(&disk->asked);
	(void)pthread_mutex_destroy(&disk->lock);
	free(disk);
}

/* Behind what is as urgent, and behind what is asked of the same file. */
static struct list *disk_place_urgent(struct disk *disk, const struct disk_job *job) {
	struct list *place = disk->waiting.next;
	const struct disk_job *other;
	LIST_FOREACH (other, &disk->waiting, link) {
		if (other->is_urgent || strcmp(other->path, job->path) == 0) {
			place = other->link.next;
		}
	}
	return place;
}

static void disk_ask(struct disk *disk, struct disk_job *job) {
	(void)pthread_mutex_lock(&disk->lock);
	list_insert_before(job->is_urgent ? disk_place_urgent(disk, job) : &disk->waiting, &job->link);
	(void)pthread_cond_signal(&disk->asked);
	(void)pthread_mutex_unlock(&disk->lock);
}

static void disk_ask_replace(struct disk *disk, const char *path, struct disk_job what) {
	struct disk_job *job = mem_dup(&what, sizeof what);
	job->path = mem_strdup(path);
	list_init(&job->link);
	disk_ask(disk, job);
}

void disk_replace(struct disk *disk, const char *path, char *take_data, size_t bytes,
	disk_done_fn *done, void *ctx) {
	disk_ask_replace(
		disk, path, (struct disk_job){.data = take_data, .bytes = bytes, .done = done, .ctx = ctx});
}

void disk_remove(struct disk *disk, const char *path) {
	struct disk_job *job = mem_zalloc(sizeof *job);
	job->path = mem_strdup(path);
	list_init(&job->link);
	disk_ask(disk, job);
}

/* ---- files whose saves join --------------------------------------------------------------------
 */

struct state_waiter {
	struct list link; /* struct state_file::current, ::next */
	disk_done_fn *done;
	void *ctx;
};

enum { STATE_FILE_AGAIN_SEC = 10 }; /* after a write that failed */

struct state_file {
	struct disk *disk;
	struct ev_loop *loop;
	ev_timer again;
	char *path;
	bool has_copy;
	state_print_fn *print;
	void *ctx;
	struct list current,
		next; /* struct state_waiter::link: of the running write, of the one after */
	bool is_writing, is_wanted, is_failing;
	bool is_released, has_last; /* goes with the end of its write, or of the one after that */
};

static void state_file_begin(struct state_file *file);

static void state_file_on_again(struct ev_loop *loop, ev_timer *timer, int events) {
	(void)loop;
	(void)events;
	state_file_save(timer->data, NULL, NULL);
}

static void state_file_free(struct state_file *file) {
	ev_timer_stop(file->loop, &file->again);
	free(file->path);
	free(file);
}

static void state_file_tell(struct list *waiters, int result) {
	struct state_waiter *waiter;
	while ((waiter = list_first(waiters, struct state_waiter, link))) {
		list_remove(&waiter->link);
		waiter->done(result, waiter->ctx);
		free(waiter);
	}
}

static void state_file_on_written(int result, void *ctx) {
	struct state_file *file = ctx;
	struct list told;
	list_init(&told);
	list_splice(&told, &file->current);
	file->is_writing = false;
	disk_note(file->disk, &file->is_failing, file->is_released ? 0 : result);
	if (result < 0 && !file->is_released) {
		ev_timer_set(&file->again, STATE_FILE_AGAIN_SEC, 0.);
		ev_timer_start(file->loop, &file->again);
	}
	if (file->is_wanted) {
		state_file_begin(file); /* before anyone is told, who may save again */
	}
	state_file_tell(&told, result);
	if (file->is_released && !file->has_last) {
		state_file_free(file);
	}
}

static void state_file_on_last_written(int result, void *ctx) {
	struct state_file *file = ctx;
	state_file_tell(&file->next, result);
	state_file_free(file);
}

static void state_file_write(struct state_file *file, disk_done_fn *done) {
	char *text = file->print(file->ctx);
	file->is_wanted = false;
	ev_timer_stop(file->loop, &file->again);
	disk_ask_replace(file->disk, file->path,
		(struct disk_job){.data = text,
			.bytes = strlen(text),
			.has_copy = file->has_copy,
			.is_urgent = true,
			.done = done,
			.ctx = file});
}

static void state_file_begin(struct state_file *file) {
	assert(list_is_empty(&file->current));
	list_splice(&file->current, &file->next);
	file->is_writing = true;
	state_file_write(file, state_file_on_written);
}

struct state_file *state_file_create(
	struct disk *disk, const char *path, bool has_copy, state_print_fn *print, void *ctx) {
	struct state_file *file = mem_zalloc(sizeof *file);
	file->disk = disk;
	file->path = mem_strdup(path);
	file->loop = disk->loop;
	file->has_copy = has_copy;
	ev_timer_init(&file->again, state_file_on_again, 0., 0.);
	file->again.data = file;
	file->print = print;
	file->ctx = ctx;
	list_init(&file->current);
	list_init(&file->next);
	return file;
}

void state_file_destroy(struct state_file *file) {
	if (!file) {
		return;
	}
	state_file_tell(&file->next, -ECANCELED);
	state_file_free(file);
}

void state_file_release(struct state_file *file) {
	file->is_released = true;
	if (file->is_wanted) { /* behind the write that is under way */
		file->has_last = true;
		state_file_write(file, state_file_on_last_written);
	} else if (!file->is_writing) {
		disk_note(file->disk, &file->is_failing, 0);
		state_file_free(file);
	}
}

void state_file_save(struct state_file *file, disk_done_fn *done, void *ctx) {
	if (done) {
		struct state_waiter *waiter = mem_zalloc(sizeof *waiter);
		*waiter = (struct state_waiter){.done = done, .ctx = ctx};
		list_append(&file->next, &waiter->link);
	}
	file->is_wanted = true;
	if (!file->is_writing) {
		state_file_begin(file);
	}
}
