-- Reads a topic and some of its members' amounts. If members are removed meanwhile, one may
-- be read twice.
--
-- KEYS[1]  hash, as in apply.lua
-- KEYS[2]  hash: a member's 8 bytes to its amount
-- ARGV[1]  cursor, 0 at first
-- ARGV[2]  up to how many members to read at once
--
-- Returns count, version, seed, adjustment, the next cursor (0 at the end), the number of
-- members, and members and amounts alternately.

local state = redis.call('HMGET', KEYS[1], 'n', 'v', 's', 'a')
local total = redis.call('HLEN', KEYS[2])
local cursor, found = '0', nil
if ARGV[1] == '0' and total <= tonumber(ARGV[2]) then
  found = redis.call('HGETALL', KEYS[2])
else
  local page = redis.call('HSCAN', KEYS[2], ARGV[1], 'COUNT', ARGV[2])
  cursor, found = page[1], page[2]
end
local reply = { state[1] or '0', state[2] or '0', state[3] or '0', state[4] or '0', cursor, tostring(total) }
for i = 1, #found do reply[6 + i] = found[i] end
return reply
