-- Decides on writes to members that contribute 0 or 1: reads the bucket of each and
-- applies the writes in memory.
--
-- Needs KEYS[2], writes, size = 19, count, version, stored (the depth), and journal (whether
-- entries are kept). A write has 19 bytes: a digit (sum of 1: contributes, 2: may create the
-- topic, 4: is left out if the member contributes nothing yet), the member's 8 bytes, its
-- source in 4, its first 6 hex digits.
-- Sets results (a digit a write: 0 unchanged, 1 added, 2 added and created the topic, 3 left
-- out because it would have created the topic, 4 left out because it would have added, 5
-- withdrawn or changed), changed, count (never below 0),
-- raised (by how much it would have been below 0), entries, and what store.lua needs.

local RECORD, MOST = 8, 1024 -- bytes of a member; of a bucket
-- include buckets

local results, dirty, entries = {}, {}, {}
local exists, changed, raised = version > 0, false, 0
for i = 1, total do
  local at, path = i * size - size + 1, paths[i] or ''
  local op, member, bucket = byte(writes, at) - 48, sub(writes, at + 1, at + 8), buckets[path]
  local place = find(bucket, member, 1, true)
  while place and place % 8 ~= 1 do place = find(bucket, member, place + 1, true) end
  local result = '0'
  if op % 2 == 1 then
    if not place then
      if not exists and op % 4 < 2 then
        result = '3'
      elseif op >= 4 then
        result = '4'
      else
        result = exists and '1' or '2'
        exists, changed, count = true, true, count + 1
        buckets[path], dirty[path] = bucket .. member, true
        if journal then entries[#entries + 1] = sub(writes, at + 1, at + 12) end
      end
    end
  elseif place then
    result = '5'
    changed, count = true, count - 1
    if count < 0 then count, raised = 0, raised + 1 end
    buckets[path], dirty[path] = sub(bucket, 1, place - 1) .. sub(bucket, place + 8), true
  end
  results[i] = result
end
