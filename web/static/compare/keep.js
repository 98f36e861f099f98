// What one takes along: the results as JSON, and as a picture.
import { byId, copy, say } from "../dom.js";

const THANKS = 2000; // ms that the button says so

export function keepers() {
  let results = null;
  let timer = 0;
  const button = byId("copy");
  button.addEventListener("click", async () => {
    const text = `${JSON.stringify(results, null, 2)}\n`;
    const copied = await copy(text);
    say(button, copied ? "Copied" : "Not allowed");
    clearTimeout(timer);
    timer = setTimeout(() => say(button, "Copy JSON"), THANKS);
  });
  return {
    has(now) {
      results = now;
      delete byId("keep").dataset.empty;
      say(byId("note"), now.note || `${now.clients} clients through each strategy, ${now.at_once} at a time.`);
      byId("picture").href = `/compare/results.svg?at=${encodeURIComponent(now.at)}`;
    },
  };
}
