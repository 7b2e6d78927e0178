-- SPDX-License-Identifier: Apache-2.0
-- What every script that works on a device includes first; not a script of its own. All integers in the
-- records are little-endian, all texts in them of fixed length or last.
--
-- KEYS[1] bw:{<device>}    hash: "d" the device, "q" the state of its queue, "u" what it used of its daily
--                          quota, "s"<subscription id> a subscription, "c"<channel> its subscription id,
--                          "t"<channel><topic> the place of the topic's message
-- KEYS[2] bw:{<device>}:q  sorted set, the queue: a message with its place as score. place =
--                          urgency * 2^50 + sequence, sequence = ms * 256 + n and never goes back. So
--                          the first one is the least important, and oldest of its kind.
-- KEYS[3] bw:{<device>}:x  sorted set: places of messages that expire before an earlier one does, by
--                          expiry. All others expire in the order of the queue.
-- KEYS[4] bw:{<device>}:g  sorted set: ids of removed subscriptions, by the end of their remembrance
--
-- A message: place d, expires d (ms), is in KEYS[3] 1, channel 16, urgency 1, length of topic 1, of
-- encoding 2, of encryption 2, of crypto key 2, then these four, then the body.
--
-- Redis runs a script whole or not at all, but one that is killed in the middle of a write to its append-only
-- file may later, at a second start, bring back what a script wrote first without the rest. So what is new is
-- written before what it replaces is taken out, and a queue is counted anew when its state does not fit it.
local H, Q, X, G = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local call, pack, unpack_, sub, floor = redis.call, struct.pack, struct.unpack, string.sub, math.floor

local OK, MISSING, GONE, KEY_MISMATCH, TOO_LARGE, FULL, OVER_QUOTA = 0, 1, 2, 3, 4, 5, 6
local URGENCY_STEP = 1125899906842624
local MESSAGE_HEAD = 41
local MESSAGE_COST = 64
local KEPT_STEP = 4194304 -- ms; in such steps the queue's keys are kept longer, which costs a command

local DEVICE = '<BBI4c16ddI4c16'
local ATTACHED, MIN_URGENCY, QUOTA, NODE, CONTACT, MISSED, SUBSCRIPTIONS, INVITE = 1, 2, 3, 4, 5, 6, 7, 8
-- LATE: the latest expiry of all queued; SOONEST: nothing expires before; COUNT: by urgency
local QUEUE = '<ddddI4I4I4I4'
local LAST, BYTES, LATE, SOONEST, COUNT = 1, 2, 3, 4, 5
local SUBSCRIPTION = '<BI4c16c32' -- has key, max body (0: any), channel, key hash
local NO_DEMANDS = '\0\0\0\0\0' -- how one without either begins
local NO_LIMITS = NO_DEMANDS -- minimum urgency and quota of a device that has neither
