-- Stores the pulse of an instance and adds what it wrote to the activity of this
-- minute, each write once however often it is told.
--
-- KEYS[1]  hash: instance to "expires sites status"; expires in milliseconds, sites
--          what it told in all: "site=writes,…,"
-- KEYS[2]  hash of the day: "minute site" to writes
-- ARGV[1]  deadline, microseconds of this server's clock
-- ARGV[2]  instance
-- ARGV[3]  status
-- ARGV[4]  how long the pulse is good for, milliseconds
-- ARGV[5]  how long KEYS[2] is kept, milliseconds
-- ARGV[6…] site, writes in all, writes since the last pulse, of each site
--
-- Returns '0'. Too late: -1.

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
if now > tonumber(ARGV[1]) then return '-1' end
local clock = math.floor(now / 1000)
local minute = string.format('%.0f', math.floor(clock / 60000))

-- What it told in all says what is new even where it does not know that its last
-- pulse arrived.
local known = {}
local before = redis.call('HGET', KEYS[1], ARGV[2])
local told = before and string.match(before, '^%d+ (%S*) ')
for site, writes in string.gmatch(told or '', '([^=,]+)=(%d+),') do known[site] = tonumber(writes) end
local sites, wrote = {}, false
for i = 6, #ARGV, 3 do
  local all, since = tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2])
  if told then since = all - (known[ARGV[i]] or 0) end
  if since > 0 then
    redis.call('HINCRBY', KEYS[2], minute .. ' ' .. ARGV[i], string.format('%.0f', since))
    wrote = true
  end
  sites[#sites + 1] = ARGV[i] .. '=' .. ARGV[i + 1] .. ','
end
if wrote then redis.call('PEXPIRE', KEYS[2], ARGV[5]) end

redis.call('HSET', KEYS[1], ARGV[2], string.format('%.0f ', clock + tonumber(ARGV[4])) .. table.concat(sites) .. ' ' .. ARGV[3])
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  local expires = tonumber(string.match(all[i + 1], '^(%d+) ') or 0)
  if expires <= clock then redis.call('HDEL', KEYS[1], all[i]) end
end
return '0'
