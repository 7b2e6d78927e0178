-- SPDX-License-Identifier: Apache-2.0
-- Stores a message, or passes it on (TTL 0).
-- KEYS: see device.lua
-- ARGV[1] subscription id 16, node of the caller 16, ttl 4 (s), size 4 (headers and body), most messages 4,
--         most bytes d, urgency 1, lease d (ms), has key 1, body length 4, key hash 32
-- ARGV[2] the message from its urgency on
-- Reply: one text, for many values cost much: outcome 1, flags 1 (1 stored, 2 here, 4 below minimum,
--        8 replaced), place d, expires d (ms), sequence of the message before d, channel 16, and if there are
--        any: evicted 4, expired 4; or the outcome alone
--
-- include: device.lua

local args, tail = ARGV[1], ARGV[2]
local found = call('HMGET', H, 'd', 'q', 's' .. sub(args, 1, 16))
local device, subscription = found[1], found[3]

-- ---- the short way ----
-- This script runs more often than all others together, and values, tables and functions cost it more than
-- Redis' commands do. So a message without a topic for a subscription without demands, and a device without a quota
-- or minimum urgency that is here or nowhere, is stored in few steps when it fits and is the last to expire.
-- A test holds this against the long way below.
if device and subscription and sub(device, 2, 6) == NO_LIMITS and sub(subscription, 1, 5) == NO_DEMANDS and
	tail:byte(2) == 0 then
	local last, bytes, late, soonest, count0, count1, count2, count3 = unpack_(QUEUE, found[2])
	local ttl, size, most_messages, most_bytes, urgency = unpack_('<I4I4I4dB', args, 33)
	local time = call('TIME')
	local now = time[1] * 1000 + floor(time[2] / 1000)
	local total, expires = count0 + count1 + count2 + count3, now + ttl * 1000
	bytes = bytes + size + MESSAGE_COST
	if total == 0 then
		late, soonest = 0, expires
	end
	local flags = device:byte(1) == 0 and 1 or sub(device, 7, 22) == sub(args, 17, 32) and 3
	if flags and ttl > 0 and total < most_messages and bytes <= most_bytes and expires >= late and now < soonest and
		total == call('ZCARD', Q) then
		local sequence = now * 256
		if sequence <= last then
			sequence = last + 1
		end
		local place, channel = urgency * URGENCY_STEP + sequence, sub(subscription, 6, 21)
		call('ZADD', Q, string.format('%d', place), pack('<ddB', place, expires, 0) .. channel .. tail)
		if floor(expires / KEPT_STEP) > floor(late / KEPT_STEP) then
			call('PEXPIREAT', Q, (floor(expires / KEPT_STEP) + 1) * KEPT_STEP)
		end
		if urgency == 2 then
			count2 = count2 + 1
		elseif urgency == 3 then
			count3 = count3 + 1
		elseif urgency == 1 then
			count1 = count1 + 1
		else
			count0 = count0 + 1
		end
		call('HSET', H, 'q', pack(QUEUE, sequence, bytes, expires, soonest, count0, count1, count2, count3))
		return pack('<BBddd', OK, flags, place, expires, last) .. channel
	end
end

-- ---- the long way ----
-- include: device_tools.lua

-- Takes one of the messages that a device, or an invite's devices together, may get today; those of an invite are
-- counted under bw:{invite:<invite>}:<day>, which is not in KEYS, for only the device's record names the invite.
-- False when there is none left.
local function quota_take(device, now)
	local d = {unpack_(DEVICE, device)}
	local day = floor(now / 86400000)
	if d[INVITE] ~= string.rep('\0', 16) then
		local hex = d[INVITE]:gsub('.', function(byte) return string.format('%02x', byte:byte()) end)
		local key = 'bw:{invite:' .. hex .. '}:' .. day
		if tonumber(call('GET', key) or 0) >= d[QUOTA] then
			return false
		end
		call('INCR', key)
		call('EXPIRE', key, 2 * 86400)
		return true
	end
	local text = call('HGET', H, 'u')
	local of_day, used = 0, 0
	if text then
		of_day, used = unpack_('<I4I4', text)
	end
	used = of_day == day and used or 0
	if used >= d[QUOTA] then
		return false
	end
	call('HSET', H, 'u', pack('<I4I4', day, used + 1))
	return true
end

if not device or not subscription then
	return string.char(device_tools().tombstone_outcome(sub(args, 1, 16)))
end
local ttl, size, most_messages, most_bytes, urgency = unpack_('<I4I4I4dB', args, 33)
if sub(subscription, 1, 5) ~= NO_DEMANDS then
	local wants_key, max_body, _, key_hash = unpack_(SUBSCRIPTION, subscription)
	local has_key, body_len, given_hash = unpack_('<BI4c32', args, 62)
	if wants_key == 1 and (has_key == 0 or key_hash ~= given_hash) then
		return string.char(KEY_MISMATCH)
	end
	if max_body > 0 and body_len > max_body then
		return string.char(TOO_LARGE)
	end
