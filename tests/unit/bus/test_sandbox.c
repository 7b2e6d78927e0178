/* SPDX-License-Identifier: Apache-2.0 */
/* Who is sandboxed, by the text that Flatpak and Snap leave, and what that allows. */
#include "distributor/bus/sandbox.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */

static void flatpak_info_names_the_app(void **state) {
	(void)state;
	static const struct {
		const char *text, *app; /* NULL: none */
	} table[] = {
		{"[Application]\nname=org.kde.tokodon\nruntime=x\n", "org.kde.tokodon"},
		{"\n# comment\n[Instance]\nname=wrong\n\n[Application]\n name = org.kde.a \n", "org.kde.a"},
		{"[Application]\nname=org.kde.b", "org.kde.b"},
		{"[Application]\nname=first\nname=second\n", "first"},
		{"[Runtime]\nname=org.kde.c\n", NULL},
		{"name=org.kde.d\n", NULL},
		{"[Application]\nname=\n", NULL},
		{"[Application]\nname\n", NULL},
		{"[Application]\n[Other]\nname=x\n", NULL},
		{"", NULL},
		{"[", NULL},
		{"=", NULL},
	};
	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
		char app[SANDBOX_APP_MAX + 1] = "";
		bool found = sandbox_parse_flatpak_info(slice_of(table[i].text), app);
		assert_int_equal(found, table[i].app != NULL);
		assert_string_equal(app, table[i].app ? table[i].app : "");
	}
	char app[SANDBOX_APP_MAX + 1] = "";
	static const char nul[] = "[Application]\nname=org.kde\0.e\n";
	assert_false(sandbox_parse_flatpak_info((struct slice){nul, sizeof nul - 1}, app));
	char text[512] = "[Application]\nname=";
	memset(text + strlen(text), 'x', 256);
	assert_false(sandbox_parse_flatpak_info(slice_of(text), app));
}

static void snap_label_names_the_snap(void **state) {
	(void)state;
	char app[SANDBOX_APP_MAX + 1];
	assert_true(sandbox_parse_label(slice_of("snap.tokodon.tokodon (enforce)"), app));
	assert_string_equal(app, "tokodon");
	assert_false(sandbox_parse_label(slice_of("unconfined"), app));
	assert_false(sandbox_parse_label(slice_of("/usr/bin/snap.x"), app));
	assert_false(sandbox_parse_label(slice_of("snap.x"), app));
	assert_false(sandbox_parse_label(slice_of("snap..x"), app));
	assert_false(sandbox_parse_label((struct slice){NULL, 0}, app));
}

static void sandboxed_app_may_use_its_own_names(void **state) {
	(void)state;
	const struct sandbox app = {.is_sandboxed = true, .app = "org.kde.tokodon"};
	assert_true(sandbox_may_use(&app, "org.kde.tokodon"));
	assert_true(sandbox_may_use(&app, "org.kde.tokodon.push"));
	assert_false(sandbox_may_use(&app, "org.kde.tokodonpush"));
	assert_false(sandbox_may_use(&app, "org.kde"));
	assert_false(sandbox_may_use(&app, "org.kde.neochat"));
	assert_false(sandbox_may_use(&app, ":1.7"));
	const struct sandbox unreadable = {.is_sandboxed = true};
	assert_false(sandbox_may_use(&unreadable, "org.kde.tokodon"));
	const struct sandbox none = {0};
	assert_true(sandbox_may_use(&none, "org.kde.anything"));
}

static void a_process_outside_is_not_sandboxed(void **state) {
	(void)state;
	struct sandbox sandbox;
	sandbox_look(getpid(), slice_of("unconfined"), &sandbox);
	assert_false(sandbox.is_sandboxed);
	assert_false(sandbox.is_hidden);
}

static void a_label_is_enough(void **state) {
	(void)state;
	struct sandbox sandbox;
	sandbox_look(1 << 30, slice_of("snap.a.b (enforce)"), &sandbox);
	assert_true(sandbox.is_sandboxed);
	assert_false(sandbox.is_hidden);
	assert_string_equal(sandbox.app, "a");
}

static void what_has_ended_is_hidden(void **state) {
	(void)state;
	struct sandbox sandbox;
	siginfo_t info;
	sandbox_look(0, slice_of(""), &sandbox);
	assert_true(sandbox.is_hidden);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		_exit(0);
	}
	assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
	sandbox_look(pid, slice_of("unconfined"), &sandbox); /* it still has its number */
	assert_true(sandbox.is_hidden);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	sandbox_look(pid, slice_of("unconfined"), &sandbox);
	assert_true(sandbox.is_hidden);
	assert_false(sandbox.is_sandboxed);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(flatpak_info_names_the_app),
		cmocka_unit_test(snap_label_names_the_snap),
		cmocka_unit_test(sandboxed_app_may_use_its_own_names),
		cmocka_unit_test(a_process_outside_is_not_sandboxed),
		cmocka_unit_test(a_label_is_enough),
		cmocka_unit_test(what_has_ended_is_hidden),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
