-- SPDX-License-Identifier: Apache-2.0
-- A hello: notes the contact and the node that holds the socket.
-- KEYS: see device.lua
-- ARGV[1] node 16, device lifetime d (ms)
-- Reply: outcome, minimum urgency, missed, subscriptions, was elsewhere, previous node, expired
--        meanwhile, invite (or "" when its last contact was noted within a day); or the outcome alone
local _, queue_expire, queue_reconcile = queue_tools()
local node, lifetime = struct.unpack('<c16d', ARGV[1])
local found = call('HMGET', H, 'd', 'q')
if not found[1] then
	return {MISSING}
end
-- First, because it is allowed when memory is full, and all that follows then is too: so a full Redis
-- can be drained.
call('PEXPIRE', H, lifetime)
local now = now_ms()
local d, q = {struct.unpack(DEVICE, found[1])}, {struct.unpack(QUEUE, found[2])}
local was_elsewhere = d[ATTACHED] == 1 and d[NODE] ~= node
local previous = d[NODE]
local invite = now - d[CONTACT] > 86400000 and d[INVITE] or ''
local expired = queue_reconcile(q) + queue_expire(q, now)
d[ATTACHED], d[NODE], d[CONTACT], d[MISSED] = 1, node, now, d[MISSED] + expired
call('HSET', H, 'd', device_pack(d), 'q', queue_pack(q))
return {OK, d[MIN_URGENCY], d[MISSED], d[SUBSCRIPTIONS], was_elsewhere and 1 or 0, previous, expired, invite}
