-- Stores the heartbeat of an instance and adds its writes to the activity of this minute.
-- Repeating it is harmless: each write counts once.
--
-- heartbeats  hash: instance to "expires sites status"; expires in milliseconds, sites the
--             totals that it reported: "site=writes,…,"
-- activity    hash of the day: "minute site" to writes
-- clock       this server's clock, milliseconds
-- args        instance; status; lifetime of the heartbeat, milliseconds; retention of
--             activity, milliseconds; then of each site: name, total of writes, writes since
--             the last heartbeat
--
-- Returns how many instances run.
local function store_heartbeat(heartbeats, activity, clock, args)
  local minute = string.format('%.0f', math.floor(clock / 60000))

  -- The difference of the totals is new, even if the instance does not know that its last
  -- heartbeat was stored.
  local known = {}
  local before = redis.call('HGET', heartbeats, args[1])
  local totals = before and string.match(before, '^%d+ (%S*) ')
  for site, writes in string.gmatch(totals or '', '([^=,]+)=(%d+),') do known[site] = tonumber(writes) end
  local sites, wrote = {}, false
  for i = 5, #args, 3 do
    local total, since = tonumber(args[i + 1]), tonumber(args[i + 2])
    if totals then since = total - (known[args[i]] or 0) end
    if since > 0 then
      redis.call('HINCRBY', activity, minute .. ' ' .. args[i], string.format('%.0f', since))
      wrote = true
    end
    sites[#sites + 1] = args[i] .. '=' .. args[i + 1] .. ','
  end
  if wrote then redis.call('PEXPIRE', activity, args[4]) end

  redis.call('HSET', heartbeats, args[1], string.format('%.0f ', clock + tonumber(args[3])) .. table.concat(sites) .. ' ' .. args[2])
  local all, running = redis.call('HGETALL', heartbeats), 0
  for i = 1, #all, 2 do
    local expires = tonumber(string.match(all[i + 1], '^(%d+) ') or 0)
    if expires <= clock then
      redis.call('HDEL', heartbeats, all[i])
    else
      running = running + 1
    end
  end
  return running
end
