-- Applies a batch of assertions to a topic whose visitors contribute 0 or 1.
--
-- Everything is checked before the first write, since scripts are not rolled
-- back; the publication comes last and its failure is reported, not raised.
--
-- KEYS[1]  hash: n count, v version, d depth of the deepest bucket (absent: 0)
-- KEYS[2]  hash: path to the members below it. A path is the leading hex digits of
--          a member; a bucket of more than 128 members is replaced by its 16
--          children, so that a member is in the deepest bucket on its path.
-- ARGV[1]  deadline, microseconds of this server's clock
-- ARGV[2]  window, milliseconds; 0: members stay
-- ARGV[3]  channel
-- ARGV[4]  head of the topic's frames
-- ARGV[5]  writes of 15 bytes: a digit (1: contributes, 2: may create the topic,
--          added), the member's 8 bytes, its first 6 hex digits
--
-- Returns {count, version, results} and, where the publication failed, why.
-- results has a digit a write: 0 unchanged, 1 changed, 2 changed and brought the
-- topic into being, 3 left out because it would have. Too late: {-1, clock}.

local MOST, DEEPEST, CHUNK = 1024, 6, 500 -- bytes of a bucket; digits of a path; fields a call

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
if now > tonumber(ARGV[1]) then return {-1, now} end

local state = redis.call('HMGET', KEYS[1], 'n', 'v', 'd')
local count, version, stored = tonumber(state[1] or 0), tonumber(state[2] or 0), tonumber(state[3] or 0)
if not (count and version and stored) then
  return redis.error_reply('BADDATA the count of this topic is not made of numbers')
end

local sub, byte, find, floor = string.sub, string.byte, string.find, math.floor
local writes = ARGV[5]
local length = #writes
local depth = stored
local buckets = {} -- path to members; false: there is no such bucket

-- Read the bucket of each write, from the deepest level up.
local waiting = {}
for at = 1, length, 15 do waiting[#waiting + 1] = at end
for level = depth, 0, -1 do
  local fields = {}
  for i = 1, #waiting do
    local path = sub(writes, waiting[i] + 9, waiting[i] + 8 + level)
    if buckets[path] == nil then
      buckets[path] = false
      fields[#fields + 1] = path
    end
  end
  for from = 1, #fields, CHUNK do
    local found = redis.call('HMGET', KEYS[2], unpack(fields, from, math.min(from + CHUNK - 1, #fields)))
    for i = 1, #found do buckets[fields[from + i - 1]] = found[i] end
  end
  local missing = {}
  for i = 1, #waiting do
    if not buckets[sub(writes, waiting[i] + 9, waiting[i] + 8 + level)] then missing[#missing + 1] = waiting[i] end
  end
  waiting = missing
  if #waiting == 0 then break end
end
local fresh = #waiting > 0
if fresh then
  buckets[''] = ''
  depth = 0
end

local dirty, split = {}, {}
local function divide(path, level)
  local bucket, parts = buckets[path], {}
  for digit = 0, 15 do parts[digit] = {} end
  local place = floor(level / 2)
  for at = 1, #bucket, 8 do
    local digit = byte(bucket, at + place)
    if level % 2 == 0 then digit = floor(digit / 16) else digit = digit % 16 end
    local part = parts[digit]
    part[#part + 1] = sub(bucket, at, at + 7)
  end
  buckets[path], dirty[path] = false, nil
  split[#split + 1] = path
  if level + 1 > depth then depth = level + 1 end
  for digit = 0, 15 do
    local child = path .. string.format('%x', digit)
    buckets[child], dirty[child] = table.concat(parts[digit]), true
    if #buckets[child] > MOST and level + 1 < DEEPEST then divide(child, level + 1) end
  end
end

local results, changed = {}, false
local exists = version > 0
for at = 1, length, 15 do
  local op = byte(writes, at) - 48
  local member = sub(writes, at + 1, at + 8)
  local level = depth
  local path = sub(writes, at + 9, at + 8 + level)
  while not buckets[path] do
    level = level - 1
    path = sub(writes, at + 9, at + 8 + level)
  end
  local bucket = buckets[path]
  local place = find(bucket, member, 1, true)
  while place and place % 8 ~= 1 do place = find(bucket, member, place + 1, true) end
  local result = '0'
  if op % 2 == 1 then
    if not place then
      if exists or op >= 2 then
        result = exists and '1' or '2'
        exists, changed, count = true, true, count + 1
        buckets[path], dirty[path] = bucket .. member, true
        if #bucket >= MOST and level < DEEPEST then divide(path, level) end
      else
        result = '3'
      end
    end
  elseif place then
    result = '1'
    changed, count = true, count - 1
    buckets[path], dirty[path] = sub(bucket, 1, place - 1) .. sub(bucket, place + 8), true
  end
  results[#results + 1] = result
end
results = table.concat(results)
if not changed then return {count, version, results} end

if count < 0 then count = 0 end
version = math.max(version + 1, now)
local fields = {}
for path in pairs(dirty) do
  if path == '' and buckets[path] == '' then
    split[#split + 1] = path -- the last one went, and the key with it
  else
    fields[#fields + 1] = path
    fields[#fields + 1] = buckets[path]
  end
end
for from = 1, #fields, CHUNK do
  redis.call('HSET', KEYS[2], unpack(fields, from, math.min(from + CHUNK - 1, #fields)))
end
for i = 1, #split do redis.call('HDEL', KEYS[2], split[i]) end
if fresh and ARGV[2] ~= '0' then
  -- A key is gone when the clock is past its time, hence the last millisecond.
  local window, clock = tonumber(ARGV[2]), floor(now / 1000)
  redis.call('PEXPIREAT', KEYS[2], string.format('%.0f', clock - clock % window + window - 1))
end
local n, v = string.format('%.0f', count), string.format('%.0f', version)
if depth == stored then
  redis.call('HSET', KEYS[1], 'n', n, 'v', v)
else
  redis.call('HSET', KEYS[1], 'n', n, 'v', v, 'd', depth)
end
local said = redis.pcall('PUBLISH', ARGV[3], ARGV[4] .. n .. ',"version":' .. v .. '}')
if type(said) == 'table' and said.err then return {count, version, results, said.err} end
return {count, version, results}
