// A server for the doctor's tests: node server.js '{"kind":"single",…}'.
// It prints "ready" once it listens.
"use strict";
const cluster = require("cluster"), http = require("http"), net = require("net");

const config = JSON.parse(process.argv[2]);
const listen = (server, port) => new Promise((ok) => server.listen(port, config.host, ok));

// As web frameworks answer; without it, Node answers nothing at all.
const notFound = (req, res) => res.writeHead(404).end("Cannot " + req.method + " that");
const options = config.options || {};

function attach(server) {
  const { Server } = require("socket.io");
  const io = new Server(server, options);
  if (config.token) {
    io.use((socket, next) => next(socket.handshake.auth.token === config.token ? undefined : new Error("who are you?")));
  }
  io.on("connection", () => {});
  io.of("/chat").on("connection", () => {});
  return server;
}

const kinds = {
  // Socket.IO, one process; several ports are several workers.
  async single() {
    for (const port of config.ports) await listen(attach(http.createServer(notFound)), port);
  },
  // Node's cluster: connections round robin over processes.
  async cluster() {
    if (!cluster.isPrimary) return listen(attach(http.createServer(notFound)), config.ports[0]);
    cluster.schedulingPolicy = cluster.SCHED_RR;
    let up = 0;
    await new Promise((ok) => {
      cluster.on("listening", () => ++up === config.workers && ok());
      for (let i = 0; i < config.workers; i++) cluster.fork();
    });
  },
  async tls() {
    const fs = require("fs"), https = require("https");
    await listen(attach(https.createServer({ cert: fs.readFileSync(config.cert), key: fs.readFileSync(config.key) }, notFound)), config.ports[0]);
  },
  // HTTP/2 over TLS, and nothing else.
  async h2() {
    const fs = require("fs"), http2 = require("http2");
    const server = http2.createSecureServer({ cert: fs.readFileSync(config.cert), key: fs.readFileSync(config.key), allowHTTP1: false });
    server.on("request", (req, res) => res.end("hello"));
    await listen(server, config.ports[0]);
  },
  async v2() {
    const server = http.createServer();
    require("socket.io-2")(server, options);
    await listen(server, config.ports[0]);
  },
  async silent() {
    await listen(net.createServer((c) => c.on("error", () => {}).resume()), config.ports[0]);
  },
  async garbage() {
    await listen(net.createServer((c) => {
      c.on("error", () => {});
      c.end(Buffer.from("\x00\x15\x03 SSH-2.0-nothing of the kind\r\n\x7f\xff\r\n", "latin1"));
    }), config.ports[0]);
  },
  // HTTP all right, but what it says is not Engine.IO's.
  async nonsense() {
    await listen(http.createServer((req, res) => res.end("{{{ 0{\"sid\":")), config.ports[0]);
  },
  // Every handshake gets the same answer, as from a cache.
  async cached() {
    const hello = JSON.stringify({ sid: "AAAAAAAAAAAAAAAAAAAA", upgrades: ["websocket"], pingInterval: 25000, pingTimeout: 20000, maxPayload: 1e6 });
    await listen(http.createServer((req, res) => res.end(req.method === "POST" ? "ok" : "0" + hello)), config.ports[0]);
  },
  async redirect() {
    await listen(http.createServer((req, res) => res.writeHead(301, { location: config.to + req.url }).end()), config.ports[0]);
  },
};

kinds[config.kind]().then(() => cluster.isPrimary && console.log("ready"));

