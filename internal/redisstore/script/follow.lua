-- Reads the topics of a sorted set after a position in the order of a list: the greatest values
-- first, equal values by name. There may be no topic at that position.
--
-- KEYS[1]  sorted set of names
-- ARGV[1]  score of the position
-- ARGV[2]  name of the position; empty or \255: before or after all names of that score
-- ARGV[3]  how many topics to return at most
-- ARGV[4]  1 if the scores are the values, -1 if they are the negative values; 0: as -1, for many
--          topics
--
-- Returns name and score of each. If ARGV[4] is 0, returns one text, which takes less time: how many
-- topics there are after the position, a space, the score of the last one returned, and the names,
-- each after a newline.

local key, most = KEYS[1], tonumber(ARGV[3])
local function isAfter(a, b) -- by bytes as Redis; Lua compares by locale
  for i = 1, math.min(#a, #b) do
    local x, y = string.byte(a, i), string.byte(b, i)
    if x ~= y then return x > y end
  end
  return #a > #b
end
-- Returns the rank of the first topic that has a greater score, or that score and a later name.
local function search(score, name)
  local low, high = 0, redis.call('ZCARD', key)
  if score == -math.huge then high = 0 elseif score == math.huge then low = high end
  while low < high do
    local middle = math.floor((low + high) / 2)
    local found = redis.call('ZRANGE', key, middle, middle, 'WITHSCORES')
    local other = tonumber(found[2])
    if other > score or other == score and isAfter(found[1], name) then high = middle else low = middle + 1 end
  end
  return low
end

local score = tonumber(ARGV[1])
local low = search(score, ARGV[2])
if ARGV[4] == '0' then
  local names = redis.call('ZRANGE', key, low, low + most - 1)
  local last = names[1] and redis.call('ZSCORE', key, names[#names]) or ''
  table.insert(names, 1, redis.call('ZCARD', key) - low .. ' ' .. last)
  return table.concat(names, '\n')
end
if ARGV[4] == '-1' then return redis.call('ZRANGE', key, low, low + most - 1, 'WITHSCORES') end

local found = {}
local function add(from, to) -- ranks
  if from > to then return end
  for _, text in ipairs(redis.call('ZRANGE', key, from, to, 'WITHSCORES')) do found[#found + 1] = text end
end
local first, last = low, low -- of the topics of the score
if ARGV[2] ~= '' then first = search(score, '') end
if ARGV[2] ~= '\255' then last = search(score, '\255') end
add(low, math.min(last, low + most) - 1)
-- Lower scores, the greatest first. The topics of one score are in the order of their names.
local from = math.max(first - (most - #found / 2), 0)
local lower = first > from and redis.call('ZRANGE', key, from, first - 1, 'WITHSCORES') or {}
local to = #lower / 2 -- of the topics of one score in lower
while to > 0 do
  local begin = to
  while begin > 1 and lower[begin * 2 - 2] == lower[to * 2] do begin = begin - 1 end
  local rank = from + begin - 1
  if begin == 1 then rank = search(tonumber(lower[2]), '') end -- others may be before
  add(rank, rank + to - begin)
  to = begin - 1
end
return found
