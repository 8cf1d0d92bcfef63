-- Stores the heartbeat of an instance and adds its writes to the activity of this minute.
-- Repeating it is harmless: each write counts once.
--
-- KEYS[1]  hash: instance to "expires sites status"; expires in milliseconds, sites the
--          totals that it reported: "site=writes,…,"
-- KEYS[2]  hash of the day: "minute site" to writes
-- ARGV[1]  deadline, microseconds of this server's clock
-- ARGV[2]  instance
-- ARGV[3]  status
-- ARGV[4]  lifetime of the heartbeat, milliseconds
-- ARGV[5]  retention of KEYS[2], milliseconds
-- ARGV[6…] site, total of writes, writes since the last heartbeat, of each site
--
-- Returns '0'. Deadline passed: -1.

-- include deadline
local clock = math.floor(now / 1000)
local minute = string.format('%.0f', math.floor(clock / 60000))

-- The difference of the totals is new, even if the instance does not know that its last
-- heartbeat was stored.
local known = {}
local before = redis.call('HGET', KEYS[1], ARGV[2])
local totals = before and string.match(before, '^%d+ (%S*) ')
for site, writes in string.gmatch(totals or '', '([^=,]+)=(%d+),') do known[site] = tonumber(writes) end
local sites, wrote = {}, false
for i = 6, #ARGV, 3 do
  local total, since = tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2])
  if totals then since = total - (known[ARGV[i]] or 0) end
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
