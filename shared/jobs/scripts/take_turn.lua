-- Gives one worker at a time the turn to requeue stalled jobs; a turn lasts `period_ms`.
-- Every worker calls this every two seconds. If the last call is older than `max_gap_ms` (Redis was down, the machine
-- slept, the clock was set ahead, or no worker ran), no worker could report the end of its jobs: extend all leases by
-- the gap. If the last call lies in the future, the clock was set back: renew all leases and move deadlines back. The
-- very first call renews all leases too.
-- May be sent twice: `by` identifies the call, and the second time the answer is the same.
-- Returns {1 if it is the caller's turn, else 0; now; the gap since the last call if leases or deadlines were moved, else
-- 0}, in ms.
local clock_key, leases_key, deadlines_key = unpack(KEYS)
local by, period_ms, max_gap_ms, job_prefix = unpack(ARGV)

local now = now_ms()
local clock = redis.call('HMGET', clock_key, 'now_ms', 'turn_until_ms', 'look_by', 'look_turn', 'look_gap_ms')
-- Sent twice: answer with the time of the first call, because the clock may have been set since.
if clock[3] == by then return {tonumber(clock[4]), tonumber(clock[1]), tonumber(clock[5])} end
-- At `maxmemory` Redis refuses a script whose first write may need memory. ZREM needs none, and once it has run, Redis
-- allows all further writes.
redis.call('ZREM', leases_key, '')
local gap = now - tonumber(clock[1] or now)
if gap >= 0 and gap <= tonumber(max_gap_ms) then gap = 0 end

if gap ~= 0 or not clock[1] then
  local leases = redis.call('ZRANGE', leases_key, 0, -1, 'WITHSCORES')
  local is_extended = false
  for i = 1, #leases, 2 do
    local id = leases[i]
    -- If the clock was set back, nobody knows how long ago the last call was.
    local is_known = clock[1] and gap > 0
    local until_ms = is_known and tonumber(leases[i + 1]) + math.max(gap - period_ms, 0) or math.huge
    -- Never longer than a new lease: this one may have been set after the clock was.
    local lease_ms = tonumber(redis.call('HGET', job_prefix .. id, 'lease_ms') or 0)
    if lease_ms > 0 then
      redis.call('ZADD', leases_key, math.min(until_ms, now + lease_ms), id)
      -- A lease that ends later was set during the gap.
      if clock[1] and tonumber(leases[i + 1]) <= clock[1] + lease_ms then is_extended = true end
    end
  end
  -- No job ran during the gap: a normal start, which is nothing to report.
  if gap > 0 and not is_extended then gap = 0 end
end
if gap < 0 then
  for _, id in ipairs(redis.call('ZRANGE', deadlines_key, 0, -1)) do
    if tonumber(redis.call('HGET', job_prefix .. id, 'accepted_ms') or 0) > now then
      redis.call('HSET', job_prefix .. id, 'deadline_ms', redis.call('ZINCRBY', deadlines_key, gap, id))
    end
  end
end

-- A turn that ends more than one period from now was taken before the clock was set back.
local until_ms = tonumber(clock[2] or 0)
local taken = (now >= until_ms or until_ms - now > tonumber(period_ms)) and 1 or 0
if taken == 1 then redis.call('HSET', clock_key, 'turn_until_ms', now + period_ms) end
redis.call('HSET', clock_key, 'now_ms', now, 'look_by', by, 'look_turn', taken, 'look_gap_ms', gap)
return {taken, now, gap}
