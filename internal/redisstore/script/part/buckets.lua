-- Reads the bucket of each write. Needs KEYS[2], writes of size bytes each, which end in the
-- first 6 hex digits of their member, and stored (the depth). Sets total, depth, buckets, paths
-- and wasEmpty (whether there were no members), and names of functions.

local CHUNK = 500 -- fields a call
local sub, byte, find = string.sub, string.byte, string.find
local total = #writes / size
local depth = stored
local buckets, paths = {}, {} -- members by path; for each write the path of its bucket

-- Read the bucket of each write, from the deepest level up.
if total == 1 then
  for level = depth, 0, -1 do
    local path = sub(writes, size - 5, size - 6 + level)
    local bucket = redis.call('HGET', KEYS[2], path)
    if bucket then
      buckets[path], paths[1] = bucket, path
      break
    end
  end
else
  local waiting = {}
  for i = 1, total do waiting[i] = i end
  for level = depth, 0, -1 do
    local fields, missing = {}, {}
    for k = 1, #waiting do
      local i = waiting[k]
      local path = sub(writes, i * size - 5, i * size - 6 + level)
      paths[i] = path
      if buckets[path] == nil then
        buckets[path] = false
        fields[#fields + 1] = path
      end
    end
    for from = 1, #fields, CHUNK do
      local found = redis.call('HMGET', KEYS[2], unpack(fields, from, math.min(from + CHUNK - 1, #fields)))
      for i = 1, #found do buckets[fields[from + i - 1]] = found[i] end
    end
    for k = 1, #waiting do
      local i = waiting[k]
      if not buckets[paths[i]] then
        paths[i] = nil
        missing[#missing + 1] = i
      end
    end
    waiting = missing
    if #waiting == 0 then break end
  end
end
local wasEmpty = total > 0 and not paths[1]
if wasEmpty then
  buckets[''] = buckets[''] or ''
  depth = 0
end
