-- Publishes the messages of queued jobs again if they must have been lost: later jobs have been claimed, or the queue
-- is empty. A long wait alone does not mean that a message is lost.
-- Checks only the `most` oldest open jobs; later jobs move up as these end. May be sent twice: `by` identifies the
-- call, and the second time the answer is the same.
-- An open job without a record (Redis has evicted it) cannot be repaired: it is removed from the indexes.
-- Returns {ids published again, ids without a record}.
local open_key, leases_key, deadlines_key, bytes_key, reached_key, queue_key, round_key = unpack(KEYS)
local by, grace_ms, most, job_prefix, gone_prefix, gone_ttl_seconds, message = unpack(ARGV)

local round = redis.call('HMGET', round_key, 'by', 'answer')
if round[1] == by then return cjson.decode(round[2]) end
-- At `maxmemory` Redis refuses a script whose first write may need memory. ZREM needs none, and once it has run, Redis
-- allows all further writes.
redis.call('ZREM', leases_key, '')
local now = now_ms()
local reached = tonumber(redis.call('GET', reached_key) or 0)
local queue_empty = redis.call('LLEN', queue_key) == 0
local published, vanished = {}, {}

local function look_at(id, order)
  local key = job_prefix .. id
  local record = redis.call('HMGET', key, 'state', 'published_ms')
  if not record[1] then
    redis.call('DEL', key)
    redis.call('ZREM', open_key, id)
    redis.call('ZREM', leases_key, id)
    redis.call('ZREM', deadlines_key, id)
    redis.call('SET', gone_prefix .. id, 1, 'EX', gone_ttl_seconds)
    vanished[#vanished + 1] = id
  elseif record[1] == 'queued' and (queue_empty or order < reached) then
    local waited_ms = now - (record[2] or 0)
    if waited_ms >= tonumber(grace_ms) then
      redis.call('HSET', key, 'published_ms', now)
      redis.call('LPUSH', queue_key, (string.gsub(message, 'JOB_ID', id)))
      published[#published + 1] = id
    elseif waited_ms < 0 then
      -- The clock was set back: restart the grace period.
      redis.call('HSET', key, 'published_ms', now)
    end
  end
end

local oldest = redis.call('ZRANGE', open_key, 0, most - 1, 'WITHSCORES')
for i = 1, #oldest, 2 do look_at(oldest[i], tonumber(oldest[i + 1])) end
if #vanished > 0 and redis.call('ZCARD', open_key) == 0 then redis.call('DEL', bytes_key) end
if #published + #vanished > 0 then
  -- By hand: cjson encodes an empty table as an object.
  local answer = '[' .. (#published > 0 and cjson.encode(published) or '[]') .. ','
                 .. (#vanished > 0 and cjson.encode(vanished) or '[]') .. ']'
  redis.call('HSET', round_key, 'by', by, 'answer', answer)
end
return {published, vanished}
