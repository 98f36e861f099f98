// The official client against the server of scenario_test.go.
// node client.mjs URL FOLDER_OF_SOCKET.IO-CLIENT
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { join } from "node:path";

const [url, modules] = process.argv.slice(2);
const { io } = createRequire(join(modules, "x.js"))("socket.io-client");

const open = [];
function connect(path = "/", opts = {}) {
  const s = io(url + path, { forceNew: true, reconnection: false, ...opts });
  open.push(s);
  return s;
}
function once(s, event, ms = 5000) {
  return new Promise((resolve, reject) => {
    const t = setTimeout(() => reject(new Error(`no ${event} within ${ms} ms`)), ms);
    s.once(event, (...args) => { clearTimeout(t); resolve(args); });
  });
}
const sleep = (ms) => new Promise((r) => setTimeout(r, ms));
const up = async (path, opts) => { const s = connect(path, opts); await once(s, "connect"); return s; };
const upgraded = async (s) => { if (s.io.engine.transport.name !== "websocket") await once(s.io.engine, "upgrade"); };

const kinds = {
  "polling only": { transports: ["polling"] },
  "websocket only": { transports: ["websocket"] },
  "upgrade": {},
};
const tests = {};

for (const [kind, opts] of Object.entries(kinds)) {
  tests[`${kind}: echo with ack, in order`] = async () => {
    const s = await up("/", opts);
    const got = await Promise.all(Array.from({ length: 100 }, (_, i) => s.timeout(5000).emitWithAck("echo", i, "ü€😀", { a: [null, 1.5] })));
    got.forEach((a, i) => assert.deepEqual(a, [i, "ü€😀", { a: [null, 1.5] }]));
    if (kind === "upgrade") { await upgraded(s); assert.equal(s.io.engine.transport.name, "websocket"); }
    else assert.equal(s.io.engine.transport.name, opts.transports[0]);
  };
  tests[`${kind}: binary both ways`] = async () => {
    const s = await up("/", opts);
    const big = Buffer.alloc(200_000, 7);
    const [a, b, c] = await s.timeout(5000).emitWithAck("echo", Buffer.from([1, 2, 3]), { deep: [big] }, "x");
    assert.deepEqual(Buffer.from(a), Buffer.from([1, 2, 3]));
    assert.ok(big.equals(Buffer.from(b.deep[0])));
    assert.equal(c, "x");
    const p = once(s, "struct");
    s.emit("struct");
    const [v] = await p;
    assert.equal(v.name, "n");
    assert.deepEqual(Buffer.from(v.data), Buffer.from("bytes"));
  };
  tests[`${kind}: the server asks within a handler`] = async () => {
    const s = await up("/", opts);
    s.on("question", (n, ack) => ack(n * 2));
    assert.equal(await s.timeout(5000).emitWithAck("ask", 21), 42);
  };
  tests[`${kind}: payloads of up to 1 MB`] = async () => {
    const s = await up("/", opts);
    if (kind === "upgrade") await upgraded(s);
    const text = "x".repeat(990_000);
    const [back] = await s.timeout(10000).emitWithAck("echo", text);
    assert.equal(back.length, text.length);
    const gone = once(s, "disconnect");
    s.emit("echo", "x".repeat(1_000_001));
    const [reason] = await gone;
    assert.ok(/transport (close|error)/.test(reason), reason);
  };
  tests[`${kind}: disconnected by the server, and reconnecting`] = async () => {
    const s = await up("/", { ...opts, reconnection: true, reconnectionDelay: 50 });
    let gone = once(s, "disconnect");
    s.emit("kick", false);
    assert.equal((await gone)[0], "io server disconnect");
    const back = once(s, "connect");
    s.connect();
    await back;
    gone = once(s, "disconnect");
    const again = once(s, "connect");
    s.emit("cut"); // ends the session, not the socket
    assert.match((await gone)[0], /transport close|transport error/);
    await again;
    assert.deepEqual(await s.timeout(5000).emitWithAck("echo", 1), [1]);
  };
}

