// A Node server with npm's adapter and emitter: node node.cjs NODE_MODULES REDIS_URL
const { createRequire } = require("node:module");
const { createServer } = require("node:http");
const path = require("node:path");
const need = createRequire(path.join(process.argv[2], "x.js"));
const { Server } = need("socket.io");
const { createAdapter } = need("@socket.io/redis-adapter");
const { Emitter } = need("@socket.io/redis-emitter");
const { createClient } = need("redis");

(async () => {
  const pub = createClient({ url: process.argv[3] });
  const sub = pub.duplicate();
  await Promise.all([pub.connect(), sub.connect()]);
  let io;
  const seen = [];
  const todo = {
    emit: () => io.emit("news", "node", { n: [1, -7, 1.5, 70000, null, true, "ü"] }, Buffer.from("bytes")),
    room: () => io.to("room").emit("news", "room"),
    except: () => io.except("room").emit("news", "except"),
    emitter: () => new Emitter(pub).emit("news", "emitter", Buffer.from("b")),
    vote: async () => (await io.timeout(3000).emitWithAck("vote")).sort(),
    fetch: async () => (await io.fetchSockets()).map((s) => ({ id: s.id, rooms: [...s.rooms], data: s.data, host: s.handshake.headers.host })),
    join: () => io.socketsJoin("joined by node"),
    leave: () => io.socketsLeave("joined by node"),
    ask: () => io.serverSideEmitWithAck("double", 21),
    seen: () => seen,
    disconnect: () => io.disconnectSockets(),
  };
  const http = createServer(async (req, res) => {
    const f = todo[req.url.slice(1)];
    if (!f) return res.writeHead(404).end();
    try {
      const v = await f();
      res.end(JSON.stringify(v === io || typeof v === "boolean" ? null : v ?? null));
    } catch (e) {
      res.writeHead(500).end(String(e));
    }
  });
  io = new Server(http, { adapter: createAdapter(pub, sub) });
  io.on("connection", (s) => { s.data.name = "on node"; s.on("seen", (v) => seen.push(v)); });
  io.on("triple", (n, ack) => ack(3 * n));
  http.listen(0, "127.0.0.1", () => console.log(`listening 127.0.0.1:${http.address().port}`));
})();
