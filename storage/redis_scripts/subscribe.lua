-- SPDX-License-Identifier: Apache-2.0
-- Makes a subscription for a channel, and the device if need be.
-- KEYS: see device.lua
-- ARGV[1] node 16, most subscriptions 4, messages a day 4, has key 1, max body 4, tombstone d (ms), device
--         lifetime d (ms)
-- ARGV[2] channel
-- ARGV[3] fresh subscription id
-- ARGV[4] key hash (zeros without a key, and for one that follows later)
-- ARGV[5] invite
-- Reply: outcome, subscription id, the device is new, its invite; or the outcome alone
-- include: device.lua
-- include: device_tools.lua
local node, most, quota, has_key, max_body, tombstone, lifetime = unpack_('<c16I4I4BI4dd', ARGV[1])
local KEY_LATER = string.rep('\0', 32)
local channel, fresh, key_hash = ARGV[2], ARGV[3], ARGV[4]
local found = call('HMGET', H, 'd', 'c' .. channel)
local old = found[2]
if old then
	local text = call('HGET', H, 's' .. old)
	local had_key, old_max, _, old_hash = unpack_(SUBSCRIPTION, text)
	if had_key == 1 and (has_key == 0 and old_hash == KEY_LATER or has_key == 1 and key_hash == KEY_LATER) then
		has_key, key_hash = 1, old_hash
	end
	if had_key == has_key and (old_hash == key_hash or old_hash == KEY_LATER) then
		if old_max ~= max_body or old_hash ~= key_hash then
			call('HSET', H, 's' .. old, pack(SUBSCRIPTION, has_key, max_body, channel, key_hash))
		end
		return {OK, old, 0, ({unpack_(DEVICE, found[1])})[INVITE]}
	end
end

local tools = device_tools()
local now = tools.now_ms()
local d = found[1] and {unpack_(DEVICE, found[1])}
if d and not old and d[SUBSCRIPTIONS] >= most then
	return {FULL}
end
local is_new = not d
d = d or {1, 0, quota, node, now, 0, 0, ARGV[5]}
if not old then
	d[SUBSCRIPTIONS] = d[SUBSCRIPTIONS] + 1
end
local fields = {'d', tools.device_pack(d), 'c' .. channel, fresh,
	's' .. fresh, pack(SUBSCRIPTION, has_key, max_body, channel, key_hash)}
if is_new then
	fields[7], fields[8] = 'q', tools.queue_pack({0, 0, 0, math.huge, 0, 0, 0, 0})
end
call('HSET', H, unpack(fields))
if is_new then
	call('PEXPIRE', H, lifetime)
	call('DEL', Q, X)
end
if old then
	call('HDEL', H, 's' .. old)
	tools.tombstone_add(old, now, tombstone)
end
return {OK, fresh, is_new and 1 or 0, d[INVITE]}
