-- SPDX-License-Identifier: Apache-2.0
-- Changes one thing of a device.
-- KEYS: see device.lua
-- ARGV[1] what 1: "D" detach, "U" minimum urgency, "M" missed messages were told of
-- ARGV[2] D: node 16, U: urgency, M: count
-- ARGV[3] D: device lifetime (ms)
-- Reply: outcome
-- include: device.lua
-- include: device_tools.lua
local text = call('HGET', H, 'd')
if not text then
	return {MISSING}
end
local tools = device_tools()
local d = {unpack_(DEVICE, text)}
if ARGV[1] == 'D' then
	if d[ATTACHED] == 0 or d[NODE] ~= ARGV[2] then
		return {OK}
	end
	call('PEXPIRE', H, ARGV[3]) -- first: see attach.lua
	d[ATTACHED], d[CONTACT] = 0, tools.now_ms()
elseif ARGV[1] == 'U' then
	d[MIN_URGENCY] = tonumber(ARGV[2])
else
	call('HDEL', H, '') -- no such field; as in attach.lua, what follows is then allowed when memory is full
	d[MISSED] = math.max(0, d[MISSED] - tonumber(ARGV[2]))
end
call('HSET', H, 'd', tools.device_pack(d))
return {OK}
