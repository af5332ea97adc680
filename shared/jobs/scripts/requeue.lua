-- Gives up the attempt of one execution: its job is queued again, unless this was its last attempt.
-- May be sent twice: `by` identifies the call, and the second time the answer is the same. Options are "1" for yes:
-- `counted`: the attempt counts; `publish`: publish the message now (else the reaper does so some seconds later);
-- `lease_ended`: only if the lease has ended; `died`: the process that ran the job has died, perhaps because of its
-- picture.
-- Returns "queued"; "exhausted" if this was the last attempt and the caller must fail the job; "poison" if the process
-- also died at every attempt; "" if the execution does not hold the job, or if `lease_ended` is set and the lease has
-- not ended.
local job_key, leases_key, queue_key = unpack(KEYS)
local id, execution, by, max_attempts, counted, publish, lease_ended, message, died = unpack(ARGV)

local record = redis.call('HMGET', job_key, 'state', 'execution', 'attempts', 'requeued_by')
if record[4] == by then return 'queued' end
if record[1] ~= 'running' or record[2] ~= execution then return '' end
local now = now_ms()
if lease_ended == '1' then
  local until_ms = redis.call('ZSCORE', leases_key, id)
  if until_ms and tonumber(until_ms) > now then return '' end
end

local function exhausted()
  local deaths = tonumber(redis.call('HGET', job_key, 'deaths') or 0)
  return died == '1' and deaths + 1 >= tonumber(record[3]) and 'poison' or 'exhausted'
end

if counted == '1' and tonumber(record[3]) >= tonumber(max_attempts) then return exhausted() end
-- At `maxmemory` Redis refuses a script whose first write may need memory. ZREM needs none, and once it has run, Redis
-- allows all further writes.
redis.call('ZREM', leases_key, id)
if counted ~= '1' then redis.call('HINCRBY', job_key, 'attempts', -1) end
redis.call('HSET', job_key, 'state', 'queued', 'published_ms', now, 'requeued_by', by)
if died == '1' then redis.call('HINCRBY', job_key, 'deaths', 1) end
if publish == '1' then redis.call('LPUSH', queue_key, (string.gsub(message, 'JOB_ID', id))) end
return 'queued'
