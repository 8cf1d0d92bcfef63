-- Applies a batch of assertions to a topic whose visitors contribute amounts.
--
-- Everything is checked before the first write, since scripts are not rolled
-- back; the publication comes last and its failure is reported, not raised.
--
-- KEYS[1]  hash: n count, v version
-- KEYS[2]  hash: a member's 8 bytes to its amount
-- ARGV[1]  deadline, microseconds of this server's clock
-- ARGV[2]  channel
-- ARGV[3]  head of the topic's frames
-- ARGV[4]  writes of 12 bytes: a digit (2: may create the topic, 0: may not), the
--          member's 8 bytes, its amount in 3 bytes, the highest first
--
-- Returns what apply.lua returns.

local CHUNK = 500 -- fields a call

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
if now > tonumber(ARGV[1]) then return '-1' end

local state = redis.call('HMGET', KEYS[1], 'n', 'v')
local count, version = tonumber(state[1] or 0), tonumber(state[2] or 0)
if not (count and version) then
  return redis.error_reply('BADDATA the count of this topic is not made of numbers')
end

local writes = ARGV[4]
local amounts, members = {}, {}
for at = 1, #writes, 12 do
  local member = string.sub(writes, at + 1, at + 8)
  if not amounts[member] then
    amounts[member] = 0
    members[#members + 1] = member
  end
end
for from = 1, #members, CHUNK do
  local found = redis.call('HMGET', KEYS[2], unpack(members, from, math.min(from + CHUNK - 1, #members)))
  for i = 1, #found do
    local amount = tonumber(found[i] or 0)
    if not amount then return redis.error_reply('BADDATA an amount of this topic is not a number') end
    amounts[members[from + i - 1]] = amount
  end
end

local results, dirty, changed = {}, {}, false
local exists = version > 0
for at = 1, #writes, 12 do
  local member = string.sub(writes, at + 1, at + 8)
  local high, middle, low = string.byte(writes, at + 9, at + 11)
  local amount, before = high * 65536 + middle * 256 + low, amounts[member]
  local result = '0'
  if amount ~= before then
    if exists or string.byte(writes, at) == 50 then
      result = exists and '1' or '2'
      exists, changed, count = true, true, count + amount - before
      amounts[member], dirty[member] = amount, true
    else
      result = '3'
    end
  end
  results[#results + 1] = result
end
results = table.concat(results)
if count < 0 then count = 0 end
local n = string.format('%.0f', count)
if not changed then return n .. ' ' .. string.format('%.0f', version) .. ' ' .. results end

local fields, gone = {}, {}
for member in pairs(dirty) do
  if amounts[member] == 0 then
    gone[#gone + 1] = member
  else
    fields[#fields + 1] = member
    fields[#fields + 1] = string.format('%.0f', amounts[member])
  end
end
for from = 1, #fields, CHUNK do
  redis.call('HSET', KEYS[2], unpack(fields, from, math.min(from + CHUNK - 1, #fields)))
end
for from = 1, #gone, CHUNK do
  redis.call('HDEL', KEYS[2], unpack(gone, from, math.min(from + CHUNK - 1, #gone)))
end
local v = string.format('%.0f', math.max(version + 1, now))
redis.call('HSET', KEYS[1], 'n', n, 'v', v)
local said = redis.pcall('PUBLISH', ARGV[2], ARGV[3] .. n .. ',"version":' .. v .. '}')
if type(said) == 'table' and said.err then return n .. ' ' .. v .. ' ' .. results .. ' ' .. said.err end
return n .. ' ' .. v .. ' ' .. results
