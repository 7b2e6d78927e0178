/* SPDX-License-Identifier: Apache-2.0 */
/* The worker thread that owns the SQLite file. */
#include "storage/sqlite_log.h"
#include "common/mem.h"
#include "storage/sqlite_file.h"
#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SQLITE_IDLE_MS = 200 }; /* without work for so long: the time to tidy up */

struct sqlite_log {
	struct sqlite_file file; /* the worker's */
	pthread_t worker;
	bool has_worker;
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	/* by the mutex: */
	struct sqlite_batch *waiting;
	struct sqlite_batch *finished[SQLITE_HANDED_MAX]; /* the oldest first */
	size_t finished_count;
	bool is_idle; /* the worker waits for work; else it may hang at the file */
	bool is_halted; /* the loop has yet to settle a failure */
	bool is_closing, is_abandoned;
	/* the loop's: */
	struct ev_loop *loop;
	ev_async wake;
	sqlite_log_done_fn *done;
	void *ctx;
};

/* ---- the worker --------------------------------------------------------------------------------
 */

static struct timespec sqlite_in_ms(long ms) {
	struct timespec end;
	(void)clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += ms / 1000;
	end.tv_nsec += ms % 1000 * 1000000L;
	end.tv_sec += end.tv_nsec / 1000000000L;
	end.tv_nsec %= 1000000000L;
	return end;
}

/* Nothing to do: moves the WAL into the file and gives free pages back, step by step, so that a
 * batch never waits long. True when there is more to tidy. */
static bool sqlite_tidy(struct sqlite_file *file) {
	bool has_more = sqlite_file_shrink(file);
	(void)sqlite_file_checkpoint(file);
	return has_more;
}

static bool sqlite_has_work(const struct sqlite_log *log) {
	return log->waiting && !log->is_halted;
}

/* A closing loop may wait for it. */
static void sqlite_enter_idle(struct sqlite_log *log) {
	log->is_idle = true;
	(void)pthread_cond_broadcast(&log->changed);
}

/* Waits for work, tidying up once there is none for a while. NULL at the end. */
static struct sqlite_batch *sqlite_take(struct sqlite_log *log) {
	bool is_tidy = log->file.wal_pages == 0;
	(void)pthread_mutex_lock(&log->mutex);
	sqlite_enter_idle(log);
	while (!sqlite_has_work(log) && !log->is_closing) {
		if (is_tidy) {
			(void)pthread_cond_wait(&log->changed, &log->mutex);
			continue;
		}
		const struct timespec end = sqlite_in_ms(SQLITE_IDLE_MS);
		(void)pthread_cond_timedwait(&log->changed, &log->mutex, &end);
		if (!sqlite_has_work(log) && !log->is_closing) {
			log->is_idle = false;
			(void)pthread_mutex_unlock(&log->mutex);
			is_tidy = !sqlite_tidy(&log->file);
			(void)pthread_mutex_lock(&log->mutex);
			sqlite_enter_idle(log);
		}
	}
	struct sqlite_batch *batch = log->waiting;
	log->waiting = NULL;
	log->is_idle = false;
	(void)pthread_mutex_unlock(&log->mutex);
	return batch;
}

static void sqlite_give_back(struct sqlite_log *log, struct sqlite_batch *batch) {
	(void)pthread_mutex_lock(&log->mutex);
	log->finished[log->finished_count++] = batch;
	log->is_halted = batch->new_failed;
	(void)pthread_cond_broadcast(&log->changed);
	bool is_abandoned = log->is_abandoned; /* then there may be no loop any more */
	(void)pthread_mutex_unlock(&log->mutex);
	if (!is_abandoned) {
		ev_async_send(log->loop, &log->wake);
	}
}

static void sqlite_log_free(struct sqlite_log *log) {
	sqlite_file_finish(&log->file);
	(void)pthread_mutex_destroy(&log->mutex);
	(void)pthread_cond_destroy(&log->changed);
	free(log);
}

static void *sqlite_worker(void *ctx) {
	struct sqlite_log *log = ctx;
	for (struct sqlite_batch *batch; (batch = sqlite_take(log));) {
		sqlite_batch_cancel_out(batch);
		sqlite_file_write(&log->file, batch);
		for (size_t i = 0; i < batch->read_count; i++) {
			sqlite_file_read(&log->file, batch->reads[i]);
		}
		bool is_failing = batch->new_failed;
		sqlite_give_back(log, batch);
		if (is_failing || sqlite_file_wants_checkpoint(&log->file)) {
			(void)sqlite_file_checkpoint(&log->file);
		}
	}
	if (log->is_abandoned) { /* it was closed without us */
		log->done(log->finished_count > 0 ? log->finished[0] : NULL, log->ctx);
		sqlite_log_free(log);
	}
	return NULL;
}

/* ---- the loop's side ---------------------------------------------------------------------------
 */

/* The oldest that came back. */
static struct sqlite_batch *sqlite_take_finished(struct sqlite_log *log) {
	struct sqlite_batch *batch = NULL;
	if (log->finished_count > 0) {
		batch = log->finished[0];
		log->finished_count--;
		memmove(log->finished, log->finished + 1, log->finished_count * sizeof(void *));
	}
	return batch;
}

