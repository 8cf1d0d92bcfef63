-- Carries out what an owner does to a topic as a whole.
--
-- KEYS[1]  hash, as in apply.lua
-- KEYS[2…] for what drops contributions: members, the version at which the topic ended,
--          and its journals
-- ARGV[1]  deadline, microseconds of this server's clock
-- ARGV[2]  what: seed, adjustment, count, base, reset, delete
-- ARGV[3]  channel
-- ARGV[4]  head of the topic's frames
-- ARGV[5]  value
-- ARGV[6]  version that the topic must have; 0: any
-- ARGV[7]  mark of the merge whose step this is, or empty
--
-- Returns a text: count, version and six numbers between commas: 1 where it changed,
-- else 0; count, version, seed and adjustment before; seed and adjustment after. Then,
-- where the publication failed, why. Too late: -1.
-- Frozen: -2 and the mark.

-- include begin
local mark = ARGV[7]
-- include topic
local what, value, depth, least = ARGV[2], tonumber(ARGV[5]), stored, 0
local drops, meant = what == 'reset' or what == 'delete', ARGV[6] == '0' or tonumber(ARGV[6]) == version
local changed, ended = false, string.format('%.0f', math.max(version + 1, now)) -- its version, where it ends
if meant and drops and version > 0 then
-- include rights
  redis.call('UNLINK', KEYS[3]) -- there is none yet: as part/rights.lua
  if what == 'delete' then redis.call('SET', KEYS[3], ended, 'PX', 3600000) end -- see part/place.lua
  redis.call('UNLINK', KEYS[2], unpack(KEYS, 4))
  redis.call('HDEL', KEYS[1], 'd', 'j', 'r')
  changed = what == 'delete' or count ~= 0 or seed ~= 0 or adjustment ~= 0
  seed, adjustment, contributed, depth = 0, 0, 0, stored
elseif meant and not drops then
  local seed0, adjustment0 = seed, adjustment
  if what == 'seed' then
    seed = value
  elseif what == 'adjustment' then
    adjustment = math.max(value, -seed - contributed)
  elseif what == 'base' then
    adjustment = value - seed
  else
    adjustment = value - seed - contributed
  end
  changed = version == 0 or seed ~= seed0 or adjustment ~= adjustment0
end
if not changed then
  return string.format('%.0f %.0f 0,', count, version) .. was .. string.format(',%.0f,%.0f', seed, adjustment)
end
count = seed + adjustment + contributed
if what == 'delete' then
  redis.call('UNLINK', KEYS[1])
  local said = redis.pcall('PUBLISH', ARGV[3], ARGV[4] .. '0,"version":' .. ended .. '}')
  local reply = '0 ' .. ended .. ' 1,' .. was .. ',0,0'
  if type(said) == 'table' and said.err then return reply .. ' ' .. said.err end
  return reply
end

-- include publish
