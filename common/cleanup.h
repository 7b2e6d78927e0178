/* SPDX-License-Identifier: Apache-2.0 */
/* Short names for the cleanup attribute: a local so marked is released when its scope ends. */
#pragma once
#include <stdlib.h>
#include <unistd.h>

#define CLEANUP(fn) __attribute__((cleanup(fn)))

static inline void cleanup_free_p(void *p) {
	free(*(void **)p);
}
static inline void cleanup_close_p(int *fd) {
	if (*fd >= 0) {
		(void)close(*fd);
	}
}

#define CLEANUP_FREE CLEANUP(cleanup_free_p)
#define CLEANUP_CLOSE CLEANUP(cleanup_close_p)

/* Hands out a pointer that a cleanup would otherwise release: `return steal(&made);` */
#define steal(p)                                                                                   \
	({                                                                                             \
		__typeof__(*(p)) stolen_ = *(p);                                                           \
		*(p) = NULL;                                                                               \
		stolen_;                                                                                   \
	})
