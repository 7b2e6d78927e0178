-- SPDX-License-Identifier: Apache-2.0
-- Removes a channel and its messages, leaves a tombstone.
-- KEYS: see device.lua
-- ARGV[1] channel
-- ARGV[2] tombstone (ms)
-- Reply: removed messages, expired meanwhile
local queue_drop, queue_expire, queue_reconcile = queue_tools()
local channel = ARGV[1]
local found = call('HMGET', H, 'd', 'q', 'c' .. channel)
if not found[1] or not found[3] then
	return {0, 0}
end
local now = now_ms()
call('HDEL', H, 'c' .. channel)
tombstone_add(found[3], now, tonumber(ARGV[2]))
local d, q = {struct.unpack(DEVICE, found[1])}, {struct.unpack(QUEUE, found[2])}
local expired = queue_reconcile(q) + queue_expire(q, now)
local removed, at, some = 0, 0, nil
repeat
	some = call('ZRANGE', Q, at, at + 63)
	for _, message in ipairs(some) do
		if message:sub(17, 32) == channel then
			queue_drop(q, message)
			removed = removed + 1
		else
			at = at + 1
		end
	end
until #some < 64
d[SUBSCRIPTIONS] = d[SUBSCRIPTIONS] - 1
d[MISSED] = d[MISSED] + expired
call('HSET', H, 'd', device_pack(d), 'q', queue_pack(q))
return {removed, expired}
