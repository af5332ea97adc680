-- Takes back the attempt of a running job whose picture could not be had: the job waits again, and the attempt does not
-- count. It is not published: whoever repairs does so some seconds later, as for any job whose message was lost.
-- KEYS: job, jobs:leases   ARGV: id
if redis.call('HGET', KEYS[1], 'state') ~= 'running' then return end
local time = redis.call('TIME')
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('HINCRBY', KEYS[1], 'attempts', -1)
redis.call('HSET', KEYS[1], 'state', 'queued', 'published_ms', time[1] * 1000 + math.floor(time[2] / 1000))
