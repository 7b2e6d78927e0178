/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loaded into a program under test (LD_PRELOAD), so that hours pass, or are slept through, when the
 * test says so. SHIFT_CLOCK="FD BOOT MONO WALL" names a socket and what to add to each clock, in
 * milliseconds. What is read from the socket (three int64_t) is added to that; the answer is one
 * byte, sent when the program's main thread has looked at the new time. Timers that are due by then
 * fire as they would have. Where the wall clock does not go with the monotonic one, timers that
 * asked for it (TFD_TIMER_CANCEL_ON_SET) fire too, as the kernel does it when the machine resumes
 * or the clock is set.
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { SHIFT_TIMERS_MAX = 64, SHIFT_MS_PER_SEC = 1000, SHIFT_NS_PER_MS = 1000000 };
enum shift_clock { SHIFT_BOOT, SHIFT_MONO, SHIFT_WALL, SHIFT_CLOCK_COUNT };

struct shift_timer {
	enum shift_clock clock;
	bool is_used, is_cancelled_on_set;
	int flags;
	struct itimerspec wanted; /* by the shifted clock */
};

static _Atomic int64_t shift_ms[SHIFT_CLOCK_COUNT];
static atomic_uint shift_generation, shift_seen;
static pthread_mutex_t shift_lock = PTHREAD_MUTEX_INITIALIZER; /* of the timers */
static struct shift_timer shift_timers[SHIFT_TIMERS_MAX]; /* by descriptor */
static pthread_t shift_main;
static int shift_fd;

/* ---- reading the time ---- */

static enum shift_clock shift_clock_of(clockid_t id) {
	switch (id) {
	case CLOCK_BOOTTIME:
	case CLOCK_BOOTTIME_ALARM:
		return SHIFT_BOOT;
	case CLOCK_MONOTONIC:
	case CLOCK_MONOTONIC_RAW:
	case CLOCK_MONOTONIC_COARSE:
		return SHIFT_MONO;
	case CLOCK_REALTIME:
	case CLOCK_REALTIME_COARSE:
	case CLOCK_REALTIME_ALARM:
		return SHIFT_WALL;
	default:
		return SHIFT_CLOCK_COUNT; /* of the CPU */
	}
}

static void shift_add(struct timespec *time, int64_t ms) {
	int64_t nsec = time->tv_nsec + ms % SHIFT_MS_PER_SEC * SHIFT_NS_PER_MS;
	int64_t second = (int64_t)SHIFT_MS_PER_SEC * SHIFT_NS_PER_MS;
	time->tv_sec += ms / SHIFT_MS_PER_SEC + (nsec >= second) - (nsec < 0);
	time->tv_nsec = nsec >= second ? nsec - second : nsec < 0 ? nsec + second : nsec;
}

int clock_gettime(clockid_t id, struct timespec *out_time) {
	unsigned int generation = atomic_load(&shift_generation);
	if (syscall(SYS_clock_gettime, id, out_time) < 0) {
		return -1;
	}
	enum shift_clock clock = shift_clock_of(id);
	if (clock != SHIFT_CLOCK_COUNT) {
		shift_add(out_time, atomic_load(&shift_ms[clock]));
	}
	if (clock == SHIFT_MONO && pthread_equal(pthread_self(), shift_main)) {
		atomic_store(&shift_seen, generation);
	}
	return 0;
}

int gettimeofday(struct timeval *restrict out_time, void *restrict zone) {
	struct timespec now;
	(void)zone;
	int result = clock_gettime(CLOCK_REALTIME, &now);
	*out_time = (struct timeval){now.tv_sec, now.tv_nsec / 1000};
	return result;
}

time_t time(time_t *out_time) {
	struct timespec now = {0};
	(void)clock_gettime(CLOCK_REALTIME, &now);
	if (out_time) {
		*out_time = now.tv_sec;
	}
	return now.tv_sec;
}

/* ---- timers ---- */

int timerfd_create(clockid_t id, int flags) {
	int fd = (int)syscall(SYS_timerfd_create, id, flags);
	if (fd >= 0 && fd < SHIFT_TIMERS_MAX) {
		(void)pthread_mutex_lock(&shift_lock);
		shift_timers[fd] = (struct shift_timer){.clock = shift_clock_of(id), .is_used = true};
		(void)pthread_mutex_unlock(&shift_lock);
	}
	return fd;
}

static bool shift_is_armed(const struct itimerspec *spec) {
	return spec->it_value.tv_sec != 0 || spec->it_value.tv_nsec != 0;
}

