-- Removes from writes, of size bytes each, those whose entries are no longer in the journals,
-- and all if the topic is not the expected one. An entry whose member has a newer one is
-- erased, and withdraws nothing. Ends the script if the journals are too long. Needs version,
-- window, now, KEYS and ARGV, see withdraw.lua. Sets places and journals, where the entries
-- are; nil without entries; the hours of the entries at places, and of writes; and detail.

local places, journals
local entryHours, writeHours = {}, {}
local newest, tails, begins = {}, {}, {} -- newest: by member, see position
local expected = version > 0 and (ARGV[6] == '0' or tonumber(ARGV[6]) == version)
local function position(k, place) return k * 4294967296 + place end
if ARGV[7] ~= '' then
  local most = tonumber(ARGV[10])
  local wereRead = most == 0
  for k = 5, #KEYS do
    local begin = tonumber(ARGV[k + 6])
    if begin then
      local tail = redis.call('GETRANGE', KEYS[k], begin, wereRead and -1 or begin + most)
      if wereRead then
        expected = expected and (begin == 0 or tail ~= '') -- a journal that became shorter was reset
      elseif #tail > most then
        return '-3'
      else
        most = most - #tail
      end
      for at = 1, #tail, 16 do newest[string.sub(tail, at, at + 7)] = position(k, begin + at - 1) end
      tails[k], begins[k] = tail, begin
    end
  end
end
if not expected then
  detail = ';' .. string.rep('0', #writes / size)
  writes = ''
elseif ARGV[7] ~= '' then
  local present, seen, digits = {}, {}, {}
  places, journals = {}, {}
  for i = 1, #writes / size do
    local k, a, b, c, d, e, f, g, h = string.byte(ARGV[7], i * 9 - 8, i * 9)
    local place, minute = ((a * 256 + b) * 256 + c) * 256 + d, ((e * 256 + f) * 256 + g) * 256 + h
    local at, p, stored = (i - 1) * size, position(k, place), nil
    local entry = string.sub(writes, at + 2, at + 13) .. string.sub(ARGV[7], i * 9 - 3, i * 9)
    if begins[k] and place >= begins[k] then
      stored = string.sub(tails[k], place - begins[k] + 1, place - begins[k] + 16)
    else
      stored = redis.call('GETRANGE', KEYS[k], place, place + 15)
    end
    digits[i] = '0'
    if not seen[p] and stored == entry then
      seen[p] = true
      places[#places + 1], journals[#places + 1] = place, KEYS[k]
      local last = (minute + 1) * 60000 - 1 -- millisecond of its minute
      entryHours[#places] = math.floor(minute / 60)
      if (newest[string.sub(entry, 1, 8)] or p) <= p then
        digits[i] = '1'
        -- The members of a window that ended are gone.
        if window == 0 or math.floor(last / window) >= math.floor(now / 1000 / window) then
          present[#present + 1] = string.sub(writes, at + 1, at + size)
          writeHours[#present] = entryHours[#places]
        end
      end
    end
  end
  writes, detail = table.concat(present), ';' .. table.concat(digits)
end
