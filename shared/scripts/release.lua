-- Gives up a lease: a running job is queued and published again unless it has used up its attempts.
-- KEYS: job, jobs:leases, the broker's queue
-- ARGV: id, most attempts, "ended" to release only a lease that has ended, else "any", message with JOB_ID for the id
-- Returns "queued" when it was published, "exhausted" when the job is to be failed, "" otherwise.
local record = redis.call('HMGET', KEYS[1], 'state', 'attempts')
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
if ARGV[3] == 'ended' then
  local until_ms = redis.call('ZSCORE', KEYS[2], ARGV[1])
  if not until_ms or tonumber(until_ms) > now_ms then return '' end
end
if record[1] == 'running' and tonumber(record[2]) >= tonumber(ARGV[2]) then return 'exhausted' end
if record[1] ~= 'running' and record[1] ~= 'queued' then return '' end
-- On a server that is full, a script may write anything once it has made a write that takes no memory.
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('HSET', KEYS[1], 'state', 'queued', 'published_ms', now_ms)
redis.call('LPUSH', KEYS[3], (string.gsub(ARGV[4], 'JOB_ID', ARGV[1])))
return 'queued'
