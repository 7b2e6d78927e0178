-- SPDX-License-Identifier: Apache-2.0
-- Messages behind a place, oldest first.
-- KEYS: see device.lua
-- ARGV[1] after: sequence d, minimum urgency 1, most 4
-- Reply: outcome, expired meanwhile, then up to most + 1 messages; the one too many says that there
--        are more
-- include: device.lua
-- include: device_tools.lua
local after, urgency, most = unpack_('<dBI4', ARGV[1])
local found = call('HMGET', H, 'd', 'q')
if not found[1] then
	return {MISSING, 0}
end
local tools = device_tools()
local q = {unpack_(QUEUE, found[2])}
local expired = tools.reconcile(q) + tools.expire(q, tools.now_ms())
if expired > 0 then
	local d = {unpack_(DEVICE, found[1])}
	d[MISSED] = d[MISSED] + expired
	call('HSET', H, 'q', tools.queue_pack(q), 'd', tools.device_pack(d))
end

local rows, kinds = {}, 0
for kind = urgency, 3 do
	if q[COUNT + kind] > 0 then
		local first = kind * URGENCY_STEP
		local some = call('ZRANGEBYSCORE', Q, first + after + 1, first + URGENCY_STEP - 1, 'LIMIT', 0, most + 1)
		kinds = kinds + 1
		for _, message in ipairs(some) do
			rows[#rows + 1] = {(unpack_('<d', message)) - first, message}
		end
	end
end
if kinds > 1 then
	table.sort(rows, function(a, b)
		return a[1] < b[1]
	end)
end
local reply = {OK, expired}
for i = 1, math.min(#rows, most + 1) do
	reply[i + 2] = rows[i][2]
end
return reply
