/* SPDX-License-Identifier: Apache-2.0 */
/* The terminal's echo is off meanwhile, and is back whatever signal comes. */
#include "distributor/ctl/password_prompt.h"
#include "common/mem.h"
#include "distributor/ctl/commands.h"
#include "distributor/jmap/secret_text.h"
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

enum { PROMPT_SIGNALS = 5 };
static const int prompt_signals[PROMPT_SIGNALS] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP};
static volatile sig_atomic_t prompt_signal; /* the one that came; 0: none */

static void prompt_on_signal(int number) {
	prompt_signal = number;
}

/* Signals are held back from here on: prompt_read() lets them through while it waits. */
static void prompt_catch(struct sigaction before[PROMPT_SIGNALS], sigset_t *out_mask) {
	struct sigaction action = {.sa_handler = prompt_on_signal};
	sigset_t held;
	prompt_signal = 0;
	(void)sigemptyset(&held);
	for (int i = 0; i < PROMPT_SIGNALS; i++) {
		(void)sigaddset(&held, prompt_signals[i]);
	}
	(void)sigprocmask(SIG_BLOCK, &held, out_mask);
	for (int i = 0; i < PROMPT_SIGNALS; i++) {
		(void)sigaction(prompt_signals[i], NULL, &before[i]);
		if (before[i].sa_handler != SIG_IGN) { /* who is to ignore it, does so here, too */
			(void)sigaction(prompt_signals[i], &action, NULL);
		}
	}
}

static void prompt_release(const struct sigaction before[PROMPT_SIGNALS], const sigset_t *mask) {
	for (int i = 0; i < PROMPT_SIGNALS; i++) {
		(void)sigaction(prompt_signals[i], &before[i], NULL);
	}
	(void)sigprocmask(SIG_SETMASK, mask, NULL);
	if (prompt_signal != 0) {
		(void)raise(prompt_signal);
	}
}

/* The bytes of a line, with its end if it has one. mask: signals that are held back but for the
 * wait for input, which they end; NULL: none are. */
static size_t prompt_read(char *line, size_t max, const sigset_t *mask) {
	size_t len = 0;
	while (len < max && (len == 0 || line[len - 1] != '\n')) {
		struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
		ssize_t n = mask ? ppoll(&input, 1, NULL, mask) : 1;
		if (n > 0) {
			n = read(STDIN_FILENO, line + len, 1); /* the rest of a pipe is not ours */
		}
		if (n < 0 && errno == EINTR && prompt_signal == 0) {
			continue;
		}
		if (n <= 0) {
			break;
		}
		len++;
	}
	return len;
}

static size_t prompt_read_hidden(const char *what, char *line, size_t max) {
	struct sigaction before[PROMPT_SIGNALS];
	struct termios shown, hidden;
	sigset_t mask;
	if (tcgetattr(STDIN_FILENO, &shown) < 0) {
		return prompt_read(line, max, NULL);
	}
	prompt_catch(before, &mask);
	hidden = shown;
	hidden.c_lflag &= ~(tcflag_t)ECHO;
	hidden.c_lflag |= ECHONL;
	(void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden); /* drops what was typed before … */
	(void)fprintf(stderr, "%s: ", what); /* … so this comes last */
	(void)fflush(stderr);
	size_t len = prompt_read(line, max, &mask);
	(void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &shown);
	prompt_release(before, &mask);
	return prompt_signal == 0 ? len : 0;
}

char *password_prompt(const char *what) {
	char line[SECRET_MAX + 2];
	size_t len = isatty(STDIN_FILENO) ? prompt_read_hidden(what, line, sizeof line)
									  : prompt_read(line, sizeof line, NULL);
	char *secret = secret_line_dup((struct slice){line, len});
	bool is_blank = len == 0 || line[0] == '\n';
	mem_wipe(line, sizeof line);
	if (!secret) {
		(void)command_fail(!is_blank ? "that cannot be a password"
									 : "no password was given; it is asked for on "
									   "the terminal, or read from standard input");
	}
	return secret;
}
