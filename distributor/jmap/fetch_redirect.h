/* SPDX-License-Identifier: Apache-2.0 */
/* May a redirect be followed, and may the credentials go along? Pure. */
#pragma once
#include <stdbool.h>

enum { FETCH_REDIRECTS_MAX = 5 };
enum fetch_redirect {
	FETCH_REDIRECT_SAME, /* the same origin: credentials may go along */
	FETCH_REDIRECT_ELSEWHERE, /* without them */
	FETCH_REDIRECT_PLAIN, /* refused: not encrypted */
	FETCH_REDIRECT_SENSELESS, /* refused: no URL, or another scheme */
	FETCH_REDIRECT_COUNT
};
/* `first` is the URL that was asked for at the beginning. Plain http only from loopback to
 * loopback, or when everything is insecure anyway. */
enum fetch_redirect fetch_redirect_judge(const char *first, const char *to, bool is_insecure);
