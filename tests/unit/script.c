/* SPDX-License-Identifier: Apache-2.0 */
/* Standard input on the loop, cut into lines. */
#include "tests/unit/script.h"
#include "common/log.h"
#include "common/mem.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SCRIPT_LINE_MAX = 200000 };

/* Before anything is said: glibc 2.41 ignores it after that. */
__attribute__((constructor)) static void script_say_lines(void) {
}

struct script {
	script_line_fn *line;
	void *ctx;
	char text[SCRIPT_LINE_MAX];
	size_t len;
};

static void script_on_lost(struct bus *bus, void *ctx) {
	(void)bus;
	(void)ctx;
	log_warn("the bus is lost");
}

struct bus *script_begin(struct ev_loop *loop) {
	struct bus *bus = NULL;
	(void)setvbuf(stdout, NULL, _IOLBF, 0); /* too late once something was written */
	if (getenv("DBUS_SESSION_BUS_ADDRESS") &&
		bus_open(loop, BUS_SESSION, "driver", script_on_lost, NULL, &bus) < 0) {
		log_fatal("no bus");
	}
	return bus;
}

static void script_on_input(struct ev_loop *loop, ev_io *io, int events) {
	(void)events;
	struct script *script = io->data;
	ssize_t got = read(0, script->text + script->len, sizeof script->text - script->len);
	if (got <= 0) {
		ev_break(loop, EVBREAK_ALL);
		return;
	}
	script->len += (size_t)got;
	char *end;
	while ((end = memchr(script->text, '\n', script->len))) {
		*end = '\0';
		script->line(script->text, script->ctx);
		size_t used = (size_t)(end - script->text) + 1;
		memmove(script->text, end + 1, script->len - used);
		script->len -= used;
	}
}

void script_run(struct ev_loop *loop, script_line_fn *line, void *ctx) {
	struct script *script = mem_zalloc(sizeof *script);
	ev_io input;
	script->line = line;
	script->ctx = ctx;
	(void)fcntl(0, F_SETFL, fcntl(0, F_GETFL) | O_NONBLOCK);
	ev_io_init(&input, script_on_input, 0, EV_READ);
	input.data = script;
	ev_io_start(loop, &input);
	printf("ready\n");
	ev_run(loop, 0);
	ev_io_stop(loop, &input);
	free(script);
}
