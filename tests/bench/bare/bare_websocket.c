/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets that are greeted and written to. */
#include "common/mem.h"
#include "tests/bench/bare/bare.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int bare_write(
	struct lws *wsi, enum lws_write_protocol kind, unsigned char *payload, size_t bytes) {
	return lws_write(wsi, payload, bytes, kind) < (int)bytes ? -1 : 0;
}

static void bare_queue(struct lws *wsi, struct bare_session *session, enum lws_write_protocol kind,
	const char *data, size_t bytes) {
	struct bare_frame *frame = mem_alloc(sizeof *frame + LWS_PRE + bytes);
	*frame = (struct bare_frame){.kind = kind, .bytes = bytes};
	memcpy(frame->data + LWS_PRE, data, bytes);
	struct bare_frame **end = &session->first;
	while (*end) {
		end = &(*end)->next;
	}
	*end = frame;
	lws_callback_on_writable(wsi);
}

void bare_send(struct bare *bare, unsigned number, enum lws_write_protocol kind, const char *data,
	size_t bytes) {
	static unsigned char buffer[LWS_PRE + BARE_FRAME_MAX];
	struct lws *wsi = number < bare->socket_count ? bare->sockets[number] : NULL;
	if (!wsi || bytes > BARE_FRAME_MAX) {
		return;
	}
	struct bare_session *session = lws_wsi_user(wsi);
	if (session->first || lws_partial_buffered(wsi) || lws_send_pipe_choked(wsi)) {
		bare_queue(wsi, session, kind, data, bytes);
		return;
	}
	memcpy(buffer + LWS_PRE, data, bytes);
	/* A failed write shows as a closed socket soon after. */
	(void)bare_write(wsi, kind, buffer + LWS_PRE, bytes);
}

static void bare_add(struct bare *bare, struct lws *wsi, struct bare_session *session) {
	if (bare->socket_count == bare->socket_size) {
		bare->socket_size = bare->socket_size * 2 + 1024;
		bare->sockets = mem_realloc(bare->sockets, bare->socket_size * sizeof(struct lws *));
	}
	session->number = bare->socket_count;
	session->first = NULL;
	bare->sockets[bare->socket_count++] = wsi;
}

static void bare_drop_frames(struct bare_session *session) {
	while (session->first) {
		struct bare_frame *frame = session->first;
		session->first = frame->next;
		free(frame);
	}
}

static int bare_write_next(struct lws *wsi, struct bare_session *session) {
	struct bare_frame *frame = session->first;
	if (!frame) {
		return 0;
	}
	session->first = frame->next;
	int result = bare_write(wsi, frame->kind, frame->data + LWS_PRE, frame->bytes);
	free(frame);
	if (session->first) {
		lws_callback_on_writable(wsi);
	}
	return result;
}

static void bare_answer(
	struct bare *bare, const struct bare_session *session, const char *text, size_t bytes) {
	char answer[512];
	int size = 0;
	if (memmem(text, bytes, "\"hello\"", 7)) {
		size = snprintf(answer, sizeof answer,
			"{\"messageType\":\"hello\",\"uaid\":\"%032x\",\"status\":200,\"use_webpush\":true,"
			"\"broadcasts\":{}}",
			session->number);
	} else if (memmem(text, bytes, "\"register\"", 10)) {
		size = snprintf(answer, sizeof answer,
			"{\"messageType\":\"register\",\"status\":200,\"pushEndpoint\":\"http://%s/p/%u\"}",
			bare->host_and_port, session->number);
	}
	if (size > 0) {
		bare_send(bare, session->number, LWS_WRITE_TEXT, answer, (size_t)size);
	}
}

int bare_websocket(
	struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len) {
	struct bare *bare = lws_context_user(lws_get_context(wsi));
	switch (reason) {
	case LWS_CALLBACK_ESTABLISHED:
		bare_add(bare, wsi, user);
		return 0;
	case LWS_CALLBACK_CLOSED:
		bare->sockets[((struct bare_session *)user)->number] = NULL;
		bare_drop_frames(user);
		return 0;
	case LWS_CALLBACK_RECEIVE:
		bare_answer(bare, user, in, len);
		return 0;
	case LWS_CALLBACK_SERVER_WRITEABLE:
		return bare_write_next(wsi, user);
	default:
		return lws_callback_http_dummy(wsi, reason, user, in, len);
	}
}
