-- SPDX-License-Identifier: Apache-2.0
-- What a subscription asks of its senders.
-- KEYS: see device.lua
-- ARGV[1] subscription id
-- Reply: outcome, has key, key hash, max body; or the outcome alone
local text = call('HGET', H, 's' .. ARGV[1])
if not text then
	return {tombstone_outcome(ARGV[1])}
end
local has_key, _, key_hash, max_body = struct.unpack(SUBSCRIPTION, text)
return {OK, has_key, key_hash, max_body}
