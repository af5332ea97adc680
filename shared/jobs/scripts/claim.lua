-- Claims queued jobs: counts the attempt, writes the execution that holds the job, and sets a lease.
-- May be sent twice by one execution: the claimed jobs are kept under `claimed_key` and returned again.
-- `wanted` is the id of a job whose message was delivered, "" to pop up to `most` messages from the queue.
-- A claim that arrives after `valid_until_ms` claims nothing, because its sender has stopped waiting. (A process that
-- does not know Redis' clock yet sends 0, and reads the clock from the answer.)
-- Only queued jobs are claimed, and only if their deadline has not passed and their record has no newer format (a newer
-- worker claims those).
-- Returns {now, "claimed" | "late", names of foreign tasks moved to `foreign_key`, then for each job {id, picture
-- stored in Redis or "", record as field, value, …}}.
local queue_key, leases_key, reached_key, foreign_key, claimed_key = unpack(KEYS)
local wanted, execution, worker, lease_ms, valid_until_ms, format_version, job_prefix, picture_prefix, task, most,
  max_foreign = unpack(ARGV)
local now = now_ms()
local answer = {now, 'claimed', {}}
local ids = {}

local function add(id)
  answer[#answer + 1] = {id, redis.call('GET', picture_prefix .. id) or '', redis.call('HGETALL', job_prefix .. id)}
  ids[#ids + 1] = id
end

local before = redis.call('GET', claimed_key)
if before then
  before = cjson.decode(before)
  answer[3] = before[2]
  for _, id in ipairs(before[1]) do
    local held = redis.call('HMGET', job_prefix .. id, 'state', 'execution')
    if held[1] == 'running' and held[2] == execution then add(id) end
  end
  return answer
end
if now > tonumber(valid_until_ms) then return {now, 'late', {}} end

local function claim(id)
  local key = job_prefix .. id
  local record = redis.call('HMGET', key, 'state', 'format_version', 'deadline_ms', 'order', 'accepted_ms', 'execution')
  -- This execution has claimed the job before, and `claimed_key` has expired because Redis' clock was set ahead.
  if record[1] == 'running' and record[6] == execution then return add(id) end
  if record[1] ~= 'queued' or tonumber(record[2]) > tonumber(format_version) then return end
  if record[3] and tonumber(record[3]) <= now then return end
  -- At `maxmemory` Redis refuses a script whose first write may need memory. ZREM needs none, and once it has run,
  -- Redis allows all further writes.
  redis.call('ZREM', leases_key, id)
  redis.call('HINCRBY', key, 'attempts', 1)
  redis.call('HSET', key, 'state', 'running', 'execution', execution, 'worker', worker, 'begun_ms', now,
             'lease_ms', lease_ms)
  redis.call('ZADD', leases_key, now + lease_ms, id)
  -- The highest `order` claimed so far. A job below it that is still queued has lost its message.
  local order = tonumber(record[4] or record[5])
  if order > tonumber(redis.call('GET', reached_key) or 0) then
    redis.call('SET', reached_key, string.format('%d', order))
  end
  add(id)
end

-- Returns the job id in a message; for a message of another program, nil and the name of its task.
local function read(message)
  local ok, envelope = pcall(cjson.decode, message)
  local headers = ok and type(envelope) == 'table' and envelope.headers
  if type(headers) ~= 'table' then return nil, 'no task' end
  if headers.task == task and type(headers.id) == 'string' and envelope['content-type'] == 'application/json' then
    return headers.id
  end
  return nil, type(headers.task) == 'string' and headers.task or 'no task'
end

if wanted ~= '' then
  claim(wanted)
else
  for _ = 1, 100 do
    if #ids >= tonumber(most) then break end
    local message = redis.call('RPOP', queue_key)
    if not message then break end
    local id, name = read(message)
    if id then
      claim(id)
    else
      redis.call('LPUSH', foreign_key, message)
      redis.call('LTRIM', foreign_key, 0, max_foreign - 1)
      table.insert(answer[3], name)
    end
  end
end
redis.call('ZREM', leases_key, '')
-- Stored even if nothing was claimed: the same claim, sent again, must not pop messages published in the meantime.
redis.call('SET', claimed_key, cjson.encode({ids, answer[3]}), 'PX', lease_ms + 10000)
return answer
