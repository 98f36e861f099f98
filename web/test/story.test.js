import assert from "node:assert/strict";
import { test } from "node:test";

import { layout, WIDTH } from "../static/axis.js";
import { joined, story } from "../static/story.js";
import { asText } from "../static/table.js";
import { duration, time } from "../static/words.js";

const request = (step, at, more = {}) => ({ step, at, method: step === "post" ? "POST" : "GET", transport: "polling", status: 200, slot: 1, owner: 1, via: null, ms: 1, error: null, ...more });
const seen = (requests, more = {}) => ({ requests, probe: [], frames: { sent: 0, received: 0, heartbeats: 0, list: [] }, upgradedAt: 0, failedAt: 0, lostAt: 0, reason: "", ...more });
const xhr = (step, at, ms, more = {}) => ({ step, at, ms, method: step === "post" ? "POST" : "GET", status: 200, worker: null, sent: "", received: "", ...more });

const handshake = [
  request("open", 1000), request("post", 1010),
  request("poll", 1012, { status: 400, slot: 3, error: "Session ID unknown" }),
  request("upgrade", 1020, { status: 101, via: 2, transport: "websocket" }),
];

test("each request of the workers is joined with the browser's, in whatever order both came", () => {
  const browser = seen([xhr("post", 1008, 5, { sent: "40" }), xhr("open", 998, 5, { received: "0{}" }), xhr("poll", 1009, 9, { status: 400 })]);
  const items = joined({ sid: "1.a", requests: handshake, seen: browser });
  assert.deepEqual(items.map((item) => [item.step, item.slot, item.status, item.seen?.sent ?? null]),
    [["open", 1, 200, ""], ["post", 1, 200, "40"], ["poll", 3, 400, ""], ["upgrade", 1, 101, null]]);
  assert.equal(items[2].stranger, true);
  assert.equal(items[3].forwarded, true);
});

test("two requests of one kind are not taken for each other", () => {
  const requests = [request("open", 1000), request("poll", 1010, { ms: 300 }), request("poll", 1320, { ms: 2 })];
  const items = joined({ sid: "1.a", requests, seen: seen([xhr("open", 1000, 2), xhr("poll", 1009, 303, { received: "6" }), xhr("poll", 1319, 4, { received: "2" })]) });
  assert.deepEqual(items.map((item) => item.seen.received), ["", "6", "2"]);
});

test("a worker's clock may be another", () => {
  const requests = handshake.map((one) => ({ ...one, at: one.at + 3_600_000 }));
  const items = joined({ sid: "1.a", requests, seen: seen([xhr("open", 998, 5), xhr("post", 1008, 5, { sent: "40" })]) });
  assert.equal(items[1].seen.sent, "40");
  assert.ok(Math.abs(items[1].at - 1010) < 10);
});

test("what a dead worker took along is told by the browser", () => {
  const browser = seen([xhr("open", 998, 5), xhr("poll", 1010, 5, { status: 400, worker: 2, received: '{"code":1,"message":"Session ID unknown"}' })]);
  assert.deepEqual(joined({ sid: "1.a", requests: [], seen: browser, over: false }), [], "not while the workers may still tell");
  const items = joined({ sid: "1.a", requests: [], seen: browser, over: true });
  assert.deepEqual(items.map((item) => [item.step, item.slot, item.stranger]), [["open", 1, false], ["poll", 2, true]]);
});

test("hours of polling stay few marks, with all that went wrong among the latest", () => {
  const requests = Array.from({ length: 2000 }, (_, i) => request(i ? "poll" : "open", 1000 + i * 100, i === 700 ? { status: 400, slot: 2, error: "x" } : {}));
  const { items } = story([{ sid: "1.a", n: 1, requests }]);
  assert.ok(items.length < 50, `${items.length} marks`);
  assert.ok(items.some((item) => item.stranger));
  const more = items.find((item) => item.kind === "more");
  assert.equal(items.filter((item) => item.kind === "request").length + more.list.length, 2000);
});

test("heartbeats can be left out, and what was cleared", () => {
  const requests = [request("open", 1000), request("poll", 1010, { ms: 20 }), request("post", 1040), request("post", 1050)];
  const browser = seen([xhr("open", 1000, 3), xhr("poll", 1009, 23, { received: "2" }), xhr("post", 1039, 4, { sent: "3", received: "ok" }), xhr("post", 1049, 4, { sent: '42["a"]', received: "ok" })]);
  const attempts = [{ sid: "1.a", n: 1, requests, seen: browser }];
  assert.equal(story(attempts).items.length, 4);
  assert.deepEqual(story(attempts, { heartbeats: false }).items.map((item) => item.at), [1000, 1050]);
  assert.deepEqual(story(attempts, { hide: (item) => item.step === "open" }).items.length, 3);
});

