// A Chromium of one's own, driven over a pair of pipes: no port, no library.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--hide-scrollbars", "--force-color-profile=srgb", "--remote-debugging-pipe"];
const PATIENCE_MS = 20_000;

export class Browser {
  static async start() {
    const profile = mkdtempSync(join(tmpdir(), "dagger-chromium-"));
    const child = spawn("chromium", [...FLAGS, `--user-data-dir=${profile}`, "about:blank"], { stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"], detached: true });
    return new Browser(child, profile);
  }

  constructor(child, profile) {
    Object.assign(this, { child, profile, waiting: new Map(), listeners: [], next: 1 });
    child.on("error", (error) => this.fail(error));
    child.on("exit", () => this.fail(new Error("Chromium has ended")));
    child.stdio[3].on("error", () => {});
    let rest = Buffer.alloc(0);
    child.stdio[4].on("data", (data) => {
      rest = Buffer.concat([rest, data]);
      for (let end = rest.indexOf(0); end >= 0; end = rest.indexOf(0)) {
        this.hear(JSON.parse(rest.subarray(0, end).toString()));
        rest = rest.subarray(end + 1);
      }
    });
  }

  hear(message) {
    const answer = this.waiting.get(message.id);
    if (!answer) return this.listeners.forEach((listener) => listener(message));
    this.waiting.delete(message.id);
    if (message.error) answer.no(new Error(`${answer.method}: ${message.error.message}`));
    else answer.yes(message.result);
  }

  fail(error) {
    for (const { no } of this.waiting.values()) no(error);
    this.waiting.clear();
  }

  call(method, params = {}, sessionId = undefined) {
    const id = this.next++;
    return new Promise((yes, no) => {
      this.waiting.set(id, { yes, no, method });
      this.child.stdio[3].write(JSON.stringify({ id, method, params, sessionId }) + "\0");
    });
  }

  async page(width = 1400, height = 1300) {
    const { targetId } = await this.call("Target.createTarget", { url: "about:blank" });
    const { sessionId } = await this.call("Target.attachToTarget", { targetId, flatten: true });
    const page = new Page(this, sessionId);
    await Promise.all(["Page.enable", "Runtime.enable", "Log.enable", "Network.enable"].map((method) => page.call(method)));
    await page.call("Emulation.setDeviceMetricsOverride", { width, height, deviceScaleFactor: 1, mobile: false });
    return page;
  }

  stop() {
    this.child.removeAllListeners("exit");
    try {
      process.kill(-this.child.pid, "SIGKILL");
    } catch {
      // It has ended by itself.
    }
    rmSync(this.profile, { recursive: true, force: true, maxRetries: 5 });
  }
}

class Page {
  constructor(browser, session) {
    Object.assign(this, { browser, session, complaints: [], requests: [] });
    browser.listeners.push(({ sessionId, method, params }) => {
      if (sessionId !== session) return;
      if (method === "Runtime.exceptionThrown") this.complaints.push(params.exceptionDetails.exception?.description ?? params.exceptionDetails.text);
      if (method === "Log.entryAdded" && params.entry.level === "error") this.complaints.push(`${params.entry.text} ${params.entry.url ?? ""}`);
      if (method === "Network.requestWillBeSent") this.requests.push(params.request.url);
      if (method === "Page.javascriptDialogOpening") {
        this.complaints.push(`a dialog: ${params.message}`);
        this.call("Page.handleJavaScriptDialog", { accept: false }).catch(() => {});
      }
    });
  }

  call(method, params) {
    return this.browser.call(method, params, this.session);
  }

  async open(url) {
    // A change of the hash alone loads nothing: the reader's own way of going somewhere.
    await this.call("Page.navigate", { url });
  }

  // The value of an expression or of a function with arguments, in the page.
  async eval(what, ...args) {
    const expression = typeof what === "function" ? `(${what})(...${JSON.stringify(args)})` : what;
    const { result, exceptionDetails } = await this.call("Runtime.evaluate", { expression, returnByValue: true, awaitPromise: true });
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
    return result.value;
  }

  // Asks until the answer is true; the last answer is in the error.
  async until(what, ...args) {
    const end = Date.now() + PATIENCE_MS;
    for (let last; ; await new Promise((go) => setTimeout(go, 25))) {
      try {
        last = await this.eval(what, ...args);
      } catch (error) {
        last = error;
      }
      if (last && !(last instanceof Error)) return last;
      if (Date.now() > end) {
        throw new Error(`waited in vain for ${what} ${JSON.stringify(args)}; last: ${last}\n${this.complaints.join("\n")}\n${await this.eval("document.body.innerText.slice(0, 2000)").catch(() => "")}`);
      }
    }
  }

  async shows(selector, text = "") {
    return this.until((selector, text) => [...document.querySelectorAll(selector)].some((element) => element.textContent.includes(text) && element.getClientRects().length), selector, text);
  }

  async key(key, modifiers = 0) {
    const text = key.length === 1 ? key : key === "Enter" ? "\r" : undefined;
    await this.call("Input.dispatchKeyEvent", { type: text ? "keyDown" : "rawKeyDown", key, code: key, text, modifiers, windowsVirtualKeyCode: { Enter: 13, Escape: 27, Tab: 9, Backspace: 8 }[key] });
    await this.call("Input.dispatchKeyEvent", { type: "keyUp", key, code: key, modifiers });
  }

  async type(text) {
    for (const letter of text) await this.key(letter);
  }

  mouse(type, x, y, more = {}) {
    return this.call("Input.dispatchMouseEvent", { type, x, y, button: "left", buttons: 1, clickCount: 1, ...more });
  }

  async box(selector, text = "") {
    await this.shows(selector, text);
    return this.eval((selector, text) => {
      const seen = [...document.querySelectorAll(selector)].filter((element) => element.textContent.includes(text) && element.getClientRects().length);
      const element = seen.find((element) => element.textContent.startsWith(text)) ?? seen[0];
      const { left, top, width, height } = element.getBoundingClientRect();
      return { left, top, width, height, x: left + width / 2, y: top + height / 2 };
    }, selector, text);
  }

  async click(selector, text = "") {
    const { x, y } = await this.box(selector, text);
    await this.mouse("mousePressed", x, y);
    await this.mouse("mouseReleased", x, y);
  }

  async drag(fromX, fromY, toX, toY) {
    await this.mouse("mousePressed", fromX, fromY);
    for (let part = 1; part <= 4; part++) await this.mouse("mouseMoved", fromX + ((toX - fromX) * part) / 4, fromY + ((toY - fromY) * part) / 4);
    await this.mouse("mouseReleased", toX, toY);
  }

  dark(on) {
    return this.call("Emulation.setEmulatedMedia", { features: [{ name: "prefers-color-scheme", value: on ? "dark" : "light" }] });
  }

  async picture(file) {
    const { data } = await this.call("Page.captureScreenshot", { format: "png" });
    writeFileSync(file, Buffer.from(data, "base64"));
  }
}
