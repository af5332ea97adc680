-- Gives one worker at a time the turn to look after stalled jobs. Sent twice by one caller (`by`, anew for each look) it
-- answers the same.
-- The time of the look is noted, unless it is behind the last one or more than `max_gap_ms` after it: the clock may have
-- been set. Then the caller settles that with settle_clock.lua.
-- Returns {1 if it is the caller's turn else 0, now, when somebody looked last (now if nobody has)}, in ms.
local clock_key = unpack(KEYS)
local by, period_ms, max_gap_ms = unpack(ARGV)

local now = now_ms()
local clock = redis.call('HMGET', clock_key, 'now_ms', 'turn_until_ms', 'look_by', 'look_turn', 'look_ms', 'look_last_ms')
if clock[3] == by then return {tonumber(clock[4]), tonumber(clock[5]), tonumber(clock[6])} end
local last = tonumber(clock[1] or now)
if not clock[1] or (now >= last and now - last <= tonumber(max_gap_ms)) then
  redis.call('HSET', clock_key, 'now_ms', now)
end
-- A turn that ends later than any may was taken before the clock was set back.
local until_ms = tonumber(clock[2] or 0)
local taken = (now >= until_ms or until_ms - now > tonumber(period_ms)) and 1 or 0
if taken == 1 then redis.call('HSET', clock_key, 'turn_until_ms', now + period_ms) end
redis.call('HSET', clock_key, 'look_by', by, 'look_turn', taken, 'look_ms', now, 'look_last_ms', last)
return {taken, now, last}