tests["upgrade under traffic: 500 echoes, none lost, doubled or out of order"] = async () => {
  for (let round = 0; round < 5; round++) {
    const s = connect("/");
    const acks = [], pushed = [];
    s.on("pushed", (n) => pushed.push(n));
    await once(s, "connect");
    for (let i = 0; i < 500; i++) {
      s.emit("echo", i, (r) => acks.push(r[0]));
      s.emit("push", i);
      if (i % 10 === 0) await sleep(Math.random() * 2);
    }
    await upgraded(s);
    for (let i = 0; i < 200 && (acks.length < 500 || pushed.length < 500); i++) await sleep(20);
    const want = Array.from({ length: 500 }, (_, i) => i);
    assert.deepEqual(acks, want);
    assert.deepEqual(pushed, want);
    s.close();
  }
};

tests["acknowledgements that time out"] = async () => {
  const s = await up();
  await assert.rejects(s.timeout(100).emitWithAck("silent"), /timed out/);
  s.on("question", () => {});
  assert.equal(await s.timeout(5000).emitWithAck("ask-briefly"), "socketio: operation has timed out");
};

tests["middleware errors with data"] = async () => {
  const s = connect("/private", { auth: { token: "wrong" } });
  const [err] = await once(s, "connect_error");
  assert.equal(err.message, "not authorized");
  assert.deepEqual(err.data, { code: 7 });
  const t = await up("/private", { auth: { token: "right" } });
  assert.equal(await t.timeout(1000).emitWithAck("who"), "right");
};

tests["namespaces: several over one connection, unknown, dynamic"] = async () => {
  const a = await up("/");
  const b = a.io.socket("/ws");
  open.push(b);
  await once(b, "connect");
  assert.equal(a.io, b.io);
  assert.notEqual(a.id, b.id);
  assert.deepEqual(await b.timeout(1000).emitWithAck("echo", "b"), ["b"]);
  b.disconnect();
  assert.deepEqual(await a.timeout(1000).emitWithAck("echo", "a"), ["a"]);
  const [err] = await once(connect("/nowhere"), "connect_error");
  assert.equal(err.message, "Invalid namespace");
  const d = await up("/dynamic-7");
  assert.equal(await d.timeout(1000).emitWithAck("name"), "/dynamic-7");
};

tests["rooms, broadcasts and except"] = async () => {
  const [a, b, c] = await Promise.all([up(), up("/", kinds["polling only"]), up("/", kinds["websocket only"])]);
  const got = { a: [], b: [], c: [] };
  for (const [k, s] of Object.entries({ a, b, c })) s.on("news", (...x) => got[k].push(x.length > 1 ? Buffer.from(x[1]).toString() : x[0]));
  await a.timeout(1000).emitWithAck("join", "room-x");
  await b.timeout(1000).emitWithAck("join", "room-x");
  await a.timeout(1000).emitWithAck("publish", "room-x", "1");
  await c.timeout(1000).emitWithAck("publish", "room-x", "2");
  await a.timeout(1000).emitWithAck("publish-binary", "room-x", "3");
  await c.timeout(1000).emitWithAck("publish-except", "room-x", "4");
  await sleep(200);
  assert.deepEqual(got, { a: ["2"], b: ["1", "2", "3"], c: ["4"] });
};

tests["a broadcast gathers acknowledgements"] = async () => {
  const [a, b] = await Promise.all([up("/polls"), up("/polls")]);
  a.on("vote", (ack) => ack("yes"));
  b.on("vote", (ack) => ack("no"));
  assert.deepEqual((await a.timeout(2000).emitWithAck("poll")).sort(), ["no", "yes"]);
};

tests["volatile events get through to who listens"] = async () => {
  const s = await up("/", kinds["websocket only"]);
  const p = once(s, "maybe");
  await sleep(50);
  s.emit("volatile");
  await p;
};

tests["a panic in a handler ends nothing"] = async () => {
  const s = await up();
  s.emit("panic");
  assert.deepEqual(await s.timeout(1000).emitWithAck("echo", 1), [1]);
};

let failed = 0;
for (const [name, run] of Object.entries(tests)) {
  const began = Date.now();
  try {
    await run();
    console.log(`ok ${name} (${Date.now() - began} ms)`);
  } catch (err) {
    failed++;
    console.log(`FAIL ${name}: ${err.stack}`);
  }
  for (const s of open.splice(0)) s.disconnect();
}
process.exit(failed ? 1 : 0);
