-- Leaves of writes, of size bytes each, those whose traces are in the journal still;
-- none where the topic is not the one that was meant. A trace whose member has a newer one
-- in a journal of KEYS[4…] is forgotten, and takes back nothing. It wants version, window,
-- now, KEYS and ARGV, see take.lua. Gives places, where the traces are; nil without any.

local places
local newer, meant = {}, version > 0 and (ARGV[6] == '0' or tonumber(ARGV[6]) == version)
for k = 4, #KEYS do
  local length = tonumber(ARGV[k + 4])
  local last = math.min(length, 16) -- what was read and is not there any more: a reset
  local tail = redis.call('GETRANGE', KEYS[k], length - last, -1)
  meant = meant and #tail >= last
  for at = last + 1, #tail, 16 do newer[string.sub(tail, at, at + 7)] = true end
end
if not meant then
  writes = ''
elseif ARGV[7] ~= '' then
  local there, once = {}, {}
  places = {}
  for i = 1, #writes / size do
    local a, b, c, d = string.byte(ARGV[7], i * 8 - 7, i * 8 - 4)
    local place = ((a * 256 + b) * 256 + c) * 256 + d
    local at = (i - 1) * size
    local trace = string.sub(writes, at + 2, at + 13) .. string.sub(ARGV[7], i * 8 - 3, i * 8)
    if not once[place] and redis.call('GETRANGE', KEYS[3], place, place + 15) == trace then
      once[place] = true
      places[#places + 1] = place
      local e, f, g, h = string.byte(ARGV[7], i * 8 - 3, i * 8)
      local ended = (((e * 256 + f) * 256 + g) * 256 + h + 1) * 60000 - 1 -- its minute, milliseconds
      -- Members of a window that ended are forgotten.
      local lasts = window == 0 or math.floor(ended / window) >= math.floor(now / 1000 / window)
      if lasts and not newer[string.sub(trace, 1, 8)] then
        there[#there + 1] = string.sub(writes, at + 1, at + size)
      end
    end
  end
  writes = table.concat(there)
end
