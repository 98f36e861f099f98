import assert from "node:assert/strict";
import { test } from "node:test";
import { sentence } from "../static/fate.js";
import { verdict } from "../static/words.js";

const state = { wanted: true, phase: "joined", transport: "websocket", startedAt: 0, upgradedAt: 60, away: 0, broken: 0 };
const attempt = { sid: "1.a", requests: [{ step: "open", status: 200, slot: 1, owner: 1, via: null }] };

test("luck after handshakes that broke is not called well", () => {
  assert.equal(verdict(state, attempt, { workers: 4, origin: "" }).tone, "good");
  const lucky = verdict({ ...state, broken: 2 }, attempt, { workers: 4, origin: "" });
  assert.equal(lucky.tone, "warn");
  assert.match(lucky.title, /2 attempts before it broke/);
  assert.match(lucky.detail, /400 Session ID unknown/);
});

test("a refusal is told from a connection that was lost", () => {
  const back = { slot: 2, to: 1, after: 640, gap: false, unsent: 0 };
  assert.match(sentence(back), /^The connection to worker 2 was lost\./);
  assert.match(sentence({ ...back, strayed: true }), /^Worker 2 held your session, another worker refused/);
  assert.match(sentence({ ...back, strayed: true, ended: "was killed" }), /^Worker 2, which held your session, was killed\./);
});

test("who is refused by origin learns both cures: the proxy's, and the flag", () => {
  globalThis.location ??= { origin: "https://chat.example" };
  const refused = { ...state, phase: "waiting", tries: 1, error: { kind: "broken", status: 403, text: "", sid: null } };
  const { detail } = verdict(refused, undefined, { workers: 4, origin: "https://chat.example" });
  assert.match(detail, /https:\/\/chat\.example is not among the origins/);
  assert.match(detail, /proxy_set_header Host \$http_host/);
  assert.match(detail, /--origins/);
});
