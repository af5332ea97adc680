-- Moves what ends by the clock by `jump_ms`, since the clock was set by so much: leases and deadlines must neither live
-- on for an hour nor all end at once. Sent twice by one caller (`by`) the second time changes nothing.
local clock_key, leases_key, deadlines_key = unpack(KEYS)
local by, jump_ms, job_prefix = unpack(ARGV)

if redis.call('HGET', clock_key, 'moved_by') == by then return end
redis.call('HSET', clock_key, 'moved_by', by)
for _, id in ipairs(redis.call('ZRANGE', leases_key, 0, -1)) do redis.call('ZINCRBY', leases_key, jump_ms, id) end
for _, id in ipairs(redis.call('ZRANGE', deadlines_key, 0, -1)) do
  local deadline_ms = redis.call('ZINCRBY', deadlines_key, jump_ms, id)
  if redis.call('EXISTS', job_prefix .. id) == 1 then redis.call('HSET', job_prefix .. id, 'deadline_ms', deadline_ms) end
end
