-- Publishes n and v, and returns what send.lua does. If n has the numbers of options, the count
-- is their sum.

local shown = n
if string.find(n, ',', 1, true) then
-- include total
  shown = string.format('%.0f,"options":[', total(n)) .. n .. ']'
end
-- include send
