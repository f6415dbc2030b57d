// Lays out a graph without circles: who is needed stands left of who needs it, lines cross little.
// Pure: numbers in, numbers out.

const SWEEPS = 8;

// `needs[at]` are the places of what a node needs. Gives each node's column and its place in it, and
// for each line the points between, where it passes through columns.
export function layered(needs) {
  const size = needs.length, level = new Array(size).fill(-1);
  const levelOf = (node, above) => {
    if (level[node] >= 0) return level[node];
    if (above.has(node)) return 0;
    above.add(node);
    let most = 0;
    for (const need of needs[node]) most = Math.max(most, levelOf(need, above) + 1);
    above.delete(node);
    return (level[node] = most);
  };
  for (let node = 0; node < size; node++) levelOf(node, new Set());
  const columns = Array.from({ length: size ? Math.max(...level) + 1 : 0 }, () => []);
  for (let node = 0; node < size; node++) columns[level[node]].push(node);
  // A long line gets a place of its own in each column that it passes.
  const before = needs.map(() => []), lines = [];
  const link = (from, to) => before[to].push(from);
  for (let node = 0; node < size; node++) {
    for (const need of needs[node]) {
      if (level[need] >= level[node]) continue;
      const through = [];
      let last = need;
      for (let at = level[need] + 1; at < level[node]; at++) {
        const bend = before.push([]) - 1;
        columns[at].push(bend);
        link(last, bend);
        through.push((last = bend));
      }
      link(last, node);
      lines.push({ from: need, to: node, through });
    }
  }
  const after = before.map(() => []);
  before.forEach((list, to) => list.forEach((from) => after[from].push(to)));
  const place = new Array(before.length).fill(0);
  const settle = () => columns.forEach((column) => column.forEach((node, at) => (place[node] = at - column.length / 2)));
  settle();
  const middle = (node, list) => (list.length ? list.reduce((sum, other) => sum + place[other], 0) / list.length : place[node]);
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    const forth = sweep % 2 === 0;
    for (const column of forth ? columns : [...columns].reverse()) {
      const wanted = new Map(column.map((node) => [node, middle(node, (forth ? before : after)[node])]));
      column.sort((a, b) => wanted.get(a) - wanted.get(b) || a - b);
      column.forEach((node, at) => (place[node] = at - column.length / 2));
    }
  }
  return { columns, lines, bends: before.length - size };
}

// Which lines say nothing new: what they name is needed by something else that is needed, too.
export function implied(needs) {
  const all = new Map();
  const allOf = (node) => {
    if (all.has(node)) return all.get(node);
    const found = new Set();
    all.set(node, found);
    for (const need of needs[node]) {
      found.add(need);
      for (const further of allOf(need)) found.add(further);
    }
    return found;
  };
  return (from, to) => needs[to].some((other) => other !== from && allOf(other).has(from));
}
