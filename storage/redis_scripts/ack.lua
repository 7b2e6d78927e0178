-- SPDX-License-Identifier: Apache-2.0
-- Removes messages for good.
-- KEYS: see device.lua
-- ARGV[1...] place d, channel 16
-- Reply: removed
local queue_drop = queue_tools()
local state = call('HGET', H, 'q')
if not state then
	return {0}
end
local q = {struct.unpack(QUEUE, state)}
local removed = 0
for i = 1, #ARGV do
	local place, channel = struct.unpack('<dc16', ARGV[i])
	local message = queue_at(place)
	if message and message:sub(17, 32) == channel then
		queue_drop(q, message)
		removed = removed + 1
	end
end
if removed > 0 then
	call('HSET', H, 'q', queue_pack(q))
end
return {removed}
