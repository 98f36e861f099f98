// Latency by `echo`: there and back through the same path a message takes. Quiet while the page is hidden.
import { byTest, h, say, whileVisible } from "./dom.js";

const EVERY = 2000;
const KEEP = 5; // samples in the median

export function measureLatency(session) {
  const el = byTest("latency");
  let samples = [];

  function ping() {
    if (!session.root.connected || document.hidden) return;
    const sentAt = performance.now();
    session.root.timeout(EVERY * 2).emit("echo", 0, (error) => {
      if (error) return;
      samples = [...samples, performance.now() - sentAt].slice(-KEEP);
      const sorted = [...samples].sort((a, b) => a - b);
      const median = sorted[Math.floor(sorted.length / 2)];
      el.replaceChildren(`${short(median)} ms `, h("small", {}, `(last ${short(samples.at(-1))})`));
      el.title = `Median of the last ${samples.length}; an echo every ${EVERY / 1000} s`;
    });
  }

  session.root.on("connect", () => setTimeout(ping, 300));
  session.root.on("disconnect", () => { samples = []; say(el, "–"); });
  whileVisible(EVERY, ping);
}

const short = (ms) => (ms < 10 ? ms.toFixed(1) : String(Math.round(ms)));
