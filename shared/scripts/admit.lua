-- Writes a new job as "queued" unless as many jobs are open as are admitted.
-- KEYS: job, jobs:open, jobs:leases   ARGV: id, max_open_jobs, field, value, …
-- Returns {admitted (1 or 0), jobs open, jobs running}. A repeat for a job that exists changes nothing.
local open, running = redis.call('ZCARD', KEYS[2]), redis.call('ZCARD', KEYS[3])
if redis.call('EXISTS', KEYS[1]) == 1 then return {1, open, running} end
if open >= tonumber(ARGV[2]) then return {0, open, running} end
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('HSET', KEYS[1], 'state', 'queued', 'attempts', 0, 'accepted_ms', now_ms, 'published_ms', now_ms,
           unpack(ARGV, 3))
redis.call('ZADD', KEYS[2], now_ms, ARGV[1])
return {1, open + 1, running}
