-- Edits a topic.
--
-- KEYS[1]  hash, as in apply.lua
-- KEYS[2…] for reset and delete: members, the version at which the topic was deleted, and
--          its journals
-- ARGV[1]  deadline, microseconds of this server's clock
-- ARGV[2]  kind: seed, adjustment, count, base, reset, delete
-- ARGV[3]  channel
-- ARGV[4]  head of the topic's frames
-- ARGV[5]  value
-- ARGV[6]  version that the topic must have; 0: any
-- ARGV[7]  mark of the merge that this is a step of, or empty
--
-- Returns a text: count, version and seven numbers between commas: 1 if it changed,
-- else 0; count, version, seed and adjustment before; seed and adjustment after. Then, if
-- the publication failed, the reason. Deadline passed: -1. Frozen: -2 and the mark.

-- include deadline
local mark = ARGV[7]
-- include topic
local kind, value, depth, least = ARGV[2], tonumber(ARGV[5]), stored, 0
local drops, expected = kind == 'reset' or kind == 'delete', ARGV[6] == '0' or tonumber(ARGV[6]) == version
local changed, ended = false, string.format('%.0f', math.max(version + 1, now)) -- the version if deleted
if expected and drops and version > 0 then
-- include check_rights
  redis.call('UNLINK', KEYS[3]) -- checks the right: the key does not exist
  if kind == 'delete' then redis.call('SET', KEYS[3], ended, 'PX', 3600000) end -- see part/restore_begin.lua
  redis.call('UNLINK', KEYS[2], unpack(KEYS, 4))
  redis.call('HDEL', KEYS[1], 'd', 'j', 'r')
  changed = kind == 'delete' or count ~= 0 or seed ~= 0 or adjustment ~= 0
  seed, adjustment, contributed, depth = 0, 0, 0, stored
elseif expected and not drops then
  local seed0, adjustment0 = seed, adjustment
  if kind == 'seed' then
    seed = value
  elseif kind == 'adjustment' then
    adjustment = math.max(value, -seed - contributed)
  elseif kind == 'base' then
    adjustment = value - seed
  else
    adjustment = value - seed - contributed
  end
  changed = version == 0 or seed ~= seed0 or adjustment ~= adjustment0
end
-- include unchanged
count = seed + adjustment + contributed
if kind == 'delete' then
  redis.call('UNLINK', KEYS[1])
  local n, v, channel, head = '0', ended, ARGV[3], ARGV[4]
  local reply = '0 ' .. ended .. ' 1,' .. was .. ',0,0'
-- include reply
end

-- include publish
