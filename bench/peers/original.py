"""`python -m bench.peers.original`: the program this project began with, `hub.load` and Flask in one process."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_hub as hub
from flask import Flask, jsonify, request
from PIL import Image

app = Flask(__name__)
folder = Path(os.environ["MODEL_DIR"])
model = hub.load(str(folder / "saved_model"))
labels = [line.partition(",")[0].strip() for line in (folder / "labels.txt").read_text("utf-8").splitlines()]


@app.post("/upload")
def upload() -> Any:
    """Answer with the three most likely labels of the picture in the form."""
    if "image" not in request.files:
        return jsonify({"error": "No image provided"}), 400
    image = Image.open(request.files["image"].stream).convert("RGB").resize((224, 224))
    batch = np.expand_dims(np.array(image, dtype=np.float32) / 255.0, axis=0)
    probabilities = tf.nn.softmax(model(batch))[0].numpy()
    best = probabilities.argsort()[-3:][::-1]
    return jsonify(
        {
            f"prediction_{place}": {
                "confidence_level": round(float(probabilities[index]), 5),
                "predicted_label": labels[index],
            }
            for place, index in enumerate(best, start=1)
        }
    )


if __name__ == "__main__":
    app.run(host="127.0.0.1", port=int(os.environ["PORT"]))
