// A picture with at most 256 colours: a screenshot of text in a third of its bytes.
import { deflateSync, inflateSync } from "node:zlib";

const COLOURS = 256, SURE = 128;

// `png` as Chromium writes it: 8 bits, RGB or RGBA, not interlaced.
export function withPalette(png) {
  const { width, height, pixels } = read(png);
  const counts = new Map();
  for (const colour of pixels) counts.set(colour, (counts.get(colour) ?? 0) + 1);
  const palette = choose([...counts].sort((a, b) => b[1] - a[1]));
  const place = new Map(palette.map((colour, at) => [colour, at]));
  const nearest = (colour) => {
    let best = 0, least = Infinity;
    palette.forEach((other, at) => {
      const far = distance(colour, other);
      if (far < least) [best, least] = [at, far];
    });
    return best;
  };
  const rows = Buffer.alloc((width + 1) * height);
  pixels.forEach((colour, at) => {
    if (!place.has(colour)) place.set(colour, nearest(colour));
    rows[Math.floor(at / width) * (width + 1) + 1 + (at % width)] = place.get(colour);
  });
  const head = Buffer.alloc(13);
  head.writeUInt32BE(width, 0);
  head.writeUInt32BE(height, 4);
  head.set([8, 3, 0, 0, 0], 8);
  return Buffer.concat([png.subarray(0, 8), chunk("IHDR", head), chunk("PLTE", Buffer.from(palette.flatMap(parts))),
    chunk("IDAT", deflateSync(rows, { level: 9 })), chunk("IEND", Buffer.alloc(0))]);
}

const parts = (colour) => [(colour >> 16) & 255, (colour >> 8) & 255, colour & 255];

function distance(a, b) {
  const [x, y] = [parts(a), parts(b)];
  return x.reduce((sum, part, at) => sum + (part - y[at]) ** 2, 0);
}

// The most frequent colours as they are (grounds, bars), and of the others' cube the corners that are used most.
function choose(byCount) {
  if (byCount.length <= COLOURS) return byCount.map(([colour]) => colour);
  const palette = byCount.slice(0, SURE).map(([colour]) => colour), rest = new Map();
  for (const [colour, count] of byCount.slice(SURE)) {
    const corner = colour & 0xf0f0f0;
    const known = rest.get(corner);
    if (known) known.count += count;
    else rest.set(corner, { colour, count });
  }
  const more = [...rest.values()].sort((a, b) => b.count - a.count).slice(0, COLOURS - SURE);
  return [...palette, ...more.map(({ colour }) => colour)];
}

function read(png) {
  const data = [];
  let width = 0, height = 0, bytes = 0;
  for (let at = 8; at < png.length; ) {
    const size = png.readUInt32BE(at), type = png.toString("latin1", at + 4, at + 8), body = png.subarray(at + 8, at + 8 + size);
    if (type === "IHDR") [width, height, bytes] = [body.readUInt32BE(0), body.readUInt32BE(4), { 2: 3, 6: 4 }[body[9]]];
    if (type === "IDAT") data.push(body);
    at += size + 12;
  }
  const raw = inflateSync(Buffer.concat(data)), line = width * bytes, pixels = new Array(width * height);
  let above = Buffer.alloc(line);
  for (let y = 0; y < height; y++) {
    const filter = raw[y * (line + 1)], row = raw.subarray(y * (line + 1) + 1, (y + 1) * (line + 1));
    for (let x = 0; x < line; x++) {
      const a = x >= bytes ? row[x - bytes] : 0, b = above[x], c = x >= bytes ? above[x - bytes] : 0;
      row[x] += [0, a, b, (a + b) >> 1, paeth(a, b, c)][filter];
    }
    for (let x = 0; x < width; x++) pixels[y * width + x] = (row[x * bytes] << 16) | (row[x * bytes + 1] << 8) | row[x * bytes + 2];
    above = row;
  }
  return { width, height, pixels };
}

// PNG, section 9.4.
function paeth(a, b, c) {
  const [x, y, z] = [Math.abs(b - c), Math.abs(a - c), Math.abs(a + b - 2 * c)];
  return x <= y && x <= z ? a : y <= z ? b : c;
}

function chunk(type, body) {
  const whole = Buffer.alloc(body.length + 12);
  whole.writeUInt32BE(body.length, 0);
  whole.write(type, 4, "latin1");
  body.copy(whole, 8);
  whole.writeUInt32BE(crc(whole.subarray(4, body.length + 8)), body.length + 8);
  return whole;
}

function crc(bytes) {
  let sum = ~0;
  for (const byte of bytes) {
    sum ^= byte;
    for (let bit = 0; bit < 8; bit++) sum = (sum >>> 1) ^ (sum & 1 ? 0xedb88320 : 0);
  }
  return ~sum >>> 0;
}
