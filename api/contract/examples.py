"""Example responses, the same as in the README."""

LABELS = {
    "prediction_1": {"confidence_level": 0.69679, "predicted_label": "traffic light"},
    "prediction_2": {"confidence_level": 0.0141, "predicted_label": "pole"},
    "prediction_3": {"confidence_level": 0.01167, "predicted_label": "switch"},
}
QUEUED_JOB = {"id": "dfd4f1afa1d0efaf592cbf83da085ec4", "status": "queued", "position": 1}
RETRIED_JOB = {**QUEUED_JOB, "retry_of": "0d1f2b7c9a3e4f58b6c7d8e9fa0b1c2d"}
OPEN_BATCH = {
    "id": "5d1f7c2ab3e94c0f8e6a1b2c3d4e5f60",
    "status": "open",
    "counts": {"added": 0, "open": 0, "succeeded": 0, "failed": 0, "canceled": 0, "expired": 0},
    "times": {"opened": "2026-11-22T17:01:48.091+00:00"},
}
COMPLETED_BATCH = {
    "id": "5d1f7c2ab3e94c0f8e6a1b2c3d4e5f60",
    "status": "completed",
    "counts": {"added": 2, "open": 0, "succeeded": 2, "failed": 0, "canceled": 0, "expired": 0},
    "times": {
        "opened": "2026-11-22T17:01:48.091+00:00",
        "closed": "2026-11-22T17:01:49.004+00:00",
        "finished": "2026-11-22T17:01:49.112+00:00",
    },
}
BATCH_LINE = (
    '{"number": 1, "name": "traffic_light.png", "id": "dfd4f1afa1d0efaf592cbf83da085ec4", "status": "succeeded", '
    '"result": {"prediction_1": {"confidence_level": 0.69679, "predicted_label": "traffic light"}}, '
    '"model": {"name": "efficientnet_lite0", '
    '"digest": "9b24976dbfb7f122ab1bd3da35dc6ad3c82621aa50ae64b17fa622d38782ae3e"}}\n'
)
FINISHED_JOB = {
    "id": "dfd4f1afa1d0efaf592cbf83da085ec4",
    "status": "succeeded",
    "result": LABELS,
    "model": {
        "name": "efficientnet_lite0",
        "digest": "9b24976dbfb7f122ab1bd3da35dc6ad3c82621aa50ae64b17fa622d38782ae3e",
    },
    "worker": "myhost-7902",
    "attempts": 1,
    "times": {
        "accepted": "2026-11-22T17:01:48.091+00:00",
        "begun": "2026-11-22T17:01:48.094+00:00",
        "finished": "2026-11-22T17:01:48.112+00:00",
    },
}
