-- Applies a batch of assertions to a topic whose visitors contribute 0 or 1.
--
-- Everything is checked before the first write, since scripts are not rolled
-- back; the publication comes last and its failure is reported, not raised.
--
-- KEYS[1]  hash: n count, v version, d depth of the deepest bucket (absent: 0)
-- KEYS[2]  hash: path to the members below it. A path is the leading hex digits of
--          a member; a bucket of more than 128 members is replaced by its 16
--          children, so that a member is in the only bucket on its path.
-- ARGV[1]  deadline, microseconds of this server's clock
-- ARGV[2]  window, milliseconds; 0: members stay
-- ARGV[3]  channel
-- ARGV[4]  head of the topic's frames
-- ARGV[5]  writes of 15 bytes: a digit (1: contributes, 2: may create the topic,
--          added), the member's 8 bytes, its first 6 hex digits
--
-- Returns a text: count, version, results and, where the publication failed, why.
-- results has a digit a write: 0 unchanged, 1 changed, 2 changed and brought the
-- topic into being, 3 left out because it would have. Too late: -1.

local MOST, DEEPEST, CHUNK = 1024, 6, 500 -- bytes of a bucket; digits of a path; fields a call

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
if now > tonumber(ARGV[1]) then return '-1' end

local state = redis.call('HMGET', KEYS[1], 'n', 'v', 'd')
local count, version, stored = tonumber(state[1] or 0), tonumber(state[2] or 0), tonumber(state[3] or 0)
if not (count and version and stored) then
  return redis.error_reply('BADDATA the count of this topic is not made of numbers')
end

local sub, byte, find = string.sub, string.byte, string.find
local writes = ARGV[5]
local total = #writes / 15
local depth = stored
local buckets, homes = {}, {} -- path to members; write to the path of its bucket

-- Read the bucket of each write, from the deepest level up.
if total == 1 then
  for level = depth, 0, -1 do
    local path = sub(writes, 10, 9 + level)
    local bucket = redis.call('HGET', KEYS[2], path)
    if bucket then
      buckets[path], homes[1] = bucket, path
      break
    end
  end
else
  local waiting = {}
  for i = 1, total do waiting[i] = i end
  for level = depth, 0, -1 do
    local fields, asked, missing = {}, {}, {}
    for _, i in ipairs(waiting) do
      local path = sub(writes, i * 15 - 5, i * 15 - 6 + level)
      homes[i] = path
      if not asked[path] then
        asked[path] = true
        fields[#fields + 1] = path
      end
    end
    for from = 1, #fields, CHUNK do
      local found = redis.call('HMGET', KEYS[2], unpack(fields, from, math.min(from + CHUNK - 1, #fields)))
      for i = 1, #found do buckets[fields[from + i - 1]] = found[i] or nil end
    end
    for _, i in ipairs(waiting) do
      if not buckets[homes[i]] then
        homes[i] = nil
        missing[#missing + 1] = i
      end
    end
    waiting = missing
    if #waiting == 0 then break end
  end
end
local fresh = not homes[1]
if fresh then
  buckets[''] = buckets[''] or ''
  depth = 0
end

local results, dirty = {}, {}
local exists, changed = version > 0, false
for i = 1, total do
  local at, path = i * 15 - 14, homes[i] or ''
  local op, member, bucket = byte(writes, at) - 48, sub(writes, at + 1, at + 8), buckets[path]
  local place = find(bucket, member, 1, true)
  while place and place % 8 ~= 1 do place = find(bucket, member, place + 1, true) end
  local result = '0'
  if op % 2 == 1 then
    if not place then
      if exists or op >= 2 then
        result = exists and '1' or '2'
        exists, changed, count = true, true, count + 1
        buckets[path], dirty[path] = bucket .. member, true
      else
        result = '3'
      end
    end
  elseif place then
    result = '1'
    changed, count = true, count - 1
    buckets[path], dirty[path] = sub(bucket, 1, place - 1) .. sub(bucket, place + 8), true
  end
  results[i] = result
end
results = total == 1 and results[1] or table.concat(results)
if count < 0 then count = 0 end
local n = string.format('%.0f', count)
if not changed then return n .. ' ' .. string.format('%.0f', version) .. ' ' .. results end

-- Write the buckets that changed; those that hold too many give way to their children.
local fields, gone, divide = {}, {}, nil
for path in pairs(dirty) do
  local bucket = buckets[path]
  if #bucket > MOST and #path < DEEPEST then
    divide = divide or function(path, bucket)
      local place, parts = math.floor(#path / 2), {}
      for digit = 0, 15 do parts[digit] = {} end
      for at = 1, #bucket, 8 do
        local digit = byte(bucket, at + place)
        if #path % 2 == 0 then digit = math.floor(digit / 16) else digit = digit % 16 end
        local part = parts[digit]
        part[#part + 1] = sub(bucket, at, at + 7)
      end
      gone[#gone + 1] = path
      depth = math.max(depth, #path + 1)
      for digit = 0, 15 do
        local child, members = path .. string.format('%x', digit), table.concat(parts[digit])
        if #members > MOST and #child < DEEPEST then
          divide(child, members)
        else
          fields[#fields + 1] = child
          fields[#fields + 1] = members
        end
      end
    end
    divide(path, bucket)
  elseif bucket == '' and path == '' then
    gone[1] = path -- the last member went, and the key with it
  else
    fields[#fields + 1] = path
    fields[#fields + 1] = bucket
  end
end
for from = 1, #fields, CHUNK do
  redis.call('HSET', KEYS[2], unpack(fields, from, math.min(from + CHUNK - 1, #fields)))
end
for i = 1, #gone do redis.call('HDEL', KEYS[2], gone[i]) end
if fresh and ARGV[2] ~= '0' then
  -- A key is gone when the clock is past its time, hence the last millisecond.
  local window, clock = tonumber(ARGV[2]), math.floor(now / 1000)
  redis.call('PEXPIREAT', KEYS[2], string.format('%.0f', clock - clock % window + window - 1))
end
local v = string.format('%.0f', math.max(version + 1, now))
if depth == stored then
  redis.call('HSET', KEYS[1], 'n', n, 'v', v)
else
  redis.call('HSET', KEYS[1], 'n', n, 'v', v, 'd', depth)
end
local said = redis.pcall('PUBLISH', ARGV[3], ARGV[4] .. n .. ',"version":' .. v .. '}')
if type(said) == 'table' and said.err then return n .. ' ' .. v .. ' ' .. results .. ' ' .. said.err end
return n .. ' ' .. v .. ' ' .. results
