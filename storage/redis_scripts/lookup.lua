-- SPDX-License-Identifier: Apache-2.0
-- What a subscription asks of its senders.
-- KEYS: see device.lua
-- ARGV[1] subscription id
-- Reply: outcome, has key, key hash, max body; or the outcome alone
-- include: device.lua
-- include: device_tools.lua
local text = call('HGET', H, 's' .. ARGV[1])
if not text then
	return {device_tools().tombstone_outcome(ARGV[1])}
end
local has_key, max_body, _, key_hash = unpack_(SUBSCRIPTION, text)
return {OK, has_key, key_hash, max_body}