/* What the kernel's clock shows at the moment that is wanted; one that has passed is soon. */
static int shift_set(int fd, const struct shift_timer *timer, struct itimerspec *out_old) {
	struct itimerspec spec = timer->wanted;
	if (timer->flags & TFD_TIMER_ABSTIME && shift_is_armed(&spec)) {
		shift_add(&spec.it_value, -atomic_load(&shift_ms[timer->clock]));
		if (spec.it_value.tv_sec < 0 || !shift_is_armed(&spec)) {
			spec.it_value = (struct timespec){0, 1};
		}
	}
	return (int)syscall(SYS_timerfd_settime, fd, timer->flags, &spec, out_old);
}

int timerfd_settime(
	int fd, int flags, const struct itimerspec *wanted, struct itimerspec *out_old) {
	if (fd < 0 || fd >= SHIFT_TIMERS_MAX) {
		return (int)syscall(SYS_timerfd_settime, fd, flags, wanted, out_old);
	}
	(void)pthread_mutex_lock(&shift_lock);
	struct shift_timer *timer = &shift_timers[fd];
	timer->is_cancelled_on_set = flags & TFD_TIMER_CANCEL_ON_SET;
	timer->flags = flags;
	timer->wanted = *wanted;
	int result = shift_set(fd, timer, out_old);
	(void)pthread_mutex_unlock(&shift_lock);
	return result;
}

static void shift_move_timers(bool is_set) {
	static const struct itimerspec soon = {.it_value = {0, 1}};
	(void)pthread_mutex_lock(&shift_lock);
	for (int fd = 0; fd < SHIFT_TIMERS_MAX; fd++) {
		struct shift_timer *timer = &shift_timers[fd];
		if (!timer->is_used || !shift_is_armed(&timer->wanted)) {
			continue;
		}
		if (is_set && timer->is_cancelled_on_set) {
			(void)syscall(SYS_timerfd_settime, fd, 0, &soon, NULL);
		} else if (timer->flags & TFD_TIMER_ABSTIME) {
			(void)shift_set(fd, timer, NULL);
		}
	}
	(void)pthread_mutex_unlock(&shift_lock);
}

/* ---- the test's word ---- */

static void shift_on_signal(int number) {
	(void)number; /* it only ends a wait */
}

/* A wait that was begun before the shift is ended again and again until the new time was seen. */
static void shift_wake_main(void) {
	static const struct timespec pause = {0, SHIFT_NS_PER_MS};
	while (atomic_load(&shift_seen) != atomic_load(&shift_generation)) {
		(void)pthread_kill(shift_main, SIGRTMIN + 7);
		(void)syscall(SYS_nanosleep, &pause, NULL);
	}
}

static void *shift_run(void *ctx) {
	(void)ctx;
	int64_t delta_ms[SHIFT_CLOCK_COUNT];
	while (read(shift_fd, delta_ms, sizeof delta_ms) == (ssize_t)sizeof delta_ms) {
		for (int i = 0; i < SHIFT_CLOCK_COUNT; i++) {
			(void)atomic_fetch_add(&shift_ms[i], delta_ms[i]);
		}
		(void)atomic_fetch_add(&shift_generation, 1);
		shift_move_timers(delta_ms[SHIFT_WALL] != delta_ms[SHIFT_MONO]);
		shift_wake_main();
		if (write(shift_fd, "", 1) < 0) {
			break;
		}
	}
	return NULL;
}

__attribute__((constructor)) static void shift_start(void) {
	const char *words = getenv("SHIFT_CLOCK");
	pthread_t thread;
	sigset_t all, before;
	long long ms[SHIFT_CLOCK_COUNT];
	if (!words || sscanf(words, "%d %lld %lld %lld", &shift_fd, &ms[0], &ms[1], &ms[2]) != 4) {
		(void)fputs("shift_clock: SHIFT_CLOCK is not set\n", stderr);
		abort();
	}
	for (int i = 0; i < SHIFT_CLOCK_COUNT; i++) {
		atomic_store(&shift_ms[i], ms[i]);
	}
	(void)fcntl(shift_fd, F_SETFD, FD_CLOEXEC);
	(void)unsetenv("LD_PRELOAD"); /* its children keep the true time */
	(void)unsetenv("SHIFT_CLOCK");
	shift_main = pthread_self();
	struct sigaction action = {.sa_handler = shift_on_signal, .sa_flags = SA_RESTART};
	(void)sigaction(SIGRTMIN + 7, &action, NULL);
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_BLOCK, &all, &before);
	(void)pthread_create(&thread, NULL, shift_run, NULL);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
}
