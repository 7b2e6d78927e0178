/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Questions to the kernel over rtnetlink, and reading its messages. The kernel answers within the
 * call that asks, so nothing here waits. What the kernel says is trusted to be well formed, but
 * lengths are checked all the same.
 */
#pragma once
#include <linux/rtnetlink.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/* A non-blocking socket bound to the legacy groups (RTMGRP_…), 0 for one that asks. The descriptor
 * or negative errno. */
int rtnl_socket(uint32_t groups);

typedef void rtnl_message_fn(const struct nlmsghdr *message, void *ctx);

/* A request under construction. */
struct rtnl_request {
	struct nlmsghdr header;
	char body[256];
};
/* Starts a request whose fixed part has `bytes`, zeroed; returns that part. */
void *rtnl_request_init(struct rtnl_request *request, uint16_t type, uint16_t flags, size_t bytes);
void rtnl_request_add(struct rtnl_request *request, uint16_t type, const void *data, size_t bytes);

/* A socket that asks. */
struct rtnl {
	int fd; /* rtnl_socket(0); its owner closes it */
	uint32_t seq; /* of the last request */
};
/* `answer` is called for each message that answers. 0, or the kernel's (or the socket's) negative
 * errno. */
int rtnl_ask(struct rtnl *rtnl, struct rtnl_request *request, rtnl_message_fn *answer, void *ctx);
/* Everything of one type (RTM_GETLINK, RTM_GETADDR, RTM_GETROUTE) and family, over a socket of its
 * own. */
int rtnl_dump(uint16_t type, uint8_t family, rtnl_message_fn *answer, void *ctx);

/* The first message of what one read brought, and the one behind; NULL at the end or when the rest
 * is no whole message. */
const struct nlmsghdr *rtnl_first(const void *data, size_t bytes, size_t *out_left);
const struct nlmsghdr *rtnl_next(const struct nlmsghdr *message, size_t *left);
/* The attribute behind a fixed part of `bytes`, or NULL. */
const struct rtattr *rtnl_attribute(
	const struct nlmsghdr *message, size_t bytes, unsigned short type);
/* The fixed part, or NULL when the message is shorter. */
const void *rtnl_body(const struct nlmsghdr *message, size_t bytes);
uint32_t rtnl_u32(const struct rtattr *attribute); /* 0 for NULL */
/* An address attribute as a socket address with port 0; AF_UNSPEC when NULL or of another size. */
struct sockaddr_storage rtnl_address(int family, const struct rtattr *attribute);
