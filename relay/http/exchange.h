/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The requests of a connection, one after the other, for the files of this folder only:
 * connection.c reads bytes into the request object, this makes of them a head, routes it, collects
 * the body, prints the answer, and lets go by what the handler did not want.
 */
#pragma once
#include "relay/http/request.h"

struct http_connection;

/* Does all that can be done with the bytes that are there, and asks for more when there is room. */
void http_exchange_process(struct http_connection *connection);
/* The front itself answers with an error, and ends the connection. */
void http_exchange_refuse(struct http_connection *connection, int status);
/* Tells the handler that the rest of the body will not come; ends the request. */
void http_exchange_break_body(struct http_connection *connection);
/* The socket is gone: the request ends, or becomes an orphan that its handler still answers. */
void http_exchange_abandon(struct http_connection *connection);

/* For request.c. */
void http_exchange_begin_body(struct http_connection *connection);
void http_exchange_answer(struct http_connection *connection, const struct http_answer *answer);