static void sqlite_log_on_wake(struct ev_loop *loop, ev_async *watcher, int events) {
	(void)loop;
	(void)events;
	struct sqlite_log *log = watcher->data;
	struct sqlite_batch *batch;
	do {
		(void)pthread_mutex_lock(&log->mutex);
		batch = sqlite_take_finished(log);
		(void)pthread_mutex_unlock(&log->mutex);
		if (batch) {
			log->done(batch, log->ctx);
		}
	} while (batch);
}

void sqlite_log_submit(struct sqlite_log *log, struct sqlite_batch *batch) {
	(void)pthread_mutex_lock(&log->mutex);
	assert(!log->waiting);
	log->waiting = batch;
	(void)pthread_cond_broadcast(&log->changed);
	(void)pthread_mutex_unlock(&log->mutex);
}

struct sqlite_batch *sqlite_log_recall(struct sqlite_log *log) {
	(void)pthread_mutex_lock(&log->mutex);
	struct sqlite_batch *batch = log->waiting;
	log->waiting = NULL;
	(void)pthread_mutex_unlock(&log->mutex);
	return batch;
}

void sqlite_log_go_on(struct sqlite_log *log) {
	(void)pthread_mutex_lock(&log->mutex);
	log->is_halted = false;
	(void)pthread_cond_broadcast(&log->changed);
	(void)pthread_mutex_unlock(&log->mutex);
}

struct sqlite_batch *sqlite_log_wait(struct sqlite_log *log, double seconds) {
	const struct timespec end = sqlite_in_ms((long)(seconds * 1000));
	int result = 0;
	(void)pthread_mutex_lock(&log->mutex);
	while (log->finished_count == 0 && (!log->is_idle || sqlite_has_work(log)) && result == 0) {
		result = pthread_cond_timedwait(&log->changed, &log->mutex, &end);
	}
	struct sqlite_batch *batch = sqlite_take_finished(log);
	(void)pthread_mutex_unlock(&log->mutex);
	return batch;
}

bool sqlite_log_is_idle(struct sqlite_log *log) {
	(void)pthread_mutex_lock(&log->mutex);
	bool is_idle = log->is_idle && !sqlite_has_work(log);
	(void)pthread_mutex_unlock(&log->mutex);
	return is_idle;
}

static void sqlite_stop_listening(struct sqlite_log *log) {
	ev_ref(log->loop);
	ev_async_stop(log->loop, &log->wake);
}

bool sqlite_log_abandon(struct sqlite_log *log, sqlite_log_done_fn *end, void *ctx) {
	(void)pthread_mutex_lock(&log->mutex);
	bool is_hanging = !log->is_idle && log->finished_count == 0;
	if (is_hanging) {
		sqlite_stop_listening(log);
		log->is_closing = log->is_abandoned = true;
		log->done = end;
		log->ctx = ctx;
		(void)pthread_detach(log->worker);
	}
	(void)pthread_mutex_unlock(&log->mutex);
	return is_hanging;
}

void sqlite_log_close(struct sqlite_log *log) {
	if (!log) {
		return;
	}
	if (log->has_worker) {
		(void)pthread_mutex_lock(&log->mutex);
		log->is_closing = true;
		(void)pthread_cond_broadcast(&log->changed);
		(void)pthread_mutex_unlock(&log->mutex);
		(void)pthread_join(log->worker, NULL);
		sqlite_stop_listening(log);
	}
	sqlite_log_free(log);
}

/* The worker must not take the program's signals. */
static bool sqlite_start_worker(struct sqlite_log *log) {
	sigset_t all, old;
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &old);
	log->has_worker = pthread_create(&log->worker, NULL, sqlite_worker, log) == 0;
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (log->has_worker) {
		ev_async_init(&log->wake, sqlite_log_on_wake);
		ev_set_priority(&log->wake, EV_MAXPRI); /* the worker idles until it is heard */
		log->wake.data = log;
		ev_async_start(log->loop, &log->wake);
		ev_unref(log->loop);
	}
	return log->has_worker;
}

struct sqlite_log *sqlite_log_open(const char *path, struct queue_index *index,
	struct ev_loop *loop, sqlite_log_done_fn *done, void *ctx, char **out_error) {
	struct sqlite_log *log = mem_zalloc(sizeof *log);
	log->loop = loop;
	log->done = done;
	log->ctx = ctx;
	pthread_condattr_t attributes;
	(void)pthread_condattr_init(&attributes);
	(void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	(void)pthread_mutex_init(&log->mutex, NULL);
	(void)pthread_cond_init(&log->changed, &attributes);
	(void)pthread_condattr_destroy(&attributes);
	if (sqlite_file_open(&log->file, path, index, out_error)) {
		if (sqlite_start_worker(log)) {
			return log;
		}
		*out_error = mem_printf("store sqlite:%s gets no thread to work in", path);
	}
	sqlite_log_close(log);
	return NULL;
}
