-- SPDX-License-Identifier: Apache-2.0
-- A hello: notes the contact and the node that holds the socket.
-- KEYS: see device.lua
-- ARGV[1] node 16, device lifetime d (ms)
-- Reply: outcome, minimum urgency, missed, subscriptions, was elsewhere, previous node, expired
--        meanwhile, invite (or "" when its last contact was noted within a day); or the outcome alone
-- include: device.lua
-- include: device_tools.lua
local node, lifetime = unpack_('<c16d', ARGV[1])
local found = call('HMGET', H, 'd', 'q')
if not found[1] then
	return {MISSING}
end
local tools = device_tools()
-- First, because it is allowed when memory is full, and all that follows then is too: so a full Redis
-- can be drained.
call('PEXPIRE', H, lifetime)
local now = tools.now_ms()
local d, q = {unpack_(DEVICE, found[1])}, {unpack_(QUEUE, found[2])}
local was_elsewhere = d[ATTACHED] == 1 and d[NODE] ~= node
local previous = d[NODE]
local invite = now - d[CONTACT] > 86400000 and d[INVITE] or ''
local expired = tools.reconcile(q) + tools.expire(q, now)
d[ATTACHED], d[NODE], d[CONTACT], d[MISSED] = 1, node, now, d[MISSED] + expired
call('HSET', H, 'd', tools.device_pack(d), 'q', tools.queue_pack(q))
return {OK, d[MIN_URGENCY], d[MISSED], d[SUBSCRIPTIONS], was_elsewhere and 1 or 0, previous, expired, invite}
