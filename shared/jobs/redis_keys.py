"""Names of the Redis keys of job records and their indexes; `Queue.key` adds the prefix."""

JOB_PREFIX = "job:"
PICTURE_PREFIX = "image:"
GONE_PREFIX = "gone:"
OPEN_KEY = "jobs:open"
LEASES_KEY = "jobs:leases"
# The highest queue order of all jobs claimed so far.
REACHED_KEY = "jobs:begun"
DRAIN_KEY = "jobs:drain"
# How many jobs ended in each minute of an hour; the number of the hour since the epoch follows.
HISTORY_PREFIX = "jobs:history:"
BYTES_KEY = "jobs:bytes"
DEADLINES_KEY = "jobs:deadlines"
FAILED_KEY = "jobs:failed"
# Failed jobs whose picture is kept for a retry, sorted by the time until which it is kept.
KEPT_KEY = "jobs:kept"
# The size of each of these pictures, and `total`.
KEPT_BYTES_KEY = "jobs:kept_bytes"
ENDED_CHANNEL = "jobs:ended"
# Messages of other programs found in the queue, newest first.
FOREIGN_KEY = "jobs:foreign"
# The jobs that an execution has claimed; kept as long as its lease.
CLAIMED_PREFIX = "claimed:"
# The reaper's current turn, and Redis' time at the last call of any worker.
CLOCK_KEY = "repair:clock"
# The delivery of a job's outcome to its webhook.
DELIVERY_PREFIX = "delivery:"
# Deliveries that have not ended, by the end of their jobs.
DELIVERIES_KEY = "deliveries:open"
# Hosts with due deliveries, by the earliest; also the prefix of each host's own set, and the channel of new ones.
DUE_KEY = "deliveries:due"
DELIVERY_LEASES_KEY = "deliveries:leases"
# How many deliveries are being sent to each host.
SENDING_KEY = "deliveries:sending"
# Hosts that did not answer the last attempt.
SILENT_KEY = "deliveries:silent"
DELIVERIES_CLOCK_KEY = "deliveries:clock"
DELIVERIES_CLAIMED_PREFIX = "deliveries:claimed:"
GIVEN_UP_KEY = "deliveries:given_up"
OUTCOMES_KEY = "deliveries:outcomes"
# A batch; beside it are its pictures, their outcomes, and the requests that may be repeated.
BATCH_PREFIX = "batch:"
# Batches that have not ended, by the time until which they are kept.
BATCHES_KEY = "batches:open"
# Written before replicas are asked whether they have all that was written.
CONFIRMED_KEY = "jobs:confirmed"
# The answer of the last search for lost messages, in case the call is sent twice.
ROUND_KEY = "repair:round"
