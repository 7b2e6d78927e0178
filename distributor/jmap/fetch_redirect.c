/* SPDX-License-Identifier: Apache-2.0 */
/* Two URLs, compared. */
#include "distributor/jmap/fetch_redirect.h"
#include "common/url.h"
#include <string.h>

enum fetch_redirect fetch_redirect_judge(const char *first, const char *to, bool is_insecure) {
	struct url from, target;
	if (!url_parse(slice_of(first), &from) || !url_parse(slice_of(to), &target) ||
		target.scheme > URL_HTTPS) {
		return FETCH_REDIRECT_SENSELESS;
	}
	bool is_local = !url_is_secure(&from) && url_is_loopback(&from) && url_is_loopback(&target);
	if (!url_is_secure(&target) && !is_local && !is_insecure) {
		return FETCH_REDIRECT_PLAIN;
	}
	return url_same_origin(&from, &target) ? FETCH_REDIRECT_SAME : FETCH_REDIRECT_ELSEWHERE;
}
