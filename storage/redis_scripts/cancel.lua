-- SPDX-License-Identifier: Apache-2.0
-- Takes one message back.
-- KEYS: see device.lua
-- ARGV[1] place d
-- Reply: outcome, expired meanwhile
local queue_drop, queue_expire = queue_tools()
local found = call('HMGET', H, 'd', 'q')
if not found[1] then
	return {MISSING, 0}
end
local d, q = {struct.unpack(DEVICE, found[1])}, {struct.unpack(QUEUE, found[2])}
local expired = queue_expire(q, now_ms())
local message = queue_at((struct.unpack('<d', ARGV[1])))
if message then
	queue_drop(q, message)
end
if message or expired > 0 then
	d[MISSED] = d[MISSED] + expired
	call('HSET', H, 'q', queue_pack(q), 'd', device_pack(d))
end
return {message and OK or MISSING, expired}
