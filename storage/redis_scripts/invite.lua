-- SPDX-License-Identifier: Apache-2.0
-- Counts a device as one of an invite's, or notes that it is still there.
-- KEYS[1] bw:{invite:<invite>}  sorted set: device ids by the end of their lives
-- ARGV[1] device id
-- ARGV[2] most devices, 0 for any number
-- ARGV[3] device lifetime (ms)
-- Reply: is one of them (0 when the invite is used up), was added
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local most, ends = tonumber(ARGV[2]), now + ARGV[3]
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
local is_known = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not is_known and most > 0 and redis.call('ZCARD', KEYS[1]) >= most then
	return {0, 0}
end
redis.call('ZADD', KEYS[1], ends, ARGV[1])
redis.call('PEXPIREAT', KEYS[1], ends)
return {1, is_known and 0 or 1}
