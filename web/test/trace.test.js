import assert from "node:assert/strict";
import { test } from "node:test";

import { story } from "../static/story.js";
import { renew } from "../static/trace.js";

const request = (at, status = 200) => ({ step: "poll", method: "GET", transport: "polling", at, status, slot: 1, owner: 1, via: null, ms: 1, error: null });
const range = (from, n) => Array.from({ length: n }, (_, i) => request(from + i * 100));

test("what is new is added to what is known", () => {
  const attempt = { sid: "1.a", requests: range(0, 3), dropped: 0 };
  assert.equal(renew(attempt, range(200, 4)), true);
  assert.deepEqual(attempt.requests.map(({ at }) => at), [0, 100, 200, 300, 400, 500]);
  assert.equal(renew(attempt, range(200, 4)), false, "the same again");
});

test("a poll answered late takes its place", () => {
  const attempt = { sid: "1.a", requests: [request(0), request(500)], dropped: 0 };
  renew(attempt, [request(250), request(500)]);
  assert.deepEqual(attempt.requests.map(({ at }) => at), [0, 250, 500]);
});

test("a dead worker's account stays", () => {
  const attempt = { sid: "1.a", requests: range(0, 5), dropped: 0 };
  assert.equal(renew(attempt, []), false);
  assert.equal(renew(attempt, range(300, 3)), true, "what the living tell is taken all the same");
  assert.deepEqual(attempt.requests.map(({ at }) => at), [0, 100, 200, 300, 400, 500]);
});

test("what was dropped is not counted again when it is told again", () => {
  const attempt = { sid: "1.a", requests: [], dropped: 0 };
  for (let i = 0; i < 5; i++) renew(attempt, range(0, 1000 + i));
  assert.equal(attempt.requests.length + attempt.dropped, 1004);
  assert.equal(renew(attempt, range(0, 1004)), false);
});

test("of one millisecond, the order is the protocol's", () => {
  const attempt = { sid: "1.a", requests: [request(5)], dropped: 0 };
  renew(attempt, [{ ...request(5), step: "post" }]);
  assert.deepEqual(attempt.requests.map(({ step }) => step), ["post", "poll"]);
});

test("hours of it take little room, are all counted, and lose nothing that went wrong", () => {
  const attempt = { sid: "1.a", n: 1, requests: [], dropped: 0 };
  for (let minute = 0; minute < 600; minute++) {
    const told = range(minute * 60_000, 60);
    if (minute === 300) told[5] = request(told[5].at, 400);
    renew(attempt, told);
  }
  assert.ok(attempt.requests.length < 460, `${attempt.requests.length} kept`);
  assert.equal(attempt.requests.length + attempt.dropped, 36_000);
  const { items } = story([attempt]);
  assert.ok(items.some(({ status }) => status === 400));
  assert.equal(items.reduce((sum, item) => sum + (item.count ?? 1), 0), 36_000);
});
