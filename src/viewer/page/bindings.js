// The keys of a run's page, and what they do; `keys.js` tells of them.

// `views` is how many views there may be.
export function bindings(page, views) {
  const screen = () => page.waterfall.pageRows();
  const share = (part) => (page.window[1] - page.window[0]) * part;
  return {
    ArrowDown: () => page.move(1), ArrowUp: () => page.move(-1), j: () => page.move(1), k: () => page.move(-1),
    PageDown: () => page.move(screen()), PageUp: () => page.move(-screen()),
    Home: () => page.move(-page.trace.size), End: () => page.move(Number.MAX_SAFE_INTEGER),
    ArrowLeft: () => page.sideways(-1), ArrowRight: () => page.sideways(1),
    Enter: () => { if (page.selected >= 0) page.side.querySelector("button, [tabindex]")?.focus(); },
    "/": () => { page.search.focus(); page.search.select(); },
    n: () => page.nextMatch(1), N: () => page.nextMatch(-1),
    c: () => page.togglePath(), o: () => page.toggleOutput(page.selected),
    "+": () => page.zoomBy(0.6), "=": () => page.zoomBy(0.6), w: () => page.zoomBy(0.6), "-": () => page.zoomBy(1 / 0.6), s: () => page.zoomBy(1 / 0.6),
    a: () => page.panBy(-share(0.2)), d: () => page.panBy(share(0.2)), 0: () => page.zoom(null),
    f: () => {
      if (page.selected < 0) return;
      const start = page.trace.start(page.selected), size = Math.max(page.trace.dur(page.selected), 10);
      page.zoom([start - size * 0.05, start + size * 1.05]);
    },
    "[": () => page.closeLevel(-1), "]": () => page.closeLevel(1),
    ...Object.fromEntries(Array.from({ length: views }, (_, at) => [at + 1, () => page.views[at] && page.show(page.views[at][0])])),
    e: () => page.nextFailure(),
    y: () => navigator.clipboard?.writeText(location.href).catch(() => {}),
    Escape: () => { if (page.selected >= 0) page.select(-1); else if (page.query) page.set({ q: null }); },
  };
}
