// Follows all accepted jobs to their end, with two requests at a time.

import * as service from "./service.js";

const LONGEST_WAIT = 20;

export class Watch {
  #open = new Set();
  #busy = new Set();
  #sleepers = new Set();

  constructor() {
    // One request waits for the oldest job, which is likely to end first; the other polls all jobs in turn.
    this.#follow((due) => due[0], () => true);
    this.#follow((due) => due.toSorted((a, b) => a.lookedAt - b.lookedAt)[0], () => this.#open.size <= 2);
  }

  add(picture) {
    Object.assign(picture, { lookAfter: 0, lookedAt: 0, wait: 1, failures: 0 });
    this.#open.add(picture);
    picture.signal.addEventListener("abort", () => this.#cancel(picture));
    this.#changed();
  }

  // Asks at once for the jobs whose last request failed.
  hurry() {
    for (const picture of this.#open) if (picture.failures) picture.lookAfter = 0;
    this.#changed();
  }

  async #cancel(picture) {
    this.#open.delete(picture);
    const answer = await service.forget(picture.id);
    if (![204, 404, 410].includes(answer.status)) {
      picture.set({ note: `${service.sentence(answer)} The job may still run.` });
    }
  }

  async #follow(choose, mayWait) {
    for (;;) {
      const picture = choose([...this.#open].filter((each) => !this.#busy.has(each) && each.lookAfter <= Date.now()));
      if (!picture) {
        await this.#news();
        continue;
      }
      this.#busy.add(picture);
      await this.#look(picture, mayWait() && picture.state !== "restored" ? picture.wait : 0);
      this.#busy.delete(picture);
      this.#changed();
    }
  }

  // Resolves when a job is added or removed, or when the next one is due.
  #news() {
    const due = Math.min(...[...this.#open].filter((each) => !this.#busy.has(each)).map((each) => each.lookAfter));
    return new Promise((resolve) => {
      this.#sleepers.add(resolve);
      if (due < Infinity) setTimeout(resolve, Math.max(due - Date.now(), 0));
    });
  }

  #changed() {
    for (const wake of this.#sleepers) wake();
    this.#sleepers.clear();
  }

  async #look(picture, wait) {
    const { signal } = picture;
    const answer = await service.look(picture, wait);
    if (signal.aborted) return;
    const seconds = service.pauseAfter(answer, picture.failures + 1);
    picture.failures = seconds ? picture.failures + 1 : 0;
    picture.lookedAt = Date.now();
    if (answer.status === 202) {
      const { status, position, detail } = answer.body;
      picture.become(status, { position: position ?? 0, note: detail ?? "" });
      // A running job changes only when it ends; a queued one changes its position.
      picture.wait = status === "running" ? LONGEST_WAIT : Math.max(answer.retryAfter, 1);
      picture.lookAfter = answer.waited ? 0 : Date.now() + (answer.retryAfter || 1) * 1000;
    } else if (seconds) {
      picture.lookAfter = Date.now() + seconds * 1000;
      picture.hold(`${service.sentence(answer)} Checking again ${service.later(seconds)}.`);
    } else {
      this.#open.delete(picture);
      end(picture, answer);
    }
  }
}

function end(picture, answer) {
  const { status, problem } = answer.body;
  if (answer.status !== 200) picture.fail(answer.status, service.sentence(answer));
  else if (status === "succeeded") picture.succeed(answer.body);
  else picture.fail(problem?.status ?? 500, problem?.detail ?? `The job was ${status}.`);
}
