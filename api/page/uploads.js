// Uploads the waiting pictures, a few at a time, and retries while the service is busy or unreachable.

import * as service from "./service.js";

// A browser opens six connections to one server: two follow jobs, one is left for cancelling.
const AT_ONCE = 3;
const MOST_TRIES = 20;

export class Uploads {
  #line = [];
  #free = AT_ONCE;
  #accepted;
  #back = new AbortController();

  constructor(accepted) {
    this.#accepted = accepted;
  }

  add(picture) {
    this.#line.push(picture);
    this.#next();
  }

  // Repeats at once the uploads that failed because the service was away; those beyond a quota still wait.
  hurry() {
    this.#back.abort();
    this.#back = new AbortController();
  }

  #next() {
    while (this.#free && this.#line.length) {
      const picture = this.#line.shift();
      if (picture.ended) continue;
      this.#free -= 1;
      this.#send(picture).finally(() => {
        this.#free += 1;
        this.#next();
      });
    }
  }

  // A waiting picture keeps its slot: whatever delays it would delay the others too.
  async #send(picture) {
    const { signal } = picture;
    if (!(await readable(picture.file))) {
      picture.fail(400, "This file cannot be read. Is it a folder, or was it moved?");
      return;
    }
    for (let tries = 1; !signal.aborted; tries += 1) {
      picture.become("uploading", { fraction: 0 });
      const answer = await service.upload(picture, (fraction) => picture.become("uploading", { fraction }));
      const seconds = service.pauseAfter(answer, tries);
      if (answer.status === 202) {
        await this.#accept(picture, answer.body, signal);
        return;
      }
      if (!seconds || tries === MOST_TRIES) {
        picture.fail(answer.status, service.sentence(answer));
        return;
      }
      picture.hold(`${service.sentence(answer)} Trying again ${service.later(seconds)}.`);
      await service.pause(seconds, answer.status === 429 ? signal : AbortSignal.any([signal, this.#back.signal]));
    }
  }

  async #accept(picture, { id, status, position, detail }, signal) {
    if (signal.aborted) {
      await service.forget(id);
      return;
    }
    const known = { id, position: position ?? 0, note: detail ?? "" };
    picture.become(status === "succeeded" ? "queued" : status, known);
    this.#accepted(picture);
  }
}

async function readable(file) {
  try {
    await file.slice(0, 1).arrayBuffer();
    return true;
  } catch {
    return false;
  }
}
