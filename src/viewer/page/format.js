// Numbers for people. Times are microseconds, unless the name says otherwise.

export function duration(us) {
  if (us === null || us === undefined) return "–";
  if (us < 0) return "−" + duration(-us);
  if (us < 1_000) return `${Math.round(us)} µs`;
  if (us < 10_000) return `${(us / 1_000).toFixed(2)} ms`;
  if (us < 100_000) return `${(us / 1_000).toFixed(1)} ms`;
  if (us < 999_500) return `${Math.round(us / 1_000)} ms`;
  if (us < 9_995_000) return `${(us / 1e6).toFixed(2)} s`;
  if (us < 59_950_000) return `${(us / 1e6).toFixed(1)} s`;
  const seconds = Math.round(us / 1e6);
  const two = (number) => String(number).padStart(2, "0");
  if (seconds < 3_600) return `${Math.floor(seconds / 60)}m ${two(seconds % 60)}s`;
  return `${Math.floor(seconds / 3_600)}h ${two(Math.floor((seconds % 3_600) / 60))}m`;
}

export function signed(us) {
  return us > 0 ? `+${duration(us)}` : us < 0 ? duration(us) : "±0";
}

export function percent(part, whole) {
  if (!whole) return "–";
  const share = (part / whole) * 100;
  return share > 0 && share < 1 ? "<1 %" : `${Math.round(share)} %`;
}

export function whole(number) {
  return Number(number).toLocaleString("en-US").replaceAll(",", "\u202f");
}

export function counted(number, one, many) {
  return `${whole(number)} ${number === 1 ? one : many ?? one + "s"}`;
}

export function clock(ms) {
  return new Date(ms).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });
}

export function ago(ms, now = Date.now()) {
  const seconds = Math.max(0, Math.round((now - ms) / 1_000));
  if (seconds < 5) return "just now";
  if (seconds < 60) return `${seconds} s ago`;
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3_600)} h ago`;
  return `${Math.floor(seconds / 86_400)} d ago`;
}

// Reads "500ms", "1.5s", "2m"; null for anything else.
export function parseDuration(text) {
  const match = /^(\d+(?:\.\d+)?)(us|µs|ms|s|m|h)$/.exec(text);
  const unit = { us: 1, "µs": 1, ms: 1e3, s: 1e6, m: 6e7, h: 3.6e9 };
  return match ? Number(match[1]) * unit[match[2]] : null;
}

// The steps of an axis: 1, 2 or 5 times a power of ten, at most `most` of them in `span`.
export function axisStep(span, most) {
  const rough = Math.max(span / Math.max(most, 1), 1);
  const power = 10 ** Math.floor(Math.log10(rough));
  return [1, 2, 5, 10].map((times) => times * power).find((step) => step >= rough) ?? rough;
}

// A text without terminal colours.
export function withoutColours(text) {
  return text.replace(/\u001b\[[0-9;?]*[ -/]*[@-~]/g, "").replace(/[\u0000-\u0008\u000b-\u001f]/g, "");
}
