-- Reads a topic. Ends the script if the topic is frozen (see doc.go), and for a step of
-- a merge if that merge has not frozen it. Needs mark, that of the merge, or '', and
-- options, how many the metric has (1: it is not a choice). Sets state, version, stored
-- (the depth); of each option counts, seeds, adjustments and sums (of contributions); before, the
-- numbers as text; and result, which returns the reply of edit.lua.

-- include numbers
local state = redis.call('HMGET', KEYS[1], 'n', 'v', 'd', 'r', 's', 'a', 'e', 'p')
local frozen = state[7] and string.byte(state[7]) == 33
if mark == '' and frozen or mark ~= '' and state[7] ~= mark then return '-2' .. (state[7] or '') end
local version, stored = tonumber(state[2] or 0), tonumber(state[3] or 0)
local counts = parse(state[1], options)
local all = counts and #counts or options -- more if another instance has more options
local seeds, adjustments = parse(state[5], all), parse(state[6], all)
if not (counts and version and stored and seeds and adjustments) then
  return redis.error_reply('BADDATA the count of this topic is not made of numbers')
end
local sums = {}
for i = 1, #counts do sums[i] = counts[i] - seeds[i] - adjustments[i] end
local before = table.concat({ format(counts), string.format('%.0f', version), format(seeds), format(adjustments) }, ';')
local function result(n, v, isChanged)
  return n .. ' ' .. v .. ' ' .. isChanged .. ';' .. before .. ';' .. format(seeds) .. ';' .. format(adjustments)
end
