/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libwebsockets, once for all WebSockets of a program: its context, the certificates that are
 * trusted, and the loop of its own on which it runs inside ours. A context for each relay would
 * load the system's certificates each time.
 */
#pragma once
#include <ev.h>
#include <stdbool.h>

struct websocket_library;
struct websocket_library_options {
	struct ev_loop *loop;
	const char *ca_file; /* NULL: the system's certificates; copied; read for the first wss URL */
	bool insecure; /* any certificate */
};
/* NULL with a sentence in *out_error. */
struct websocket_library *websocket_library_create(
	const struct websocket_library_options *options, char **out_error);
/* After its clients. NULL is fine. Not from within an event. */
void websocket_library_destroy(struct websocket_library *library);

/* ---- for websocket.c ---- */

struct lws_context;
struct lws_protocols;
struct lws_vhost;

struct lws_context *websocket_library_context(const struct websocket_library *library);
struct ev_loop *websocket_library_loop(const struct websocket_library *library); /* ours */
bool websocket_library_is_insecure(const struct websocket_library *library);

/* A vhost for one client: libwebsockets keeps the proxy there. protocols: the same in each call.
 * NULL with a sentence in *out_error. */
struct lws_vhost *websocket_library_take_vhost(struct websocket_library *library, bool is_secure,
	const struct lws_protocols *protocols, char **out_error);
/* For the next client. NULL is fine. */
void websocket_library_give_vhost(struct websocket_library *library, struct lws_vhost *vhost);

/* Something was put to the library: it is to look at it soon. */
void websocket_library_stir(struct websocket_library *library);
/* It has called back, so it is not at rest yet. */
void websocket_library_heard(struct websocket_library *library);
