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
local node, most, quota, has_key, max_body, tombstone, lifetime = struct.unpack('<c16I4I4BI4dd', ARGV[1])
local KEY_LATER = string.rep('\0', 32)
local channel, fresh, key_hash = ARGV[2], ARGV[3], ARGV[4]
local found = call('HMGET', H, 'd', 'c' .. channel)
local old = found[2]
if old then
	local text = call('HGET', H, 's' .. old)
	local had_key, _, old_hash, old_max = struct.unpack(SUBSCRIPTION, text)
	if had_key == 1 and (has_key == 0 and old_hash == KEY_LATER or has_key == 1 and key_hash == KEY_LATER) then
		has_key, key_hash = 1, old_hash
	end
	if had_key == has_key and (old_hash == key_hash or old_hash == KEY_LATER) then
		if old_max ~= max_body or old_hash ~= key_hash then
			call('HSET', H, 's' .. old, struct.pack(SUBSCRIPTION, has_key, channel, key_hash, max_body))
		end
		return {OK, old, 0, ({struct.unpack(DEVICE, found[1])})[INVITE]}
	end
end

local now = now_ms()
local d = found[1] and {struct.unpack(DEVICE, found[1])}
if d and not old and d[SUBSCRIPTIONS] >= most then
	return {FULL}
end
local is_new = not d
d = d or {1, 0, node, now, 0, quota, 0, ARGV[5]}
if not old then
	d[SUBSCRIPTIONS] = d[SUBSCRIPTIONS] + 1
end
call('HSET', H, 'd', device_pack(d), 'c' .. channel, fresh,
	's' .. fresh, struct.pack(SUBSCRIPTION, has_key, channel, key_hash, max_body))
if old then
	tombstone_add(old, now, tombstone)
end
if is_new then
	call('DEL', Q, X)
	call('HSET', H, 'q', queue_pack({0, 0, 0, math.huge, 0, 0, 0, 0, 0, 0}))
	call('PEXPIRE', H, lifetime)
end
return {OK, fresh, is_new and 1 or 0, d[INVITE]}
