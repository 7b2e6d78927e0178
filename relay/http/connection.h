/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One client connection, for the files of this folder only. A connection owns at most one request
 * object: it holds the bytes read, and becomes the request that a handler sees when the head in
 * it is complete. An idle connection has none. Answers leave at once; what the socket does not
 * take waits in `out`, and no further request starts before it is gone.
 */
#pragma once
#include "common/list.h"
#include "common/log_limit.h"
#include "relay/http/client.h"
#include "relay/http/listener.h"
#include "relay/http/request.h"
#include "relay/http/tls.h"
#include <ev.h>
#include <netinet/in.h>

enum {
	HTTP_TEXT_BYTES = 8192, /* of a request object, at first */
	HTTP_TEXT_MAX_BYTES = HTTP_HEAD_MAX_BYTES + 2048,
	HTTP_DRAIN_MAX_BYTES = 65536, /* of a body that nobody wanted */
	HTTP_LINGER_MAX_BYTES = 1 << 20,
	HTTP_SPARE_REQUESTS = 64,
};

enum http_phase {
	HTTP_PHASE_HANDSHAKE, /* TLS */
	HTTP_PHASE_IDLE, /* no byte of a request yet */
	HTTP_PHASE_HEAD, /* some bytes of a head */
	HTTP_PHASE_HANDLING, /* a handler has the request and did not ask for the body, or has it */
	HTTP_PHASE_BODY, /* collecting the body for the handler */
	HTTP_PHASE_DRAIN, /* answered; the rest of the body goes by */
	HTTP_PHASE_CLOSING, /* answered; ends when `out` is empty */
	HTTP_PHASE_LINGER, /* our side is shut; the client may still read the answer */
	HTTP_PHASE_CLOSED, /* freed when its caller returns */
};

/* A refused connection only gets its 503, and takes nobody's place. */
enum http_admission { HTTP_ADMITTED, HTTP_REFUSED_FULL, HTTP_REFUSED_CLIENT, HTTP_ADMISSION_COUNT };

/* Each kind lasts equally long for all, so a list in order of start is in order of end. */
enum http_timer {
	HTTP_TIMER_HANDSHAKE,
	HTTP_TIMER_HEAD,
	HTTP_TIMER_BODY,
	HTTP_TIMER_IDLE,
	HTTP_TIMER_WRITE,
	HTTP_TIMER_LINGER,
	HTTP_TIMER_COUNT,
	HTTP_TIMER_NONE = HTTP_TIMER_COUNT,
};

struct http_server {
	struct ev_loop *loop;
	const struct http_routes *routes;
	struct http_limits limits;
	struct http_trusted *trusted; /* NULL when there are none */
	struct http_server_stats stats;
	struct list listeners; /* struct http_listener::link */
	struct list connections; /* struct http_connection::link */
	struct list pumps, blocked_pumps; /* struct tls_pump::link */
	struct list timers[HTTP_TIMER_COUNT]; /* struct http_connection::timed, oldest first */
	double timer_sec[HTTP_TIMER_COUNT];
	ev_timer sweep; /* runs while there are connections or pumps */
	ev_timer resume; /* accepts again after a shortage */
	struct http_request *spare; /* linked by next_spare */
	size_t spare_count;
	struct log_limit shortage, too_many;
	size_t open[HTTP_ADMISSION_COUNT];
	struct client_counts clients; /* the admitted connections of each */
	int64_t date_sec; /* of date, 0 at first */
	char date[48]; /* "Date: ...\r\n" */
	bool is_stopping, is_paused;
};

struct http_request {
	struct http_connection *connection; /* NULL: an orphan */
	struct http_request *next_spare;
	http_body_fn *on_body;
	void *on_body_ctx;
	size_t limit_bytes; /* of the body */
	char *text; /* the head, and what came behind it */
	size_t capacity, used;
	size_t scanned; /* see http_parse_head */
	size_t head_end; /* bytes of text that are the head, with empty lines before it */
	size_t input_at; /* of text, the first byte not yet taken */
	struct http_chunks chunks;
	uint64_t drained; /* bytes of the body that went by */
	char *body; /* of its own when it is chunked or does not fit into text */
	size_t body_bytes, body_capacity;
	bool is_body_done, is_continue_sent, is_peer_known, is_broken;
	struct http_peer peer;
	struct http_head head;
};

union http_address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

struct http_connection {
	struct http_server *server;
	struct list link, timed;
	ev_io reader, writer; /* writer runs only while `out` waits */
	SSL *ssl; /* NULL: plain text */
	struct http_request *request;
	char *out; /* what the socket did not take */
	size_t out_bytes, out_sent;
	double timed_since;
	size_t lingered;
	union http_address peer;
	uint64_t client; /* in server->clients; 0: in none */
	uint8_t phase, timer, admission;
	bool is_running; /* one of our functions is at work and frees it if need be */
	bool is_eof, lingers;
};

/* Takes the socket over, and the place of an admitted one in server->clients. */
void http_connection_create(struct http_server *server, int fd, SSL *ssl,
	const union http_address *peer, uint64_t client, enum http_admission admission);
/* The timer it is on has run out. */
void http_connection_expire(struct http_connection *connection);
/* The server stops: ends it when no request is under way. */
void http_connection_stop(struct http_connection *connection);
void http_connection_close(struct http_connection *connection);

/* For exchange.c. The flag is_running is set around calls of what may close the connection, and
 * leave ends that: it frees what was closed meanwhile. */
void http_connection_leave(struct http_connection *connection);
void http_connection_set_timer(struct http_connection *connection, enum http_timer timer);
void http_connection_drop_request(struct http_connection *connection);
/* Sends at once what the socket takes; the rest waits in `out`. May close the connection. */
void http_connection_send(struct http_connection *connection, const char *data, size_t bytes);
/* No further request: ends it, after what is in `out`, and gently if `lingers` is set. */
void http_connection_end(struct http_connection *connection);

/* For request.c. */
/* The socket, or the pumped end over TLS; the connection is gone afterwards. Negative errno when
 * there is no descriptor for it; nothing has changed then. */
int http_connection_detach(struct http_connection *connection);

struct http_request *http_request_create(struct http_server *server);
/* Forgets the request in it, keeps the bytes behind it. */
void http_request_recycle(struct http_request *request);
/* Back to the server's spare ones, or freed when server is NULL. */
void http_request_release(struct http_request *request, struct http_server *server);

/* The bytes of an answer: in small when they fit, else in memory that the caller frees. */
struct http_answer_form {
	bool is_head_only, closes, names_keep_alive;
	const char *date; /* a whole header line */
};
char *http_answer_print(const struct http_answer *answer, const struct http_answer_form *form,
	char *small, size_t small_bytes, size_t *out_bytes);
/* The answer that the front itself gives, with its JSON body in text. */
void http_answer_refusal(int status, char text[256], struct http_answer *out_answer);

/* Carries an upgraded TLS connection: what the client sends comes out of the other end of pair, and
 * the other way round; the end of one side ends the other. Takes ssl, its socket and pair[0] over.
 */
void tls_pump_create(struct http_server *server, SSL *ssl, int fd, const int pair[2]);
/* 0 or negative errno. */
int tls_pump_pair(const struct http_server *server, int out_pair[2]);
void tls_pumps_sweep(struct http_server *server);
void tls_pumps_destroy(struct http_server *server);

void http_server_on_connection_closed(struct http_server *server);
void http_server_need_sweep(struct http_server *server);
/* A descriptor with this number is one too many. */
bool http_server_is_short(const struct http_server *server, int fd);
/* Warns now and then. */
void http_server_note_shortage(struct http_server *server, int error);
