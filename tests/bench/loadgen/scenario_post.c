/* SPDX-License-Identifier: Apache-2.0 */
/* Messages to the paths of a devices file, whoever is or is not online. */
#include "common/mem.h"
#include "tests/bench/loadgen/fleet.h"
#include "tests/bench/loadgen/scenarios.h"
#include "tests/bench/loadgen/sender.h"
#include "tests/bench/loadgen/traffic.h"
#include "tests/bench/loadgen/usage.h"
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum post_phase { POST_WARMUP, POST_MEASURE, POST_OVER };

struct post {
	const struct options *options;
	struct loop loop;
	struct stream_target target;
	struct fleet fleet; /* only its names; nothing of it connects */
	struct sender *senders;
	unsigned *next_device; /* by sender: each has devices of its own, so that their order is kept */
	unsigned *rounds;
	struct traffic traffic;
	struct loop_timer phase_timer;
	enum post_phase phase;
	unsigned finished;
	uint64_t answered;
	struct histogram latency;
	struct usage usage;
};

static void post_on_idle(struct sender *sender) {
	struct post *post = sender->ctx;
	unsigned *device = &post->next_device[sender->index];
	unsigned count = post->fleet.count;
	unsigned per_device = post->options->per_device;
	if (*device >= count) {
		*device = sender->index % count;
		post->rounds[sender->index]++;
	}
	/* Senders beyond the number of devices have none of their own when the number is fixed. */
	if (per_device > 0 && (post->rounds[sender->index] == per_device || sender->index >= count)) {
		if (++post->finished == post->options->connections) {
			loop_stop(&post->loop);
		}
		return;
	}
	/* Numbered in order for each device, so that a later drain can tell. */
	traffic_mark(&post->traffic, *device, (uint64_t)post->rounds[sender->index] * count + *device);
	const char *path =
		post->options->path ? post->options->path : post->fleet.devices[*device].path;
	sender_post(sender, path, post->traffic.body, post->traffic.body_bytes);
	*device += post->options->connections;
}

static void post_on_answered(struct sender *sender, int status) {
	struct post *post = sender->ctx;
	if (status != 201) {
		errx(1, "a POST was answered with %d", status);
	}
	if (post->phase == POST_MEASURE) {
		post->answered++;
		histogram_add(&post->latency, loop_clock_ns() - sender->sent_ns);
	}
	if (post->phase != POST_OVER) {
		post_on_idle(sender);
	}
}

static void post_on_lost(struct sender *sender, int error) {
	errx(1, "sender %u lost its connection: %s", sender->index,
		error ? strerror(error) : "closed by the server");
}

static void post_on_phase(void *ctx) {
	struct post *post = ctx;
	if (post->phase == POST_WARMUP) {
		post->phase = POST_MEASURE;
		usage_begin(&post->usage, post->options);
		if (post->options->per_device == 0) {
			loop_timer_set(&post->phase_timer, (uint64_t)(post->options->seconds * 1e9), 0);
		}
	} else {
		loop_stop(&post->loop);
	}
}

static void post_open_senders(struct post *post) {
	unsigned count = post->options->connections;
	post->senders = mem_zalloc(count * sizeof *post->senders);
	post->next_device = mem_zalloc(count * sizeof *post->next_device);
	post->rounds = mem_zalloc(count * sizeof *post->rounds);
	for (unsigned i = 0; i < count; i++) {
		post->next_device[i] = post->options->per_device > 0 ? i : i % post->fleet.count;
		struct sender *sender = &post->senders[i];
		sender->index = i;
		sender->ctx = post;
		sender->on_idle = post_on_idle;
		sender->on_answered = post_on_answered;
		sender->on_lost = post_on_lost;
		sender_open(sender, &post->loop, &post->target);
	}
}

static void post_print(const struct post *post) {
	printf("{");
	usage_print(&post->usage);
	printf("\"requests\": %llu, \"per_second\": %.1f, \"p50_us\": %.1f, \"p99_us\": %.1f, "
		   "\"max_us\": %.1f}\n",
		(unsigned long long)post->answered, (double)post->answered / post->usage.wall_sec,
		histogram_us(&post->latency, 0.5), histogram_us(&post->latency, 0.99),
		(double)post->latency.max_ns / 1000);
}

int scenario_post(const struct options *options) {
	static struct post post;
	post.options = options;
	loop_init(&post.loop);
	stream_target_init(&post.target, options->address, options->port, options->tls);
	if (options->path) {
		fleet_init(&post.fleet, &post.loop, &post.target, 1, 1);
	} else {
		fleet_load(&post.fleet, &post.loop, &post.target, options->devices_file, 1);
	}
	traffic_init(&post.traffic, post.fleet.count, options->body_bytes);
	loop_timer_init(&post.loop, &post.phase_timer, post_on_phase, &post);
	if (options->per_device > 0) {
		post_on_phase(&post);
	} else {
		loop_timer_set(&post.phase_timer, (uint64_t)(options->warmup_sec * 1e9) + 1, 0);
	}
	post_open_senders(&post);
	bool in_time = loop_run(&post.loop, options->limit_sec);
	usage_end(&post.usage);
	post.phase = POST_OVER;
	if (!in_time) {
		errx(1, "post: not done within %.0f s", options->limit_sec);
	}
	post_print(&post);
	for (unsigned i = 0; i < options->connections; i++) {
		stream_close(&post.senders[i].stream);
	}
	free(post.senders);
	free(post.next_device);
	free(post.rounds);
	traffic_finish(&post.traffic);
	fleet_finish(&post.fleet);
	loop_timer_finish(&post.phase_timer);
	stream_target_finish(&post.target);
	loop_finish(&post.loop);
	return 0;
}
