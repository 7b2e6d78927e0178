-- SPDX-License-Identifier: Apache-2.0
-- Functions that many scripts share. They are made anew at each run of a script, which takes time, so a script
-- that seldom needs them makes them when it does.
local function device_tools()
	local tools = {}

	function tools.now_ms()
		local time = call('TIME')
		return time[1] * 1000 + floor(time[2] / 1000)
	end

	function tools.device_pack(d)
		return pack(DEVICE, unpack(d, 1, 8))
	end

	function tools.queue_pack(q)
		return pack(QUEUE, unpack(q, 1, 8))
	end

	function tools.queue_total(q)
		return q[COUNT] + q[COUNT + 1] + q[COUNT + 2] + q[COUNT + 3]
	end

	function tools.queue_at(place)
		return call('ZRANGEBYSCORE', Q, place, place)[1]
	end

	-- The queue's keys go by themselves soon after its last message has expired.
	function tools.keep_until(late)
		local ends = (floor(late / KEPT_STEP) + 1) * KEPT_STEP
		call('PEXPIREAT', Q, ends)
		call('PEXPIREAT', X, ends)
	end

	-- Takes a message out of the state …
	function tools.count_out(q, message)
		local urgency, topic_len = unpack_('<BB', message, 34)
		q[COUNT + urgency] = q[COUNT + urgency] - 1
		q[BYTES] = q[BYTES] - (#message - MESSAGE_HEAD - topic_len + MESSAGE_COST)
	end

	-- … and out of the queue.
	function tools.take_out(message)
		local place, is_indexed, topic_len = sub(message, 1, 8), message:byte(17), message:byte(35)
		call('ZREM', Q, message)
		if is_indexed == 1 then
			call('ZREM', X, place)
		end
		if topic_len > 0 then
			local field = 't' .. sub(message, 18, 33) .. sub(message, MESSAGE_HEAD + 1, MESSAGE_HEAD + topic_len)
			if call('HGET', H, field) == place then
				call('HDEL', H, field)
			end
		end
	end

	function tools.drop(q, message)
		tools.count_out(q, message)
		tools.take_out(message)
	end

	-- Takes out what has expired; returns how many.
	function tools.expire(q, now)
		if now < q[SOONEST] then
			return 0
		end
		local count, soonest = 0, math.huge
		for urgency = 0, 3 do
			local first, live = urgency * URGENCY_STEP, nil
			while not live and q[COUNT + urgency] > 0 do
				local found = call('ZRANGEBYSCORE', Q, first, first + URGENCY_STEP - 1, 'LIMIT', 0, 16)
				for _, message in ipairs(found) do
					local _, expires = unpack_('<dd', message)
					if expires > now then
						live = expires
						break
					end
					tools.drop(q, message)
					count = count + 1
				end
				if #found == 0 then
					break
				end
			end
			soonest = math.min(soonest, live or soonest)
		end
		local due = call('ZRANGEBYSCORE', X, '-inf', now)
		for _, place in ipairs(due) do
			local message = tools.queue_at((unpack_('<d', place)))
			if message then
				tools.drop(q, message)
				count = count + 1
			else
				call('ZREM', X, place)
			end
		end
		local first = call('ZRANGE', X, 0, 0, 'WITHSCORES')
		q[SOONEST] = math.min(soonest, tonumber(first[2] or soonest))
		return count
	end

	-- Counts anew when the state does not fit the queue: Redis has dropped it, expired as a whole or evicted,
	-- or wrote only one of the two. Returns how many messages are gone.
	function tools.reconcile(q)
		local want, have = tools.queue_total(q), call('ZCARD', Q)
		if want == have then
			return 0
		end
		q[BYTES] = 0
		for urgency = 0, 3 do
			q[COUNT + urgency] = 0
		end
		local late, soonest = 0, math.huge
		for at = 0, have - 1, 64 do
			for _, message in ipairs(call('ZRANGE', Q, at, at + 63)) do
				local _, expires, is_indexed, _, urgency, topic_len = unpack_('<ddBc16BB', message)
				if is_indexed == 1 then
					call('ZADD', X, expires, sub(message, 1, 8))
				end
				q[COUNT + urgency] = q[COUNT + urgency] + 1
				q[BYTES] = q[BYTES] + #message - MESSAGE_HEAD - topic_len + MESSAGE_COST
				late, soonest = math.max(late, expires), math.min(soonest, expires)
			end
		end
		for _, field in ipairs(call('HKEYS', H)) do
			if sub(field, 1, 1) == 't' and not tools.queue_at((unpack_('<d', call('HGET', H, field)))) then
				call('HDEL', H, field)
			end
		end
		q[LATE], q[SOONEST] = late, soonest
		if have == 0 then
			call('DEL', X)
		else
			tools.keep_until(late)
		end
		return math.max(want - have, 0)
	end

	-- Remembers a removed subscription, and so many of a device (STORE_TOMBSTONES_MAX) at most.
	function tools.tombstone_add(subscription, now, tombstone_ms)
		call('ZREMRANGEBYSCORE', G, '-inf', now)
		call('ZREMRANGEBYRANK', G, 0, -4096)
		call('ZADD', G, now + tombstone_ms, subscription)
		call('PEXPIREAT', G, now + tombstone_ms)
	end

	-- GONE or MISSING, for a subscription that is not there.
	function tools.tombstone_outcome(subscription)
		local ends = call('ZSCORE', G, subscription)
		return ends and tonumber(ends) > tools.now_ms() and GONE or MISSING
	end

	return tools
end
