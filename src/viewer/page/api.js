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

// Calls `changed(trace)` for each run that changed, `alive(truth)` when the line comes and goes.
export function listen(changed, alive) {
  const events = new EventSource("api/dagger/events");
  events.addEventListener("run", (event) => {
    let trace = null;
    try {
      trace = JSON.parse(event.data).trace ?? null;
    } catch {
      // A message that is no JSON says only that something changed.
    }
    changed(trace);
  });
  events.onopen = () => alive(true);
  events.onerror = () => alive(false);
  return () => events.close();
}
