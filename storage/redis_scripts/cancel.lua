-- SPDX-License-Identifier: Apache-2.0
-- Takes one message back.
-- KEYS: see device.lua
-- ARGV[1] place d
-- Reply: outcome, expired meanwhile
-- include: device.lua
-- include: device_tools.lua
local found = call('HMGET', H, 'd', 'q')
if not found[1] then
	return {MISSING, 0}
end
local tools = device_tools()
local d, q = {unpack_(DEVICE, found[1])}, {unpack_(QUEUE, found[2])}
local expired = tools.expire(q, tools.now_ms())
local message = tools.queue_at((unpack_('<d', ARGV[1])))
if message then
	tools.drop(q, message)
end
if message or expired > 0 then
	d[MISSED] = d[MISSED] + expired
	call('HSET', H, 'q', tools.queue_pack(q), 'd', tools.device_pack(d))
end
return {message and OK or MISSING, expired}
