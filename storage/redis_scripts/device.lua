-- SPDX-License-Identifier: Apache-2.0
-- The beginning of every script that works on a device; not a script of its own. All integers in the
-- records are little-endian, all texts in them of fixed length or last.
--
-- KEYS[1] bw:{<device>}    hash: "d" the device, "q" the state of its queue, "s"<subscription id> a
--                          subscription, "c"<channel> its subscription id, "t"<channel><topic> the
--                          place of the topic's message
-- KEYS[2] bw:{<device>}:q  sorted set, the queue: a message with its place as score. place =
--                          urgency * 2^50 + sequence, sequence = ms * 256 + n and never goes back. So
--                          the first one is the least important, and oldest of its kind.
-- KEYS[3] bw:{<device>}:x  sorted set: places of messages that expire before an earlier one does, by
--                          expiry. All others expire in the order of the queue.
-- KEYS[4] bw:{<device>}:g  sorted set: ids of removed subscriptions, by the end of their remembrance
--
-- A message: place d, expires d (ms), channel 16, urgency 1, is in KEYS[3] 1, length of topic 1, of
-- encoding 2, of encryption 2, of crypto key 2, then these four, then the body.
local H, Q, X, G = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local call = redis.call

local OK, MISSING, GONE, KEY_MISMATCH, TOO_LARGE, FULL, OVER_QUOTA = 0, 1, 2, 3, 4, 5, 6
local URGENCY_STEP = 1125899906842624
local MESSAGE_HEAD = 41
local MESSAGE_COST = 64

local DEVICE = '<BBc16ddI4I4c16'
local ATTACHED, MIN_URGENCY, NODE, CONTACT, MISSED, QUOTA, SUBSCRIPTIONS, INVITE = 1, 2, 3, 4, 5, 6, 7, 8
-- LATE: the latest expiry of all queued; SOONEST: nothing expires before; COUNT: by urgency
local QUEUE = '<ddddI4I4I4I4I4I4'
local LAST, BYTES, LATE, SOONEST, COUNT, DAY, USED = 1, 2, 3, 4, 5, 9, 10
local SUBSCRIPTION = '<Bc16c32I4' -- has key, channel, key hash, max body

local function now_ms()
	local time = call('TIME')
	return time[1] * 1000 + math.floor(time[2] / 1000)
end

local NO_INVITE = string.rep('\0', 16)

local function device_pack(d)
	return struct.pack(DEVICE, unpack(d, 1, 8))
end

local function queue_pack(q)
	return struct.pack(QUEUE, unpack(q, 1, 10))
end

local function queue_total(q)
	return q[COUNT] + q[COUNT + 1] + q[COUNT + 2] + q[COUNT + 3]
end

local function queue_at(place)
	return call('ZRANGEBYSCORE', Q, place, place)[1]
end

-- drop, expire, reconcile. A function is made anew at each run of a script, which takes time, so whoever
-- seldom needs these makes them when it does.
local function queue_tools()
	-- Takes a message out.
	local function drop(q, message)
		local _, _, channel, urgency, is_indexed, topic_len = struct.unpack('<ddc16BBB', message)
		call('ZREM', Q, message)
		if is_indexed == 1 then
			call('ZREM', X, message:sub(1, 8))
		end
		if topic_len > 0 then
			local field = 't' .. channel .. message:sub(MESSAGE_HEAD + 1, MESSAGE_HEAD + topic_len)
			if call('HGET', H, field) == message:sub(1, 8) then
				call('HDEL', H, field)
			end
		end
		q[COUNT + urgency] = q[COUNT + urgency] - 1
		q[BYTES] = q[BYTES] - (#message - MESSAGE_HEAD - topic_len + MESSAGE_COST)
	end

	-- Takes out what has expired; returns how many.
	local function expire(q, now)
		if now < q[SOONEST] then
			return 0
		end
		local count, soonest = 0, math.huge
		for urgency = 0, 3 do
			local first, live = urgency * URGENCY_STEP, nil
			while not live and q[COUNT + urgency] > 0 do
				local found = call('ZRANGEBYSCORE', Q, first, first + URGENCY_STEP - 1, 'LIMIT', 0, 16)
				for _, message in ipairs(found) do
					local _, expires = struct.unpack('<dd', message)
					if expires > now then
						live = expires
						break
					end
					drop(q, message)
					count = count + 1
				end
				if #found == 0 then
					break
				end
			end
			soonest = math.min(soonest, live or soonest)
		end
		local due = call('ZRANGEBYSCORE', X, '-inf', now)
		for _, place in ipairs(due) do
			local message = queue_at((struct.unpack('<d', place)))
			if message then
				drop(q, message)
				count = count + 1
			else
				call('ZREM', X, place)
			end
		end
		local first = call('ZRANGE', X, 0, 0, 'WITHSCORES')
		q[SOONEST] = math.min(soonest, tonumber(first[2] or soonest))
		return count
	end

	-- Counts anew when Redis itself has dropped the queue, expired as a whole or evicted; returns how many
	-- messages went with it.
	local function reconcile(q)
		local want, have = queue_total(q), call('ZCARD', Q)
		if want == have then
			return 0
		end
		q[BYTES] = 0
		for urgency = 0, 3 do
			q[COUNT + urgency] = 0
		end
		for at = 0, have - 1, 64 do
			for _, message in ipairs(call('ZRANGE', Q, at, at + 63)) do
				local _, _, _, urgency, _, topic_len = struct.unpack('<ddc16BBB', message)
				q[COUNT + urgency] = q[COUNT + urgency] + 1
				q[BYTES] = q[BYTES] + #message - MESSAGE_HEAD - topic_len + MESSAGE_COST
			end
		end
		for _, field in ipairs(call('HKEYS', H)) do
			if field:sub(1, 1) == 't' and not queue_at((struct.unpack('<d', call('HGET', H, field)))) then
				call('HDEL', H, field)
			end
		end
		if have == 0 then
			q[LATE], q[SOONEST] = 0, math.huge
			call('DEL', X)
		end
		return math.max(want - have, 0)
	end

	return drop, expire, reconcile
end

-- Remembers a removed subscription.
local function tombstone_add(subscription, now, tombstone_ms)
	call('HDEL', H, 's' .. subscription)
	call('ZREMRANGEBYSCORE', G, '-inf', now)
	call('ZREMRANGEBYRANK', G, 0, -4096)
	call('ZADD', G, now + tombstone_ms, subscription)
	call('PEXPIREAT', G, now + tombstone_ms)
end

-- GONE or MISSING, for a subscription that is not there.
local function tombstone_outcome(subscription)
	local ends = call('ZSCORE', G, subscription)
	return ends and tonumber(ends) > now_ms() and GONE or MISSING
end

