-- Reads a topic and its journals. Ends the script if the topic is frozen or its journals are too
-- long.
--
-- Needs now, ifVersion, isRead, and KEYS and ARGV of the topic, see withdraw.lua. Sets
--   state, version, stored (the depth) and after (the version of a change);
--   packed    where its entries are
--   expected  whether the topic has the version ifVersion, and no journal became shorter
--   tails     index of a journal in KEYS to the text of its range

local HOUR, MOST = 3600000000, 16384 -- microseconds; bytes of journals that are read
local state = redis.call('HMGET', KEYS[1], 'n', 'v', 'd', 'e')
if state[4] and string.byte(state[4]) == 33 then return '-2' .. state[4] end
local version, stored = tonumber(state[2] or 0), tonumber(state[3] or 0)
if not (version and stored) then return redis.error_reply('BADDATA the version of this topic is not a number') end
local after = math.max(version + 1, now)
local expected = version > 0 and (ifVersion == '0' or tonumber(ifVersion) == version)
local packed, tails, room = ARGV[2], {}, MOST
for k = 5, #KEYS do
  local from = ARGV[k]
  if from ~= '' then
    local tail = redis.call('GETRANGE', KEYS[k], from, isRead == '1' and '-1' or string.format('%d', from + MOST))
    tails[k] = tail
    if isRead == '0' then
      room = room - #tail
      if room < 0 then return '-3' end
    elseif tail == '' and from ~= '0' then
      expected = false -- a journal that became shorter was reset
    end
  end
end
