-- SPDX-License-Identifier: Apache-2.0
-- Removes a device with all it has, if it came by this invite.
-- KEYS: see device.lua
-- ARGV[1] invite
-- Reply: removed messages
-- include: device.lua
-- include: device_tools.lua
local found = call('HMGET', H, 'd', 'q')
if not found[1] or ({unpack_(DEVICE, found[1])})[INVITE] ~= ARGV[1] then
	return {0}
end
local removed = device_tools().queue_total({unpack_(QUEUE, found[2])})
call('DEL', H, Q, X, G)
return {removed}
