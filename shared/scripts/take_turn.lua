-- Gives one worker at a time the turn to look after stalled jobs. Sent twice by one caller (`by`, anew for each look) it
-- answers the same.
-- Returns {1 if it is the caller's turn else 0, now, when somebody looked last (now if nobody has)}, in ms.
local clock_key = unpack(KEYS)
local by, period_ms = unpack(ARGV)

local now = now_ms()
local clock = redis.call('HMGET', clock_key, 'now_ms', 'turn_until_ms', 'turn_by', 'last_ms')
if clock[3] == by then return {1, tonumber(clock[1]), tonumber(clock[4])} end
local last = tonumber(clock[1] or now)
redis.call('HSET', clock_key, 'now_ms', now)
-- A turn that ends later than any may was taken before the clock was set back.
local until_ms = tonumber(clock[2] or 0)
if now < until_ms and until_ms - now <= tonumber(period_ms) then return {0, now, last} end
redis.call('HSET', clock_key, 'turn_until_ms', now + period_ms, 'turn_by', by, 'last_ms', last)
return {1, now, last}
