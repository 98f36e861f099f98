import assert from "node:assert/strict";
import { test } from "node:test";

import { answer, cut, decode, packetText, payload, remembered } from "../static/packets.js";

// raw, direction → name, words that the explanation must hold
const PACKETS = [
  ['0{"sid":"2.Xy","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}', "received", "open", /2\.Xy.*websocket.*25 s/],
  ["1", "sent", "close", /close/i],
  ["2", "received", "ping", /heartbeat/],
  ["3", "sent", "pong", /heartbeat/],
  ["2probe", "sent", "ping probe", /does this WebSocket reach the session/],
  ["3probe", "received", "pong probe", /session is here/],
  ["5", "sent", "upgrade", /over the WebSocket/],
  ["6", "received", "noop", /ends a waiting poll/],
  ["40", "sent", "CONNECT", /^Asks to join namespace \/\.$/],
  ['40{"name":"Ann"}', "sent", "CONNECT", /namespace \/, showing its auth/],
  ['40{"sid":"abc"}', "received", "CONNECT", /^Joined namespace \/; there its id is abc\.$/],
  ["40/ws,", "sent", "CONNECT", /namespace \/ws\.$/],
  ['40/ws,{"sid":"abc"}', "received", "CONNECT", /Joined namespace \/ws/],
  ["41", "sent", "DISCONNECT", /^Leaves namespace \/\.$/],
  ["41/ws,", "received", "DISCONNECT", /sent out of namespace \/ws/],
  ['42["chat",{"text":"hi"}]', "sent", "EVENT", /^Emits event “chat” in namespace \/\.$/],
  ['42/ws,17["s:message",1]', "received", "EVENT", /^Gets event “s:message” in namespace \/ws, and asks for ack 17\.$/],
  ["4312[]", "received", "ACK", /^Answers event 12 in namespace \/\.$/],
  ['43/ws,3["ok"]', "sent", "ACK", /^Answers event 3 in namespace \/ws\.$/],
  ['44/nope,{"message":"Invalid namespace"}', "received", "CONNECT_ERROR", /namespace \/nope: Invalid namespace/],
  ['452-["pic",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]', "sent", "BINARY_EVENT", /“pic”.*2 binary parts/],
  ['461-/ws,7[{"_placeholder":true,"num":0}]', "received", "BINARY_ACK", /event 7 in namespace \/ws with 1 binary part/],
  ["bAAECAw==", "received", "binary", /about 4 bytes/],
];

for (const [raw, dir, name, words] of PACKETS) {
  test(`${dir} ${raw.slice(0, 30)}`, () => {
    const packet = decode(raw, dir);
    assert.equal(packet.name, name);
    assert.match(packet.words, words);
    assert.equal(packet.heartbeat, raw === "2" || raw === "3");
  });
}

test("a polling payload holds several packets", () => {
  assert.deepEqual(payload('40{"sid":"a"}\x1e40/ws,{"sid":"b"}\x1e6', "received").map(({ name }) => name), ["CONNECT", "CONNECT", "noop"]);
  assert.deepEqual(payload("", "sent"), []);
});

test("what answers a request need not be packets", () => {
  assert.match(answer('{"code":1,"message":"Session ID unknown"}', 400, "GET")[0].words, /refuses: Session ID unknown \(code 1\)/);
  assert.match(answer("<html>", 502, "GET")[0].words, /not Engine\.IO's/);
  assert.equal(answer("ok", 200, "POST")[0].name, "taken");
  assert.equal(answer("6", 200, "GET")[0].name, "noop");
  assert.deepEqual(answer("", 0, "GET"), []);
});

test("what the transports hand out is told as it is on the wire", () => {
  assert.equal(packetText({ type: "ping", data: "probe" }), "2probe");
  assert.equal(packetText({ type: "message", data: '2["a"]' }), '42["a"]');
  assert.equal(packetText({ type: "upgrade" }), "5");
  assert.equal(decode(packetText({ type: "message", data: new Uint8Array(3).buffer }), "sent").name, "binary");
});

test("long packets are cut, never within a character", () => {
  const { raw } = decode(`42["chat","${"😀".repeat(5000)}"]`);
  assert.ok(raw.length < 450);
  assert.match(raw, /characters\)$/);
  for (const limit of [3, 4, 5]) assert.ok(cut("a😀😀😀", limit).isWellFormed?.() ?? true);
  assert.equal(cut("short"), "short");
});

test("what is remembered of a body in part is told as what it was", () => {
  const long = JSON.stringify(["welcome", { history: Array(300).fill("a message") }]);
  const told = payload(remembered(`40{"sid":"a"}\x1e42${long}\x1eb${"A".repeat(4000)}\x1e6`), "received");
  assert.deepEqual(told.map(({ name }) => name), ["CONNECT", "EVENT", "binary", "noop"]);
  assert.match(told[1].words, /event “welcome”/);
  assert.ok(told[1].raw.endsWith(`(${long.length + 2} characters)`), told[1].raw.slice(-40));
  assert.match(told[2].words, /about 3000 bytes/);
  assert.match(payload(remembered(`40${JSON.stringify({ token: "x".repeat(3000) })}`), "sent")[0].words, /showing its auth/);
  const many = payload(remembered(Array(5000).fill("6").join("\x1e")), "received");
  assert.ok(many.length < 100);
  assert.equal(many.at(-1).name, "more");
  assert.equal(remembered(new ArrayBuffer(3)), "");
  assert.match(answer(remembered(`<html>${"x".repeat(5000)}`), 502, "GET")[0].raw, /\(5006 characters\)$/);
});

// Whatever comes: an explanation, and no exception.
test("nonsense is told as such", () => {
  const pieces = ["", "4", "42", "47", "4x", "0{", "0null", "0[]", "40/", "44", "45", "459999999999-", "42[", "42[]", "42/,[1]", "43", "\x1e\x1e", "b", "9", "ÿ", "44null", '42[{"toString":1}]', '0{"sid":{"toString":1},"upgrades":[{"toString":1}]}', '44{"message":{"toString":1}}', '{"message":"x","code":{"toString":1}}', "42[\"", "\x1f", "\x1f9", "42[\x1f7", "…", '0{"sid":{},"upgrades":"x"}', "42null", '44{"message":{}}'];
  let seed = 1;
  const random = (n) => (seed = (seed * 48271) % 0x7fffffff) % n;
  for (let i = 0; i < 3000; i++) pieces.push(Array.from({ length: random(12) }, () => "0123456b{}[]\",/-:x\x1e"[random(20)]).join(""));
  for (const raw of pieces) for (const dir of ["sent", "received"]) {
    for (const { name, words } of [decode(raw, dir), ...payload(raw, dir), ...answer(raw, 200, "GET"), ...answer(raw, 400, "POST")]) {
      assert.equal(typeof name, "string");
      assert.ok(words.length > 0, `nothing is said of ${JSON.stringify(raw)}`);
    }
  }
});
