-- Notes the time of a look (`look_ms`) and, if the clock was set by `jump_ms` since the last look, moves leases and deadlines
-- from before along: they must neither live on for an hour nor all end at once. Those from after it may be among them, so
-- a lease never gets longer than it was taken for.
-- Does nothing if another worker has settled it since `last_ms`; so it may be sent twice.
local clock_key, leases_key, deadlines_key = unpack(KEYS)
local last_ms, look_ms, jump_ms, job_prefix = unpack(ARGV)
last_ms, look_ms, jump_ms = tonumber(last_ms), tonumber(look_ms), tonumber(jump_ms)

if tonumber(redis.call('HGET', clock_key, 'now_ms')) ~= last_ms then return end
redis.call('HSET', clock_key, 'now_ms', look_ms)
if jump_ms == 0 then return end

local leases = redis.call('ZRANGE', leases_key, 0, -1, 'WITHSCORES')
for i = 1, #leases, 2 do
  local id, until_ms = leases[i], tonumber(leases[i + 1])
  local lease_ms = tonumber(redis.call('HGET', job_prefix .. id, 'lease_ms') or 0)
  if lease_ms > 0 then
    redis.call('ZADD', leases_key, math.min(until_ms + math.max(jump_ms, 0), look_ms + lease_ms), id)
  end
end

for _, id in ipairs(redis.call('ZRANGE', deadlines_key, 0, -1)) do
  local accepted_ms = tonumber(redis.call('HGET', job_prefix .. id, 'accepted_ms') or 0)
  -- Set back: accepted in what is now the future. Set ahead: accepted before the clock went past this time.
  if (jump_ms < 0 and accepted_ms > look_ms) or (jump_ms > 0 and accepted_ms > 0 and accepted_ms < last_ms + jump_ms) then
    redis.call('HSET', job_prefix .. id, 'deadline_ms', redis.call('ZINCRBY', deadlines_key, jump_ms, id))
  end
end
