/* SPDX-License-Identifier: Apache-2.0 */
/* Requests to rtnetlink and the walk over its messages and attributes. */
#include "distributor/monitor/rtnl.h"
#include "common/cleanup.h"
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>

enum {
	RTNL_ANSWER_BYTES = 32768, /* the kernel fills at most this much in one go */
	RTNL_PARTS_MAX = 256, /* of a dump; a router's full table is not worth more */
};

int rtnl_socket(uint32_t groups) {
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (fd < 0) {
		return -errno;
	}
	struct sockaddr_nl local = {.nl_family = AF_NETLINK, .nl_groups = groups};
	if (bind(fd, (struct sockaddr *)&local, sizeof local) < 0) {
		int error = errno;
		(void)close(fd); /* nothing was written */
		return -error;
	}
	return fd;
}

void *rtnl_request_init(struct rtnl_request *request, uint16_t type, uint16_t flags, size_t bytes) {
	assert(bytes <= sizeof request->body);
	memset(request, 0, sizeof *request);
	request->header.nlmsg_type = type;
	request->header.nlmsg_flags = NLM_F_REQUEST | flags;
	request->header.nlmsg_len = (uint32_t)NLMSG_LENGTH(bytes);
	return NLMSG_DATA(&request->header);
}

void rtnl_request_add(struct rtnl_request *request, uint16_t type, const void *data, size_t bytes) {
	size_t at = NLMSG_ALIGN(request->header.nlmsg_len);
	assert(at + RTA_LENGTH(bytes) <= sizeof *request);
	struct rtattr attribute = {(unsigned short)RTA_LENGTH(bytes), type};
	char *place = (char *)request + at;
	memcpy(place, &attribute, sizeof attribute);
	memcpy(place + RTA_LENGTH(0), data, bytes);
	request->header.nlmsg_len = (uint32_t)(at + RTA_ALIGN(RTA_LENGTH(bytes)));
}

static const struct nlmsghdr *rtnl_checked(const void *at, size_t left) {
	const struct nlmsghdr *message = at;
	bool is_whole = left >= sizeof *message && message->nlmsg_len >= sizeof *message &&
					message->nlmsg_len <= left;
	return is_whole ? message : NULL;
}

const struct nlmsghdr *rtnl_first(const void *data, size_t bytes, size_t *out_left) {
	*out_left = bytes;
	return rtnl_checked(data, bytes);
}

const struct nlmsghdr *rtnl_next(const struct nlmsghdr *message, size_t *left) {
	size_t step = NLMSG_ALIGN(message->nlmsg_len);
	*left -= step < *left ? step : *left;
	return rtnl_checked((const char *)message + step, *left);
}

/* Goes through what one read brought. 1: more is to come; 0 or negative errno: that was all. */
static int rtnl_take(
	const char *data, size_t bytes, uint32_t seq, rtnl_message_fn *answer, void *ctx) {
	size_t left;
	for (const struct nlmsghdr *message = rtnl_first(data, bytes, &left); message;
		 message = rtnl_next(message, &left)) {
		if (message->nlmsg_seq != seq) {
			continue; /* the rest of an answer that was given up */
		}
		if (message->nlmsg_type == NLMSG_DONE) {
			return 0;
		}
		if (message->nlmsg_type == NLMSG_ERROR) {
			const struct nlmsgerr *error = rtnl_body(message, sizeof *error);
			return error ? error->error : -EBADMSG;
		}
		answer(message, ctx);
		if (!(message->nlmsg_flags & NLM_F_MULTI)) {
			return 0;
		}
	}
	return 1;
}

int rtnl_ask(struct rtnl *rtnl, struct rtnl_request *request, rtnl_message_fn *answer, void *ctx) {
	request->header.nlmsg_seq = ++rtnl->seq;
	struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
	if (sendto(rtnl->fd, request, request->header.nlmsg_len, 0, (struct sockaddr *)&kernel,
			sizeof kernel) < 0) {
		return -errno;
	}
	_Alignas(struct nlmsghdr) char data[RTNL_ANSWER_BYTES];
	for (int part = 0; part < RTNL_PARTS_MAX; part++) {
		struct sockaddr_nl sender = {0};
		socklen_t sender_bytes = sizeof sender;
		ssize_t bytes =
			recvfrom(rtnl->fd, data, sizeof data, 0, (struct sockaddr *)&sender, &sender_bytes);
		if (bytes < 0) {
			return -errno;
		}
		if (sender.nl_pid != 0) {
			continue; /* not the kernel */
		}
		int result = rtnl_take(data, (size_t)bytes, rtnl->seq, answer, ctx);
		if (result <= 0) {
			return result;
		}
	}
	return -E2BIG;
}

int rtnl_dump(uint16_t type, uint8_t family, rtnl_message_fn *answer, void *ctx) {
	CLEANUP_CLOSE int fd = rtnl_socket(0);
	if (fd < 0) {
		return fd;
	}
	struct rtnl rtnl = {.fd = fd};
	struct rtnl_request request;
	/* each of the three fixed parts begins with the family; kernels take any of their sizes */
	size_t bytes = type == RTM_GETLINK	 ? sizeof(struct ifinfomsg)
				   : type == RTM_GETADDR ? sizeof(struct ifaddrmsg)
										 : sizeof(struct rtmsg);
	uint8_t *body = rtnl_request_init(&request, type, NLM_F_DUMP, bytes);
	body[0] = family;
	return rtnl_ask(&rtnl, &request, answer, ctx);
}

const void *rtnl_body(const struct nlmsghdr *message, size_t bytes) {
	return message->nlmsg_len >= NLMSG_LENGTH(bytes) ? NLMSG_DATA(message) : NULL;
}

const struct rtattr *rtnl_attribute(
	const struct nlmsghdr *message, size_t bytes, unsigned short type) {
	if (message->nlmsg_len < NLMSG_SPACE(bytes)) {
		return NULL;
	}
	const char *at = (const char *)message + NLMSG_SPACE(bytes);
	const char *end = (const char *)message + message->nlmsg_len;
	while (end - at >= (ptrdiff_t)sizeof(struct rtattr)) {
		const struct rtattr *attribute = (const void *)at;
		if (attribute->rta_len < sizeof *attribute || attribute->rta_len > end - at) {
			return NULL;
		}
		if ((attribute->rta_type & NLA_TYPE_MASK) == type) {
			return attribute;
		}
		size_t step = RTA_ALIGN(attribute->rta_len);
		if (step > (size_t)(end - at)) {
			return NULL;
		}
		at += step;
	}
	return NULL;
}

uint32_t rtnl_u32(const struct rtattr *attribute) {
	uint32_t value = 0;
	if (attribute && RTA_PAYLOAD(attribute) >= sizeof value) {
		memcpy(&value, RTA_DATA(attribute), sizeof value);
	}
	return value;
}

struct sockaddr_storage rtnl_address(int family, const struct rtattr *attribute) {
	struct sockaddr_storage address = {.ss_family = AF_UNSPEC};
	size_t bytes = attribute ? RTA_PAYLOAD(attribute) : 0;
	if (family == AF_INET && bytes == sizeof(struct in_addr)) {
		struct sockaddr_in *in = (struct sockaddr_in *)&address;
		in->sin_family = AF_INET;
		memcpy(&in->sin_addr, RTA_DATA(attribute), bytes);
	} else if (family == AF_INET6 && bytes == sizeof(struct in6_addr)) {
		struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&address;
		in6->sin6_family = AF_INET6;
		memcpy(&in6->sin6_addr, RTA_DATA(attribute), bytes);
	}
	return address;
}
