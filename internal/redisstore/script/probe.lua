-- Does the regular work of an instance at a node in one call, in parts. It may run at any
-- time: repeating it is harmless.
--
-- KEYS      the keys of the parts, in their order
-- ARGV[1]   channel of the instance's probes; empty: nothing is published
-- ARGV[2]   message to publish there
-- ARGV[3…]  of each part: name, number of keys, number of arguments, arguments
--
-- Returns a list: seconds and microseconds of this server's clock, then of each part a list with
-- its reply, or the text of its error, since clients do not read the rest of a list after an error.
-- After a part with an unexpected value there are no replies, and nothing is written or published:
-- the store is another one.

local time = redis.call('TIME')
local clock = math.floor((time[1] * 1000000 + time[2]) / 1000)

local parts, isOther = {}, false

-- Stores a value unless one is stored, and returns the stored one. args: the value, empty to store
-- none; the expected value, empty for any. To store a value on a replica is an error in any case.
function parts.keep(keys, args)
  local failed
  if args[1] ~= '' then
    local set = redis.pcall('SET', keys[1], args[1], 'NX')
    failed = type(set) == 'table' and set.err and set
    if failed and string.find(failed.err, 'READONLY', 1, true) then return failed end
  end
  local stored = redis.call('GET', keys[1])
  isOther = stored and args[2] ~= '' and stored ~= args[2]
  return stored or failed
end

function parts.hash(keys) return redis.call('HGETALL', keys[1]) end

-- Returns the revision of the settings, and a digest that distinguishes their states, which
-- takes long if they are many. args: the name of the revision; empty for no digest.
function parts.settings(keys, args)
  local reply = { redis.call('HGET', keys[1], args[1]) or '', '' }
  if args[2] ~= '' then
    local fields = redis.call('HGETALL', keys[1])
    for i = 1, #fields do fields[i] = #fields[i] .. ':' .. fields[i] end
    reply[2] = redis.sha1hex(table.concat(fields))
  end
  return reply
end

function parts.score(keys, args) return redis.call('ZSCORE', keys[1], args[1]) end

-- Writes as likes do. args: lifetime of the key, milliseconds.
function parts.write(keys, args) return redis.call('SET', keys[1], '', 'PX', args[1]) end

-- Stores the heartbeat of an instance and adds its writes to the activity of this minute. Each
-- write counts once. Returns how many instances run. keys: a hash of instance to "expires sites
-- status", expires in milliseconds, sites the totals that it reported: "site=writes,…,"; a hash of
-- the day: "minute site" to writes. args: instance; status; lifetime of the heartbeat,
-- milliseconds; retention of activity, milliseconds; then of each site: name, total of writes,
-- writes since the last heartbeat.
function parts.heartbeat(keys, args)
  local minute = string.format('%.0f', math.floor(clock / 60000))
  -- The difference of the totals is new, even if the instance does not know that its last
  -- heartbeat was stored.
  local known = {}
  local before = redis.call('HGET', keys[1], args[1])
  local totals = before and string.match(before, '^%d+ (%S*) ')
  for site, writes in string.gmatch(totals or '', '([^=,]+)=(%d+),') do known[site] = tonumber(writes) end
  local sites, wrote = {}, false
  for i = 5, #args, 3 do
    local total, since = tonumber(args[i + 1]), tonumber(args[i + 2])
    if totals then since = total - (known[args[i]] or 0) end
    if since > 0 then
      redis.call('HINCRBY', keys[2], minute .. ' ' .. args[i], string.format('%.0f', since))
      wrote = true
    end
    sites[#sites + 1] = args[i] .. '=' .. args[i + 1] .. ','
  end
  if wrote then redis.call('PEXPIRE', keys[2], args[4]) end
  redis.call('HSET', keys[1], args[1], string.format('%.0f ', clock + tonumber(args[3])) .. table.concat(sites) .. ' ' .. args[2])
  local all, running = redis.call('HGETALL', keys[1]), 0
  for i = 1, #all, 2 do
    if tonumber(string.match(all[i + 1], '^(%d+) ') or 0) <= clock then
      redis.call('HDEL', keys[1], all[i])
    else
      running = running + 1
    end
  end
  return running
end

local replies, key, at = { time[1], time[2] }, 1, 3
while at <= #ARGV and not isOther do
  local keys, args = {}, {}
  for i = 1, tonumber(ARGV[at + 1]) do keys[i] = KEYS[key + i - 1] end
  for i = 1, tonumber(ARGV[at + 2]) do args[i] = ARGV[at + 2 + i] end
  local ok, reply = pcall(parts[ARGV[at]], keys, args)
  local failed = type(reply) == 'table' and reply.err
  if not ok and not failed then failed = tostring(reply) end -- Redis 6 passes a text
  replies[#replies + 1] = failed or { reply or false }
  key, at = key + #keys, at + 3 + #args
end
if ARGV[1] ~= '' and not isOther then redis.call('PUBLISH', ARGV[1], ARGV[2]) end
return replies
