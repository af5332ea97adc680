"""Example responses, the same as in the README."""

LABELS = {
    "prediction_1": {"confidence_level": 0.6969, "predicted_label": "traffic light"},
    "prediction_2": {"confidence_level": 0.01411, "predicted_label": "pole"},
    "prediction_3": {"confidence_level": 0.01167, "predicted_label": "switch"},
}
QUEUED_JOB = {"id": "dfd4f1afa1d0efaf592cbf83da085ec4", "status": "queued", "position": 1}
FINISHED_JOB = {
    "id": "dfd4f1afa1d0efaf592cbf83da085ec4",
    "status": "succeeded",
    "result": LABELS,
    "model": {
        "name": "efficientnet_lite0",
        "digest": "c43cfeaa72dbaaf5a067e04ef728e2356b68dc68cb096f119b00dcf8a33f1ba1",
    },
    "worker": "myhost-7902",
    "attempts": 1,
    "times": {
        "accepted": "2026-11-22T17:01:48.091+00:00",
        "begun": "2026-11-22T17:01:48.094+00:00",
        "finished": "2026-11-22T17:01:48.112+00:00",
    },
}
