-- Moves a job into a terminal state; the first one wins.
-- KEYS: job, jobs:open, jobs:leases, jobs:drain, gone
-- ARGV: id, state, allowed states joined by ",", result_ttl_seconds, gone_ttl_seconds, channel, field, value, …
-- Returns 1 when the job moved, 0 when it may not (ended before, or not there).
local state = redis.call('HGET', KEYS[1], 'state')
if not state or not string.find(',' .. ARGV[3] .. ',', ',' .. state .. ',', 1, true) then return 0 end
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('HSET', KEYS[1], 'state', ARGV[2], 'finished_ms', now_ms, unpack(ARGV, 7))
redis.call('EXPIRE', KEYS[1], ARGV[4])
redis.call('SET', KEYS[5], 1, 'EX', ARGV[5])
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('ZREM', KEYS[3], ARGV[1])
-- A moving average of the time between two ends while others wait: how fast the queue drains.
if redis.call('ZCARD', KEYS[2]) > 0 then
  local drain = redis.call('HMGET', KEYS[4], 'finished_ms', 'interval_ms')
  if drain[1] then
    local interval_ms = math.min(now_ms - drain[1], 10000)
    redis.call('HSET', KEYS[4], 'interval_ms', 0.95 * (drain[2] or interval_ms) + 0.05 * interval_ms)
  end
end
redis.call('HSET', KEYS[4], 'finished_ms', now_ms)
redis.call('PUBLISH', ARGV[6], ARGV[1])
return 1
