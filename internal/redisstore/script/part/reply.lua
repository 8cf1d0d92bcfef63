-- Publishes n and v, and returns what send.lua does. If n has the numbers of options, the count
-- is their sum.

local shown = n
if string.find(n, ',', 1, true) then
  local sum = 0
  for number in string.gmatch(n, '[^,]+') do sum = sum + number end
  shown = string.format('%.0f,"options":[', sum) .. n .. ']'
end
-- include send