end

local time = call('TIME')
local now = time[1] * 1000 + floor(time[2] / 1000)
local attached, min_urgency, quota, node = unpack_('<BBI4c16', device)
if quota > 0 and not quota_take(device, now) then
	return string.char(OVER_QUOTA)
end

local q = {unpack_(QUEUE, found[2])}
local total = q[COUNT] + q[COUNT + 1] + q[COUNT + 2] + q[COUNT + 3]
local expired = 0
if now >= q[SOONEST] or total ~= call('ZCARD', Q) then
	local tools = device_tools()
	expired = tools.reconcile(q) + tools.expire(q, now)
	total = tools.queue_total(q)
end
local previous = q[LAST]
local sequence = now * 256
if sequence <= previous then
	sequence = previous + 1
end
q[LAST] = sequence
local place = urgency * URGENCY_STEP + sequence
local channel = sub(subscription, 6, 21)
local gone -- what it replaces or evicts
local flags, evicted = 0, 0

local topic_len = tail:byte(2)
local topic_field, old
if topic_len > 0 then
	topic_field = 't' .. channel .. sub(tail, 9, 8 + topic_len)
	local at = call('HGET', H, topic_field)
	at = at and (unpack_('<d', at))
	old = at and call('ZRANGEBYSCORE', Q, at, at)[1]
	if old then
		device_tools().count_out(q, old)
		gone = {old}
		flags = 8
	end
end

local expires, is_stored = 0, false
if ttl > 0 then
	expires = now + ttl * 1000
	size = size + MESSAGE_COST
	is_stored = true
	if total >= most_messages or q[BYTES] + size > most_bytes then
		local tools, at = device_tools(), 0
		gone = gone or {}
		while is_stored and (tools.queue_total(q) >= most_messages or q[BYTES] + size > most_bytes) do
			local least = call('ZRANGE', Q, at, at)[1]
			at = at + 1
			if not least or least:byte(34) > urgency then
				is_stored = false
			elseif least ~= old then
				tools.count_out(q, least)
				gone[#gone + 1] = least
				evicted = evicted + 1
			end
		end
	end
end

local is_indexed = 0
if is_stored then
	flags = flags + 1
	if total == 0 or gone and device_tools().queue_total(q) == 0 then
		q[LATE], q[SOONEST] = 0, math.huge
	end
	is_indexed = expires < q[LATE] and 1 or 0
end
local message = pack('<ddB', place, expires, is_indexed) .. channel .. tail
if is_stored then
	call('ZADD', Q, string.format('%d', place), message) -- faster than Redis prints a number
	if expires > q[LATE] then
		if floor(expires / KEPT_STEP) > floor(q[LATE] / KEPT_STEP) then
			call('PEXPIREAT', Q, (floor(expires / KEPT_STEP) + 1) * KEPT_STEP)
		end
		q[LATE] = expires
	elseif is_indexed == 1 then
		call('ZADD', X, expires, sub(message, 1, 8))
		call('PEXPIREAT', X, (floor(q[LATE] / KEPT_STEP) + 1) * KEPT_STEP)
	end
	if topic_field then
		call('HSET', H, topic_field, sub(message, 1, 8))
	end
	if expires < q[SOONEST] then
		q[SOONEST] = expires
	end
	q[COUNT + urgency] = q[COUNT + urgency] + 1
	q[BYTES] = q[BYTES] + size
end

local missed = expired + evicted + (ttl > 0 and not is_stored and 1 or 0)
if missed > 0 then
	local d = {unpack_(DEVICE, device)}
	d[MISSED] = d[MISSED] + missed
	call('HSET', H, 'd', pack(DEVICE, unpack(d, 1, 8)), 'q', pack(QUEUE, unpack(q, 1, 8)))
else
	call('HSET', H, 'q', pack(QUEUE, unpack(q, 1, 8)))
end
if gone then
	local tools = device_tools()
	for _, one in ipairs(gone) do
		tools.take_out(one)
	end
end

local is_below = urgency < min_urgency
if is_below then
	flags = flags + 4
end
if attached == 1 then
	if node == sub(args, 17, 32) then
		flags = flags + 2
	elseif (is_stored or ttl == 0) and not is_below then
		local _, _, _, _, contact = unpack_(DEVICE, device)
		if contact + unpack_('<d', args, 54) > now then
			local id = sub(H, 5, 36)
			call('PUBLISH', 'bw:node:' .. node, ttl > 0 and 'M' .. id or 'T' .. id .. message)
		end
	end
end
local reply = pack('<BBddd', OK, flags, place, expires, previous) .. channel
if evicted + expired > 0 then
	return reply .. pack('<I4I4', evicted, expired)
end
return reply
