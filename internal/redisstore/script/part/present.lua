-- Removes from writes, of size bytes each, those whose entries are no longer in the
-- journal, and all if the topic is not the expected one. An entry whose member has a newer
-- one in a journal of KEYS[6…] is erased, and withdraws nothing. Needs version, window,
-- now, KEYS and ARGV, see withdraw.lua. Sets places, where the entries are; nil without
-- entries; and the hours of the entries at places, and of writes.

local places
local entryHours, writeHours = {}, {}
local newer, expected = {}, version > 0 and (ARGV[6] == '0' or tonumber(ARGV[6]) == version)
for k = 6, #KEYS do
  local length = tonumber(ARGV[k + 4])
  local last = math.min(length, 16) -- a journal that became shorter was reset
  local tail = redis.call('GETRANGE', KEYS[k], length - last, -1)
  expected = expected and #tail >= last
  for at = last + 1, #tail, 16 do newer[string.sub(tail, at, at + 7)] = true end
end
if not expected then
  writes = ''
elseif ARGV[7] ~= '' then
  local present, seen = {}, {}
  places = {}
  for i = 1, #writes / size do
    local a, b, c, d = string.byte(ARGV[7], i * 8 - 7, i * 8 - 4)
    local place = ((a * 256 + b) * 256 + c) * 256 + d
    local at = (i - 1) * size
    local entry = string.sub(writes, at + 2, at + 13) .. string.sub(ARGV[7], i * 8 - 3, i * 8)
    if not seen[place] and redis.call('GETRANGE', KEYS[3], place, place + 15) == entry then
      seen[place] = true
      places[#places + 1] = place
      local e, f, g, h = string.byte(ARGV[7], i * 8 - 3, i * 8)
      local minute = ((e * 256 + f) * 256 + g) * 256 + h
      local last = (minute + 1) * 60000 - 1 -- millisecond of its minute
      entryHours[#places] = math.floor(minute / 60)
      -- The members of a window that ended are gone.
      local current = window == 0 or math.floor(last / window) >= math.floor(now / 1000 / window)
      if current and not newer[string.sub(entry, 1, 8)] then
        present[#present + 1] = string.sub(writes, at + 1, at + size)
        writeHours[#present] = entryHours[#places]
      end
    end
  end
  writes = table.concat(present)
end
