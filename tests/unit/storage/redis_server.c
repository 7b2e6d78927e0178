/* SPDX-License-Identifier: Apache-2.0 */
/* Starts, kills and asks a redis-server. */
#include "redis_server.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <ftw.h>
#include <hiredis/hiredis.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { ARGUMENTS_MAX = 48, START_TRIES = 1500, TRY_MS = 10 };

static int free_port(void) {
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof address;
	assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
	(void)close(fd);
	return ntohs(address.sin_port);
}

static void redis_server_exec(const struct redis_server *server, const char *const *arguments) {
	char port[8], log[96];
	(void)snprintf(port, sizeof port, "%d", server->port);
	(void)snprintf(log, sizeof log, "%s/log", server->dir);
	const char *fixed[] = {"redis-server", "--port", port, "--bind", "127.0.0.1", "--unixsocket",
		server->socket, "--dir", server->dir, "--logfile", log, "--save", "", "--appendonly", "yes",
		"--appendfsync", "always", "--daemonize", "no"};
	char *argv[ARGUMENTS_MAX] = {NULL};
	size_t count = 0;
	for (size_t i = 0; i < sizeof fixed / sizeof fixed[0]; i++) {
		argv[count++] = strdup(fixed[i]);
	}
	for (size_t i = 0; arguments && arguments[i] && count < ARGUMENTS_MAX - 1; i++) {
		argv[count++] = strdup(arguments[i]);
	}
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)execvp("redis-server", argv);
	(void)execvp("valkey-server", argv);
	_exit(127);
}

static bool redis_server_answers(const struct redis_server *server) {
	redisContext *control = redisConnectUnix(server->socket);
	bool is_there = control && !control->err;
	if (is_there) {
		redisReply *reply = redisCommand(control, "PING");
		is_there = reply && (reply->type == REDIS_REPLY_STATUS ||
								(reply->str && strncmp(reply->str, "NOAUTH", 6) == 0));
		freeReplyObject(reply);
	}
	if (control) {
		redisFree(control);
	}
	return is_there;
}

void redis_server_start(
	struct redis_server *server, const char *const *arguments, bool is_waiting) {
	assert_int_equal(server->pid, 0);
	(void)unlink(server->socket);
	server->pid = fork();
	assert_true(server->pid >= 0);
	if (server->pid == 0) {
		redis_server_exec(server, arguments);
	}
	for (int i = 0; is_waiting && !redis_server_answers(server); i++) {
		assert_true(i < START_TRIES);
		assert_int_equal(waitpid(server->pid, NULL, WNOHANG), 0);
		(void)nanosleep(&(struct timespec){0, TRY_MS * 1000000L}, NULL);
	}
}

void redis_server_init(struct redis_server *server, const char *const *arguments) {
	*server = (struct redis_server){.port = free_port()};
	(void)snprintf(server->dir, sizeof server->dir, "/tmp/bellwire-redis-XXXXXX");
	assert_non_null(mkdtemp(server->dir));
	(void)snprintf(server->socket, sizeof server->socket, "%s/s", server->dir);
	(void)snprintf(server->url, sizeof server->url, "unix://%s", server->socket);
	redis_server_start(server, arguments, true);
}

void redis_server_kill(struct redis_server *server) {
	if (server->pid > 0) {
		(void)kill(server->pid, SIGKILL);
		(void)waitpid(server->pid, NULL, 0);
		server->pid = 0;
	}
}

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *walk) {
	(void)info;
	(void)kind;
	(void)walk;
	return remove(path);
}

void redis_server_finish(struct redis_server *server) {
	redis_server_kill(server);
	(void)nftw(server->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

long long redis_server_command_as(
	const struct redis_server *server, const char *password, const char *words) {
	redisContext *control = redisConnectUnix(server->socket);
	assert_true(control && !control->err);
	if (password) {
		freeReplyObject(redisCommand(control, "AUTH %s", password));
	}
	redisReply *reply = redisCommand(control, words);
	assert_non_null(reply);
	if (reply->type == REDIS_REPLY_ERROR) {
		fail_msg("%s: %s", words, reply->str);
	}
	long long number =
		reply->type == REDIS_REPLY_ARRAY ? (long long)reply->elements : reply->integer;
	freeReplyObject(reply);
	redisFree(control);
	return number;
}

long long redis_server_command(const struct redis_server *server, const char *words) {
	return redis_server_command_as(server, NULL, words);
}
