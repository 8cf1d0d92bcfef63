-- decide.lua for members that choose an option. A write has 20 bytes: a digit as in
-- decide.lua, without 1, the member's 8 bytes, its source in 4, its option (0: none), its first
-- 6 hex digits. Instead of count it needs counts, of each option, and raised is by how
-- much each would have been below 0, by option. If keepsOption is set, a member keeps its option.

local RECORD, MOST = 9, 2304 -- bytes of a member and its option; of a bucket
-- include buckets

local results, dirty, entries = {}, {}, {}
local exists, changed, raised = version > 0, false, {}
for i = 1, total do
  local at, path = i * size - size + 1, paths[i] or ''
  local member, bucket = sub(writes, at + 1, at + 8), buckets[path]
  local place = find(bucket, member, 1, true)
  while place and place % RECORD ~= 1 do place = find(bucket, member, place + 1, true) end
  local op, before, option, result = byte(writes, at) - 48, place and byte(bucket, place + 8) or 0, byte(writes, at + 13), '0'
  if option ~= before and not (place and keepsOption) then
    if not exists and op % 4 < 2 then
      result = '3'
    elseif op >= 4 and not place then
      result = '4'
    else
      result = place and '5' or exists and '1' or '2'
      exists, changed, dirty[path] = true, true, true
      if place then
        if counts[before] == 0 then
          raised[before] = (raised[before] or 0) + 1
        else
          counts[before] = counts[before] - 1
        end
        bucket = sub(bucket, 1, place - 1) .. sub(bucket, place + RECORD)
      end
      if option > 0 then
        counts[option] = counts[option] + 1
        bucket = bucket .. member .. sub(writes, at + 13, at + 13)
        if journal then entries[#entries + 1] = sub(writes, at + 1, at + 12) end
      end
      buckets[path] = bucket
    end
  end
  results[i] = result
end