test("frames are one mark, however many there were", () => {
  const list = Array.from({ length: 100 }, (_, i) => ({ at: 2000 + i, dir: "received", text: "42[1]" }));
  const browser = seen([], { upgradedAt: 1030, frames: { sent: 3, received: 5000, heartbeats: 1, list } });
  const { items } = story([{ sid: "1.a", n: 1, requests: handshake, seen: browser }]);
  const frames = items.filter((item) => item.kind === "frames");
  assert.equal(frames.length, 1);
  assert.equal(frames[0].slot, 1);
});

test("frames come after all requests, also of a worker whose clock is ahead", () => {
  const browser = seen([], { upgradedAt: 1030, frames: { sent: 1, received: 1, heartbeats: 0, list: [{ at: 1040, dir: "sent", text: "42[1]" }] } });
  const { items } = story([{ sid: "1.a", n: 1, requests: [...handshake, request("poll", 1060)], seen: browser }]);
  assert.deepEqual(items.slice(-2).map(({ kind }) => kind), ["request", "frames"]);
});

test("marks of one lane never lie on one another, and time never goes back", () => {
  const attempts = [1, 2, 3].map((n) => ({
    sid: `${n % 4}.s`, n, over: n < 3,
    requests: handshake.map((one, i) => ({ ...one, at: one.at + n * 5000 + i, owner: n % 4, slot: (n + i) % 4, status: i % 2 ? 400 : 200 })),
  }));
  const now = story(attempts);
  const { places, gaps, bands, width } = layout(now);
  const lanes = new Map();
  let last = -1;
  for (const item of now.items) {
    const x = places.get(item.id);
    assert.ok(x > last, `${item.id} at ${x}, after ${last}`);
    last = x;
    assert.ok(x >= (lanes.get(item.slot) ?? 0), `${item.id} covers another`);
    lanes.set(item.slot, x + WIDTH[item.kind]);
    assert.ok(x + WIDTH[item.kind] <= width);
    assert.ok(gaps.every((gap) => x + WIDTH[item.kind] <= gap.x || x >= gap.x + gap.width), "in a gap");
  }
  assert.equal(gaps.filter((gap) => gap.reconnect).length, 2);
  assert.equal(bands.length, 3);
  for (const [i, band] of bands.entries()) assert.ok(i === 0 || band.x >= bands[i - 1].x + bands[i - 1].width, "bands overlap");
});

test("requests of one millisecond stand side by side", () => {
  const now = story([{ sid: "1.a", n: 1, requests: Array.from({ length: 6 }, (_, i) => request(i ? "post" : "open", 1000)) }]);
  const { places } = layout(now);
  const xs = now.items.map((item) => places.get(item.id));
  for (let i = 1; i < xs.length; i++) assert.ok(xs[i] >= xs[i - 1] + WIDTH.request, `${xs}`);
});

test("an empty timeline has a layout, too", () => {
  assert.equal(layout(story([])).places.size, 0);
});

test("times are read by people", () => {
  assert.deepEqual([3, 999, 1234, 12_300, 90_000, 3_600_000, 5_400_000].map(time), ["3 ms", "999 ms", "1.2 s", "12 s", "1 min 30 s", "1 h", "1 h 30 min"]);
});

test("a duration goes on where milliseconds end", () => {
  assert.deepEqual([0.2, 0.96, 999.4, 999.6, 1500, 25_000, 90_000].map(duration), ["<1 ms", "1 ms", "999 ms", "1.0 s", "1.5 s", "25 s", "1 min 30 s"]);
});

test("as text it tells sessions apart that are each the first attempt at a connection", () => {
  const one = { n: 1, requests: handshake };
  const text = asText(story([{ ...one, sid: "1.a", nth: 1 }, { ...one, sid: "1.b", nth: 2 }]));
  assert.match(text, /  1: 1\.a  /);
  assert.match(text, /  2: 1\.b  /);
});

test("as text it gives no session away", () => {
  const text = asText(story([{ sid: "1.averysecretkey", n: 1, requests: handshake }]));
  assert.doesNotMatch(text, /averysecretkey/);
  assert.match(text, /GET poll +400 +3 +1 ms +This request reached worker 3\. Its session lives in worker 1, so worker 3 answered 400: Session ID unknown\./);
  assert.match(text, /GET upgrade +101 +2 → 1/);
  assert.equal(text.trim().split("\n").length, 5);
});
