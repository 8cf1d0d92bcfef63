-- Does the regular work of an instance at a node in one call, in parts. It may run at any
-- time: repeating it is harmless.
--
-- KEYS      the keys of the parts, in their order
-- ARGV[1]   channel of the instance's probes; empty: nothing is published
-- ARGV[2]   message to publish there
-- ARGV[3…]  of each part: name, number of keys, number of arguments, arguments
--
-- Returns a list: seconds and microseconds of this server's clock, then of each part a list with
-- its reply, or the text of its error: clients lose their place at errors within a list. After a
-- part with an unexpected value there are no replies, and nothing is written or published: the
-- store is another one.

local time = redis.call('TIME')
local clock = math.floor((time[1] * 1000000 + time[2]) / 1000)

-- include heartbeat
local parts, isOther = {}, false

-- Stores a value if there is none. args: the value, empty for none; the expected value, empty
-- for any. On a replica it is an error, even if there is a value.
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

-- Returns how many instances run.
function parts.heartbeat(keys, args)
  return store_heartbeat(keys[1], keys[2], clock, args)
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
