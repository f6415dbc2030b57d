// Where the reader is: all of it is in the address's hash, so that every view can be linked to.
//
//   #/                                   the runs           ?q= &state=
//   #/run/TRACE                          one run            ?view= &span= &zoom= &q= &only=1 &path=1 &closed= &out= &sort= &flame=
//   #/compare/TRACE/TRACE                two runs           ?q= &all=1 &kind=

export function readState() {
  const text = location.hash.replace(/^#\/?/, "");
  const cut = text.indexOf("?");
  const path = cut < 0 ? text : text.slice(0, cut);
  const parts = path.split("/").filter(Boolean).map(decoded);
  const params = Object.fromEntries(new URLSearchParams(cut < 0 ? "" : text.slice(cut + 1)));
  const trace = /^[0-9a-f]{1,32}$/i;
  if (parts[0] === "run" && trace.test(parts[1] ?? "")) return { page: "run", traces: [parts[1]], params };
  if (parts[0] === "compare" && parts.length === 3 && parts.slice(1).every((id) => trace.test(id))) {
    return { page: "compare", traces: parts.slice(1), params };
  }
  return { page: "runs", traces: [], params };
}

function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

export function address(page, traces, params) {
  const set = Object.entries(params ?? {}).filter(([, value]) => value !== null && value !== undefined && value !== "");
  const query = new URLSearchParams(set).toString().replaceAll("%2C", ",");
  return `#/${page === "runs" ? "" : [page, ...traces].join("/")}${query ? "?" + query : ""}`;
}

// Changes parameters of the view at hand; null takes one out. `keep`: the way back leads to what was.
export function patchState(changes, keep = false) {
  const state = readState();
  const next = address(state.page, state.traces, { ...state.params, ...changes });
  if (next === (location.hash || "#/")) return;
  if (keep) history.pushState(null, "", next);
  else history.replaceState(null, "", next);
}
