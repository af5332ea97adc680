// The state of one picture.

const ENDED = ["succeeded", "failed", "canceled"];

// crypto.randomUUID needs TLS, and a phone on the local network opens this page without it.
export function randomKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

// Dispatches "change" when anything changes, and "state" when the state changes.
export class Picture extends EventTarget {
  key = randomKey(); // the Idempotency-Key, so that a retry joins the job of the first upload
  id = ""; // of the job, once accepted
  state = "waiting"; // restored, waiting, uploading, queued, running, succeeded, failed, canceled
  note = ""; // why it is waiting
  fraction = 0; // fraction of the bytes sent
  file = null; // null after a reload
  group = null; // { key, folder, size, added } if it was added together with others
  thumbnail = null; // a data URL; "" if this browser cannot draw the picture, null until known
  record = null; // the response of /result/<id>
  problem = ""; // a sentence, if it failed
  status = 0; // status of the response with that problem
  position = 0; // in the queue
  seconds = 0; // from adding the picture to its result
  #stop = new AbortController();
  #began = performance.now();

  constructor(known) {
    super();
    Object.assign(this, known);
  }

  get ended() {
    return ENDED.includes(this.state);
  }

  // Aborts pending requests when the picture is canceled.
  get signal() {
    return this.#stop.signal;
  }

  set(values) {
    Object.assign(this, values);
    this.dispatchEvent(new Event("change"));
  }

  // Only `restart` leaves a final state.
  become(state, values = {}) {
    if (this.ended) return;
    const changed = state !== this.state || (values.id ?? this.id) !== this.id;
    this.set({ note: "", ...values, state });
    if (changed) this.dispatchEvent(new Event("state"));
  }

  // Marks the picture as waiting; `note` says why.
  hold(note) {
    this.become(this.state === "uploading" ? "waiting" : this.state, { note });
  }

  succeed(record) {
    const seconds = this.seconds || (this.file && (performance.now() - this.#began) / 1000) || 0;
    this.become("succeeded", { record, seconds });
  }

  fail(status, problem) {
    this.become("failed", { status, problem });
  }

  cancel() {
    this.become("canceled");
    this.#stop.abort();
  }

  restart() {
    this.#stop = new AbortController();
    this.#began = performance.now();
    this.set({ key: randomKey(), id: "", state: "waiting", note: "", problem: "", status: 0, seconds: 0 });
    this.dispatchEvent(new Event("state"));
  }
}
