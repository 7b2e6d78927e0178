-- SPDX-License-Identifier: Apache-2.0
-- Removes messages for good.
-- KEYS: see device.lua
-- ARGV[n] place d, channel 16
-- Reply: removed
-- include: device.lua
-- include: device_tools.lua
local state = call('HGET', H, 'q')
if not state then
	return {0}
end
local tools = device_tools()
local q = {unpack_(QUEUE, state)}
local removed = 0
for i = 1, #ARGV do
	local place, channel = unpack_('<dc16', ARGV[i])
	local message = tools.queue_at(place)
	if message and sub(message, 18, 33) == channel then
		tools.drop(q, message)
		removed = removed + 1
	end
end
if removed > 0 then
	call('HSET', H, 'q', tools.queue_pack(q))
end
return {removed}
