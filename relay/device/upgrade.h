/* SPDX-License-Identifier: Apache-2.0 */
/* The opening handshake, as far as the relay judges it itself (RFC 6455 4.2.1); libwebsockets
 * answers what passes. */
#pragma once
#include "common/buffer.h"
#include "relay/http/request.h"

void upgrade_refuse(struct http_request *request, int status);
/* Answers an upgrade that is not for us (400, 426), or takes it over: *out_fd is the socket, and
 * *take_head (buffer_finish it) a plain request of the same meaning and what came behind it. Ends
 * the request in any case. */
bool upgrade_take(struct http_request *request, int *out_fd, struct buffer *take_head);
/* 0 when the head is one for us, else the status that refuses it. *out_named: the client offers
 * our subprotocol by name. Pure. */
int upgrade_check(const struct http_head *head, struct slice *out_key, bool *out_named);
