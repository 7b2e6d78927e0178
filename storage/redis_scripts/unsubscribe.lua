-- SPDX-License-Identifier: Apache-2.0
-- Removes a channel and its messages, leaves a tombstone.
-- KEYS: see device.lua
-- ARGV[1] channel
-- ARGV[2] tombstone (ms)
-- Reply: removed messages, expired meanwhile
-- include: device.lua
-- include: device_tools.lua
local channel = ARGV[1]
local found = call('HMGET', H, 'd', 'q', 'c' .. channel)
if not found[1] or not found[3] then
	return {0, 0}
end
local tools = device_tools()
local now = tools.now_ms()
call('HDEL', H, 'c' .. channel, 's' .. found[3])
tools.tombstone_add(found[3], now, tonumber(ARGV[2]))
local d, q = {unpack_(DEVICE, found[1])}, {unpack_(QUEUE, found[2])}
local expired = tools.reconcile(q) + tools.expire(q, now)
local removed, at, some = 0, 0, nil
repeat
	some = call('ZRANGE', Q, at, at + 63)
	for _, message in ipairs(some) do
		if sub(message, 18, 33) == channel then
			tools.drop(q, message)
			removed = removed + 1
		else
			at = at + 1
		end
	end
until #some < 64
d[SUBSCRIPTIONS] = d[SUBSCRIPTIONS] - 1
d[MISSED] = d[MISSED] + expired
call('HSET', H, 'd', tools.device_pack(d), 'q', tools.queue_pack(q))
return {removed, expired}
