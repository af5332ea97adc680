"""Example responses, the same as in docs/."""

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
# With three minutes instead of 180.
WORKER = {
    "name": "myhost-7902",
    "engine": "litert",
    "model": "efficientnet_lite0",
    "digest": "9b24976dbfb7f122ab1bd3da35dc6ad3c82621aa50ae64b17fa622d38782ae3e",
    "answers": "litert-3:9b24976dbfb7f122ab1bd3da35dc6ad3c82621aa50ae64b17fa622d38782ae3e",
    "children": 2,
    "labels": 1000,
}
STATUS = {
    "time": "2026-11-22T17:02:07.412+00:00",
    "jobs": {"queued": 3, "running": 2, "failed": 1, "oldest_seconds": 0.231},
    "ended": {
        "last_minute": "2026-11-22T17:02:00.000+00:00",
        "succeeded": [5390, 5412, 604],
        "failed": [0, 0, 1],
        "canceled": [0, 0, 0],
        "expired": [0, 0, 0],
    },
    "workers": [WORKER | {"running": 2}],
    "batches": {"open": 0},
    "webhooks": {"open": 0, "overdue_seconds": 0, "given_up": 0},
    "may_act": True,
    "failures": [
        {
            "finished": "2026-11-22T17:02:03.871+00:00",
            "status": 500,
            "title": "Model failed",
            "attempts": 1,
            "worker": "myhost-7902",
            "id": "0d1f2b7c9a3e4f58b6c7d8e9fa0b1c2d",
            "detail": "The model could not classify this picture.",
            "retryable": True,
            "poison": False,
        }
    ],
    "oldest": {"id": "dfd4f1afa1d0efaf592cbf83da085ec4", "status": "running"},
}
