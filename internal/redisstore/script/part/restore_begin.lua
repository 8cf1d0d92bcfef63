-- Prepares the topic for a portion, see restore.lua, and merges its seed and adjustment.
-- Needs what topic.lua sets. Sets portionVersion; isNew, whether the portion creates the topic or
-- replaces it; and prior and gained, see [tally.History]: contributions that are restored are prior
-- ones. Declares restored, the sum of contributions after the portion.

-- include check_rights
local portionVersion, isNew, isLast = tonumber(ARGV[7]), version == 0, ARGV[10] ~= ''
local prior, gained, restored, retention = state[8], 0, 0, ARGV[12]
-- A topic that was deleted within the last hour continues with the version of its deletion, so that
-- pages that have this version accept the next one. Otherwise instances reissue it within a minute.
if version == 0 then version = tonumber(redis.call('GET', KEYS[3]) or 0) end
if ARGV[6] == 'first' then
  redis.call('UNLINK', unpack(KEYS, 2))
  redis.call('HDEL', KEYS[1], 'd', 'j', 'r', 'p')
  stored, isNew, state[4], prior = 0, true, false, false
  for i = 1, #counts do seeds[i], adjustments[i], sums[i] = 0, 0, 0 end
elseif isNew then
  redis.call('UNLINK', KEYS[4], KEYS[5]) -- an earlier release may have deleted a topic of this name
end
if prior then
  gained = -string.match(prior, '-?%d+')
  for i = 1, #sums do gained = gained + sums[i] end
end
local portionSeeds, portionAdjustments = parse(ARGV[8], #counts), parse(ARGV[9], #counts)
for i = 1, #counts do seeds[i] = math.max(seeds[i], portionSeeds[i]) end
if not isNew and not state[4] and ARGV[6] ~= 'final' then
  for i = 1, #counts do adjustments[i] = math.max(adjustments[i], portionAdjustments[i]) end
elseif isLast or not string.find(ARGV[9], '-', 1, true) then
  adjustments = portionAdjustments
  if state[4] then redis.call('HDEL', KEYS[1], 'r') end
else
  -- The count could be below 0 until all contributions are stored.
  redis.call('HSET', KEYS[1], 'r', '1')
end
