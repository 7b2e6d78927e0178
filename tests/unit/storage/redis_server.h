/* SPDX-License-Identifier: Apache-2.0 */
/* A private redis-server for tests: in a temporary directory, on a unix socket and a free port. */
#pragma once
#include <stdbool.h>
#include <sys/types.h>

struct redis_server {
	char dir[64];
	char socket[80];
	char url[96];
	int port;
	pid_t pid; /* 0: not running */
};

/* arguments: pairs of option and value, NULL-terminated; NULL for none. Waits until it answers. */
void redis_server_init(struct redis_server *server, const char *const *arguments);
void redis_server_finish(struct redis_server *server); /* with its directory */
/* Again, with the same data. is_waiting: until it answers PING. */
void redis_server_start(struct redis_server *server, const char *const *arguments, bool is_waiting);
void redis_server_kill(struct redis_server *server);
/* One command, its words separated by blanks; fails the test unless the answer is no error. Returns
 * the answer's integer, the count of an array, or 0. */
long long redis_server_command(const struct redis_server *server, const char *words);
/* The same over a user's password. */
long long redis_server_command_as(
	const struct redis_server *server, const char *password, const char *words);
