// The page's files and documents from a folder, as `dagger trace serve` gives them, and events on demand.
import { existsSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";

const TYPES = { ".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".json": "application/json" };

export async function serve(folder) {
  const policy = readFileSync(join(folder, "policy.txt"), "utf8");
  const listeners = new Set();
  const replaced = new Map();
  const server = createServer((request, response) => {
    const path = new URL(request.url, "http://localhost").pathname;
    if (path === "/api/dagger/events") {
      response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
      response.write(": here\n\n");
      listeners.add(response);
      response.on("close", () => listeners.delete(response));
      return;
    }
    const api = /^\/api\/dagger\/(runs(?:\/[0-9a-f]+)?)$/.exec(path);
    const name = replaced.get(path) ?? normalize(api ? `${api[1]}.json` : `site${path === "/" ? "/index.html" : path}`);
    const file = join(folder, name);
    if (name.startsWith("..") || !existsSync(file)) {
      response.writeHead(404, { "content-type": "application/json" });
      response.end(JSON.stringify({ error: `there is no ${path}` }));
      return;
    }
    response.writeHead(200, { "content-type": TYPES[extname(file)] ?? "text/plain", "content-security-policy": policy, "x-content-type-options": "nosniff" });
    response.end(readFileSync(file));
  });
  await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
  return {
    url: `http://127.0.0.1:${server.address().port}/`,
    listening: () => listeners.size,
    // From now on a path is answered with another file, and all listeners are told of the run.
    replace(path, file, trace) {
      replaced.set(path, file);
      for (const listener of listeners) listener.write(`event: run\ndata: ${JSON.stringify({ trace })}\n\n`);
    },
    stop() {
      server.closeAllConnections();
      server.close();
    },
  };
}
