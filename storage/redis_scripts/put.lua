-- SPDX-License-Identifier: Apache-2.0
-- Stores a message, or passes it on (TTL 0).
-- KEYS: see device.lua
-- ARGV[1] node of the caller 16, subscription id 16, ttl 4 (s), urgency 1, has key 1, key hash 32, body
--         length 4, size 4 (headers and body), most messages 4, most bytes d, lease d (ms)
-- ARGV[2] the message from the length of its topic on
-- Reply: one text, for many values cost much: outcome 1, flags 1 (1 stored, 2 here, 4 below minimum,
--        8 replaced), evicted 4, expired 4, place d, expires d (ms), sequence of the message before d,
--        channel 16; or the outcome alone

-- Takes one of the messages that an invite's devices together may get today, counted under
-- bw:{invite:<invite>}:<day>; that key is not in KEYS, for only the device's record names the invite.
-- False when there is none left.
local function invite_take(invite, day, quota)
	local hex = invite:gsub('.', function(byte) return string.format('%02x', byte:byte()) end)
	local key = 'bw:{invite:' .. hex .. '}:' .. day
	if tonumber(call('GET', key) or 0) >= quota then
		return false
	end
	call('INCR', key)
	call('EXPIRE', key, 2 * 86400)
	return true
end

local node, subscription, ttl, urgency, has_key, given_hash, body_len, size, most_messages, most_bytes, lease =
	struct.unpack('<c16c16I4BBc32I4I4I4dd', ARGV[1])
local found = call('HMGET', H, 'd', 'q', 's' .. subscription)
if not found[1] or not found[3] then
	return string.char(tombstone_outcome(subscription))
end
local wants_key, channel, key_hash, max_body = struct.unpack(SUBSCRIPTION, found[3])
if wants_key == 1 and (has_key == 0 or key_hash ~= given_hash) then
	return string.char(KEY_MISMATCH)
end
if max_body > 0 and body_len > max_body then
	return string.char(TOO_LARGE)
end

local now = now_ms()
local d, q = {struct.unpack(DEVICE, found[1])}, {struct.unpack(QUEUE, found[2])}
local day = math.floor(now / 86400000)
if d[QUOTA] > 0 and d[INVITE] ~= NO_INVITE then
	if not invite_take(d[INVITE], day, d[QUOTA]) then
		return string.char(OVER_QUOTA)
	end
elseif d[QUOTA] > 0 then
	if q[DAY] ~= day then
		q[DAY], q[USED] = day, 0
	end
	if q[USED] >= d[QUOTA] then
		return string.char(OVER_QUOTA)
	end
	q[USED] = q[USED] + 1
end

local drop, expire, reconcile
local expired = 0
if now >= q[SOONEST] or queue_total(q) ~= call('ZCARD', Q) then
	drop, expire, reconcile = queue_tools()
	expired = reconcile(q) + expire(q, now)
end
local sequence = math.max(now * 256, q[LAST] + 1)
local place = urgency * URGENCY_STEP + sequence
local flags, evicted = 0, 0
local previous = q[LAST]
q[LAST] = sequence

local topic_len = ARGV[2]:byte(1)
local topic_field = topic_len > 0 and 't' .. channel .. ARGV[2]:sub(8, 7 + topic_len)
if topic_field then
	local old = call('HGET', H, topic_field)
	old = old and queue_at((struct.unpack('<d', old)))
	if old then
		drop = drop or queue_tools()
		drop(q, old)
		flags = flags + 8
	end
end

local message
local expires = 0
if ttl > 0 then
	expires = now + ttl * 1000
	size = size + MESSAGE_COST
	local fits = true
	while fits and (queue_total(q) >= most_messages or q[BYTES] + size > most_bytes) do
		local least = call('ZRANGE', Q, 0, 0)[1]
		if least and least:byte(33) <= urgency then
			drop = drop or queue_tools()
			drop(q, least)
			evicted = evicted + 1
		else
			fits = false
		end
	end
	if queue_total(q) == 0 then
		q[LATE], q[SOONEST] = 0, math.huge
	end
	if fits then
		local is_indexed = expires < q[LATE] and 1 or 0
		message = struct.pack('<ddc16BB', place, expires, channel, urgency, is_indexed) .. ARGV[2]
		call('ZADD', Q, string.format('%d', place), message) -- faster than Redis prints a number
		local kept = math.floor(q[LATE] / 4194304)
		if math.floor(expires / 4194304) > kept then
			kept = math.floor(expires / 4194304)
			call('PEXPIREAT', Q, (kept + 1) * 4194304)
		end
		if is_indexed == 1 then
			call('ZADD', X, expires, message:sub(1, 8))
			call('PEXPIREAT', X, (kept + 1) * 4194304)
		end
		if topic_field then
			call('HSET', H, topic_field, message:sub(1, 8))
		end
		q[COUNT + urgency] = q[COUNT + urgency] + 1
		q[BYTES] = q[BYTES] + size
		q[LATE] = math.max(q[LATE], expires)
		q[SOONEST] = math.min(q[SOONEST], expires)
		flags = flags + 1
	else
		d[MISSED] = d[MISSED] + 1
	end
else
	message = struct.pack('<ddc16BB', place, 0, channel, urgency, 0) .. ARGV[2]
end

call('HSET', H, 'q', queue_pack(q))
if evicted > 0 or expired > 0 or not message then
	d[MISSED] = d[MISSED] + evicted + expired
	call('HSET', H, 'd', device_pack(d))
end

local is_below = urgency < d[MIN_URGENCY]
if is_below then
	flags = flags + 4
end
if d[ATTACHED] == 1 then
	if d[NODE] == node then
		flags = flags + 2
	elseif message and not is_below and d[CONTACT] + lease > now then
		call('PUBLISH', 'bw:node:' .. d[NODE], ttl > 0 and 'M' .. H:sub(5, 36) or 'T' .. H:sub(5, 36) .. message)
	end
end
return struct.pack('<BBI4I4dddc16', OK, flags, evicted, expired, place, expires, previous, channel)
