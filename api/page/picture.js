// One picture on its way: its state, and what is known of it.

const ENDED = ["succeeded", "failed", "canceled"];

// Not crypto.randomUUID: a phone in the local network opens this page without TLS.
function randomKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

// Tells "change" for whatever is to be drawn, and "state" when its state has changed.
export class Picture extends EventTarget {
  key = randomKey(); // the Idempotency-Key: a retry joins the first upload
  id = ""; // of the job, once accepted
  state = "waiting"; // restored, waiting, uploading, queued, running, succeeded, failed, canceled
  note = ""; // why it goes no further just now
  fraction = 0; // of its bytes that are sent
  file = null; // null after a reload
  thumbnail = null; // a data URL, "" if this browser cannot draw the picture, null while it is not known
  record = null; // the answer of /result/<id>
  problem = ""; // a sentence, if it failed
  status = 0; // of the answer that said so
  position = 0; // in the queue
  seconds = 0; // from here to the result
  #stop = new AbortController();
  #began = performance.now();

  constructor(known) {
    super();
    Object.assign(this, known);
  }

  get ended() {
    return ENDED.includes(this.state);
  }

  // Ends what is under way when the picture is canceled.
  get signal() {
    return this.#stop.signal;
  }

  set(values) {
    Object.assign(this, values);
    this.dispatchEvent(new Event("change"));
  }

  // Nothing leads out of an end but `restart`.
  become(state, values = {}) {
    if (this.ended) return;
    const changed = state !== this.state || (values.id ?? this.id) !== this.id;
    this.set({ note: "", ...values, state });
    if (changed) this.dispatchEvent(new Event("state"));
  }

  // It goes no further just now; `note` says why.
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
