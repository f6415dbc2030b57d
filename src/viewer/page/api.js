// Where documents come from: the server, or this very file.

// The document that a single-file page holds.
export function embedded() {
  const element = document.getElementById("run-view");
  return element ? JSON.parse(element.textContent) : null;
}

export async function getJson(path) {
  let answer;
  try {
    answer = await fetch(path, { headers: { accept: "application/json" } });
  } catch {
    throw new Error("the server does not answer: is `dagger trace serve` still running?");
  }
  if (!answer.ok) {
    const said = await answer.json().catch(() => null);
    const text = said?.error ?? said?.errors?.[0]?.msg ?? said?.message;
    throw new Error(typeof text === "string" ? text : `the server answered ${answer.status} to ${path}`);
  }
  return answer.json();
}

export const getRuns = () => getJson("api/dagger/runs");
export const getRun = (trace) => getJson(`api/dagger/runs/${encodeURIComponent(trace)}`);

// The run of the same kind that began before this one; null if there is none.
export async function runBefore({ name, directory, service, started_ms, trace }) {
  const asked = new URLSearchParams({ name, until_ms: started_ms, limit: 5, ...(directory ? { directory } : { service }) });
  const { runs } = await getJson(`api/dagger/runs?${asked}`);
  return runs.find((run) => run.trace !== trace) ?? null;
}

// Calls `changed(trace)` for each run that changed, with null if that may be any, and `alive(truth)`
// when the line comes and goes. A page that nobody sees holds no line: a browser has few of them.
export function listen(changed, alive) {
  let events = null, met = false;
  const open = () => {
    events = new EventSource("api/dagger/events");
    events.addEventListener("run", (event) => changed(JSON.parse(event.data).trace));
    events.addEventListener("reset", () => changed(null));
    // Of what happened while there was no line nothing is told.
    events.addEventListener("hello", () => {
      if (met) changed(null);
      met = true;
    });
    events.onopen = () => alive(true);
    events.onerror = () => alive(false);
  };
  const close = () => {
    events?.close();
    events = null;
  };
  const turn = () => {
    if (document.hidden) close();
    else if (!events) open();
  };
  document.addEventListener("visibilitychange", turn);
  turn();
  return () => {
    document.removeEventListener("visibilitychange", turn);
    close();
  };
}
