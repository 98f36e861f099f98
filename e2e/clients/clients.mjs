// The official Socket.IO client of npm, many times over, told by lines of JSON on standard input:
//   {"mode":"once"|"live","url","clients",…}   first; once answers with the results and ends
//   {"do":"chat",…}                            then commands, see live.mjs
// Each line is answered by one line. The end of the input ends it.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { live } from "./live.mjs";
import { once } from "./once.mjs";

const { io } = createRequire(new URL("../../web/package.json", import.meta.url))("socket.io-client");
const say = (value) => process.stdout.write(`${JSON.stringify(value ?? null)}\n`);

let clients;
for await (const line of createInterface({ input: process.stdin })) {
  const told = JSON.parse(line);
  if (told.mode === "") {
    say(null);
  } else if (told.mode === "once") {
    say(await once(io, told));
    break;
  } else if (told.mode === "live") {
    clients = live(io, told);
    say(await clients.start());
  } else {
    say(await clients[told.do](told));
  }
}
process.stdout.write("", () => process.exit(0));
