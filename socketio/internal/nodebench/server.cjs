// Node's socket.io, for the benchmarks of package socketio:
//   npm i socket.io@4.8 (anywhere), then NODE_SOCKETIO=<that folder>/node_modules go test -bench . ./socketio
const { createRequire } = require("node:module");
const { readFileSync, readdirSync } = require("node:fs");
const { createServer } = require("node:http");
const path = require("node:path");

const { Server } = createRequire(path.join(process.argv[2], "x.js"))("socket.io");

let io;
const http = createServer((req, res) => {
  if (!req.url.startsWith("/usage")) return res.writeHead(404).end();
  if (req.url.endsWith("gc") && global.gc) for (let i = 0; i < 3; i++) global.gc();
  const ru = process.resourceUsage();
  res.end(JSON.stringify({
    CPU: (ru.userCPUTime + ru.systemCPUTime) * 1000,
    RSS: Number(readFileSync("/proc/self/statm", "utf8").split(" ")[1]) * 4096,
    FDs: readdirSync("/proc/self/fd").length,
  }));
});
io = new Server(http);
io.on("connection", (s) => {
  s.on("echo", (...args) => args.pop()(args));
  s.on("all", (...args) => io.emit("news", ...args));
});
http.listen(0, "127.0.0.1", () => console.log(`listening 127.0.0.1:${http.address().port}`));
