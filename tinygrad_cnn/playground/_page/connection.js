/* Both ways to the server: commands, and what has changed. */

/* Carry out a command. Throws a Refusal where the session refuses it. */
async function send(command, details = {}) {
  let answer;
  try {
    const response = await fetch("command", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ command, ...details }),
    });
    answer = response.ok ? await response.json() : { error: `refused (${response.status})` };
  } catch {
    answer = { error: "the server does not answer" };
  }
  if (answer.error) throw new Refusal(answer);
}

/* What the session says against a command; of a pattern, where in it. */
class Refusal extends Error {
  constructor({ error, position, length }) {
    super(error);
    Object.assign(this, { position, length });
  }
}

const PATIENCE = 4000; // milliseconds

/* Call handlers[name](value) whenever the part of this name changes; at first for every part.
   Every event tells all of its part, so that nothing is missing after a break. With many tabs the
   streams take turns: only a long break is none of these. */
function listen(handlers, connected) {
  const source = new EventSource("events");
  let lost = null;
  source.addEventListener("open", () => {
    clearTimeout(lost);
    lost = null;
    connected(true);
  });
  source.addEventListener("error", () => {
    lost ??= setTimeout(() => connected(false), PATIENCE);
  });
  for (const [name, handle] of Object.entries(handlers)) {
    source.addEventListener(name, (event) => handle(parsed(event.data)));
  }
  // Else a page that is left would count as a reader until the browser notices.
  addEventListener("pagehide", () => source.close());
}

/* A function that calls f at most every so many milliseconds, the last time with the last
   arguments, and never again before f is done. */
function paced(f, pause) {
  let busy = false;
  let waiting = null;
  return async function call(...details) {
    if (busy) {
      waiting = details;
      return;
    }
    busy = true;
    try {
      await f(...details);
      await new Promise((done) => setTimeout(done, pause));
    } finally {
      busy = false;
    }
    if (waiting) {
      const next = waiting;
      waiting = null;
      call(...next);
    }
  };
}
