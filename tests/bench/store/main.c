/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bellwire-store-bench URL [--devices N] [--messages N] [--in-flight N] [--body BYTES] [--keep]:
 * puts, drains and reopens a store without a relay around it, and prints what that cost.
 */
#include "common/mem.h"
#include "storage/store.h"
#include <getopt.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

enum { BENCH_WINDOW = 32 };

struct bench;
struct bench_put {
	struct bench *bench;
	struct store_put put;
	double began;
};
struct bench_device {
	struct bench *bench;
	struct device_id id;
	struct subscription_id subscription;
	struct message_id after;
};
struct bench {
	const char *url;
	struct ev_loop *loop;
	struct store *store;
	struct bench_device *devices;
	unsigned long device_count, messages, in_flight, body_bytes;
	unsigned long started, finished, failed, next_device;
	char *body;
	float *latencies_ms;
	bool keeps; /* no drain */
};

static double bench_now(void) {
	return ev_time();
}

static double bench_cpu(void) {
	struct rusage usage;
	(void)getrusage(RUSAGE_SELF, &usage);
	return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
		   (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static void bench_open(struct bench *bench) {
	const struct store_options options = {
		.url = bench->url,
		.loop = bench->loop,
		.node = {{1}},
		.limits = {.queue_messages = 100000,
			.queue_bytes = 1 << 30,
			.subscriptions = 2000,
			.device_sec = 90 * 86400,
			.tombstone_sec = 30 * 86400},
	};
	char *error = NULL;
	double began = bench_now();
	ev_now_update(bench->loop);
	bench->store = store_open(&options, &error);
	if (!bench->store) {
		fprintf(stderr, "%s\n", error);
		exit(1);
	}
	while (!store_is_available(bench->store)) {
		ev_run(bench->loop, EVRUN_ONCE);
	}
	struct store_stats stats;
	store_get_stats(bench->store, &stats);
	printf("open      %8.3f s  devices=%lld messages=%lld\n", bench_now() - began,
		(long long)stats.devices, (long long)stats.queued_messages);
}

static void bench_run(struct bench *bench, const char *what, unsigned long count,
	void (*start)(struct bench *bench)) {
	double began = bench_now(), cpu = bench_cpu();
	bench->started = bench->finished = bench->failed = 0;
	start(bench);
	ev_run(bench->loop, 0);
	double took = bench_now() - began;
	printf("%-9s %8.3f s  %9.0f/s  cpu %.1f us each  failed=%lu\n", what, took,
		(double)count / took, (bench_cpu() - cpu) / (double)count * 1e6, bench->failed);
}

/* ---- subscribe ---- */

static void bench_on_subscribed(const struct store_subscribed *result, void *ctx) {
	struct bench *bench = ctx;
	bench->failed += result->outcome != STORE_OK;
	if (++bench->finished == bench->device_count) {
		ev_break(bench->loop, EVBREAK_ALL);
	}
}

static void bench_subscribe(struct bench *bench) {
	for (unsigned long i = 0; i < bench->device_count; i++) {
		struct bench_device *device = &bench->devices[i];
		struct store_subscribe what = {.device = device->id, .fresh = device->subscription};
		store_subscribe(bench->store, &what, bench_on_subscribed, bench);
	}
}

/* ---- put ---- */

static void bench_on_put(const struct store_put_result *result, void *ctx);

static void bench_put_next(struct bench_put *put) {
	struct bench *bench = put->bench;
	const struct bench_device *device = &bench->devices[bench->next_device++ % bench->device_count];
	put->put.device = device->id;
	put->put.subscription = device->subscription;
	put->began = bench_now();
	bench->started++;
	store_put(bench->store, &put->put, bench_on_put, put);
}

static void bench_on_put(const struct store_put_result *result, void *ctx) {
	struct bench_put *put = ctx;
	struct bench *bench = put->bench;
	bench->failed += result->outcome != STORE_OK;
	bench->latencies_ms[bench->finished++] = (float)((bench_now() - put->began) * 1000);
	if (bench->started < bench->messages) {
		bench_put_next(put);
		return;
	}
	free(put);
	if (bench->finished == bench->messages) {
		ev_break(bench->loop, EVBREAK_ALL);
	}
}

static void bench_put(struct bench *bench) {
	for (unsigned long i = 0; i < bench->in_flight && i < bench->messages; i++) {
		struct bench_put *put = mem_zalloc(sizeof *put);
		put->bench = bench;
		put->put.ttl_sec = 86400;
		put->put.urgency = URGENCY_NORMAL;
		put->put.encoding = slice_of("aes128gcm");
		put->put.body = (struct slice){bench->body, bench->body_bytes};
		bench_put_next(put);
	}
}

static int bench_compare(const void *a, const void *b) {
	float left = *(const float *)a, right = *(const float *)b;
	return left < right ? -1 : left > right;
}

static void bench_print_latencies(struct bench *bench) {
	qsort(bench->latencies_ms, bench->messages, sizeof(float), bench_compare);
	printf("latency   p50 %.3f ms  p90 %.3f  p99 %.3f  p99.9 %.3f  max %.3f\n",
		(double)bench->latencies_ms[bench->messages / 2],
		(double)bench->latencies_ms[bench->messages * 9 / 10],
		(double)bench->latencies_ms[bench->messages * 99 / 100],
		(double)bench->latencies_ms[bench->messages * 999 / 1000],
		(double)bench->latencies_ms[bench->messages - 1]);
}

/* ---- drain: every device fetches and acknowledges, all at once ---- */

static void bench_on_fetched(const struct store_fetched *fetched, void *ctx);

static void bench_on_acked(enum store_outcome outcome, size_t removed, void *ctx) {
	struct bench_device *device = ctx;
	struct bench *bench = device->bench;
	bench->failed += outcome != STORE_OK;
	bench->finished += removed;
	if (bench->finished == bench->messages) {
		ev_break(bench->loop, EVBREAK_ALL);
	}
	store_fetch(bench->store, device->id, device->after, URGENCY_VERY_LOW, BENCH_WINDOW,
		bench_on_fetched, device);
}

static void bench_on_fetched(const struct store_fetched *fetched, void *ctx) {
	struct bench_device *device = ctx;
	struct bench *bench = device->bench;
	bench->failed += fetched->outcome != STORE_OK;
	struct store_ack acks[BENCH_WINDOW];
	for (size_t i = 0; i < fetched->count; i++) {
		acks[i] = (struct store_ack){fetched->messages[i].channel, fetched->messages[i].id};
		bench->failed += fetched->messages[i].body.len != bench->body_bytes;
	}
	device->after = fetched->next;
	if (fetched->count > 0) {
		store_ack(bench->store, device->id, acks, fetched->count, bench_on_acked, device);
	}
}

static void bench_drain(struct bench *bench) {
	for (unsigned long i = 0; i < bench->device_count; i++) {
		struct bench_device *device = &bench->devices[i];
		store_fetch(bench->store, device->id, device->after, URGENCY_VERY_LOW, BENCH_WINDOW,
			bench_on_fetched, device);
	}
}

static void bench_parse(struct bench *bench, int argc, char **argv) {
	static const struct option flags[] = {
		{"devices", required_argument, NULL, 'd'},
		{"messages", required_argument, NULL, 'm'},
		{"in-flight", required_argument, NULL, 'f'},
		{"body", required_argument, NULL, 'b'},
		{"keep", no_argument, NULL, 'k'},
		{0},
	};
	for (int flag; (flag = getopt_long(argc, argv, "", flags, NULL)) != -1;) {
		unsigned long *const number = flag == 'd'	? &bench->device_count
									  : flag == 'm' ? &bench->messages
									  : flag == 'f' ? &bench->in_flight
									  : flag == 'b' ? &bench->body_bytes
													: NULL;
		if (flag == 'k') {
			bench->keeps = true;
		} else if (!number || (*number = strtoul(optarg, NULL, 10)) == 0) {
			exit(2);
		}
	}
	if (optind + 1 != argc) {
		fprintf(stderr,
			"usage: %s URL [--devices N] [--messages N] [--in-flight N] [--body BYTES]"
			" [--keep]\n",
			argv[0]);
		exit(2);
	}
	bench->url = argv[optind];
}

int main(int argc, char **argv) {
	struct bench bench = {
		.device_count = 1000, .messages = 100000, .in_flight = 64, .body_bytes = 512};
	bench_parse(&bench, argc, argv);
	bench.loop = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
	ev_ref(bench.loop); /* the stores keep no watcher that would */
	bench.body = mem_zalloc(bench.body_bytes);
	bench.latencies_ms = mem_zalloc(bench.messages * sizeof(float));
	bench.devices = mem_zalloc(bench.device_count * sizeof *bench.devices);
	for (unsigned long i = 0; i < bench.device_count; i++) {
		struct bench_device *device = &bench.devices[i];
		device->bench = &bench;
		(void)RAND_bytes(device->id.bytes, sizeof device->id.bytes);
		(void)RAND_bytes(device->subscription.bytes, sizeof device->subscription.bytes);
	}
	bench_open(&bench);
	bench_run(&bench, "subscribe", bench.device_count, bench_subscribe);
	bench_run(&bench, "put", bench.messages, bench_put);
	bench_print_latencies(&bench);
	if (strcmp(bench.url, "memory:") != 0) {
		store_close(bench.store);
		bench_open(&bench);
	}
	struct rusage usage;
	(void)getrusage(RUSAGE_SELF, &usage);
	printf("memory    %ld MiB at most\n", usage.ru_maxrss / 1024);
	if (!bench.keeps) {
		bench_run(&bench, "drain", bench.messages, bench_drain);
	}
	store_close(bench.store);
	ev_loop_destroy(bench.loop);
	free(bench.devices);
	free(bench.latencies_ms);
	free(bench.body);
	return bench.failed > 0;
}
